# SPDX-License-Identifier: Apache-2.0
"""Rows of connects, closes and retransmits: told once, waiting for nothing, named with what the tick knows.

An edge begins with the end that tells the row: the opener of a connect, the end whose account a close is, the
sender of a retransmitted segment. It is named like that of an unmatched send: where the other end was not
heard of yet, by its address.
"""

from typing import Any

import numpy as np
import pyarrow as pa

from consumer.engine.arrow import Place, Spread, table
from consumer.engine.collect import Turns
from consumer.engine.facts import Link, Rows, describe, link
from consumer.engine.flows import UNHEARD, Flows, address_text
from consumer.latency.intervals import I32, I64
from schemas.event import Audit, Flag, Kind

_AUDITS = [*(audit.name.lower() for audit in Audit), "unknown"]
_LARGEST = 2**31 - 1


def rows_of(place: Place, turns: dict[Kind, Turns], flows: Flows) -> dict[str, pa.Table]:
    """Return the tables (kind -> rows) of the turns that a tick brought."""
    return {kind.name.lower(): _ROWS[kind](place, one, flows) for kind, one in turns.items()}


def _connects(place: Place, turns: Turns, flows: Flows) -> pa.Table:
    in_process = np.array([actor.process.pid > 0 for actor in flows.actors], dtype=bool)
    caller: I32 = np.where(in_process[turns.actor], turns.actor, UNHEARD).astype(np.int32)
    links, index = _links(turns, caller, flows)
    spread = Spread(index)
    callers = [one.actors[0] for one in links]
    openers = [one.ends[one.direction] for one in links]
    columns = {
        **_told(links, spread, "endpoint"),
        "pid": spread.numbers([actor.process.pid if actor else 0 for actor in callers], np.int64),
        "process": spread.texts([actor.process.name if actor else None for actor in callers]),
        "remote_address": spread.texts([end and address_text(end.flow.remote_address) for end in openers]),
        "remote_port": spread.numbers([end.flow.remote_port if end else 0 for end in openers], np.int32),
        "at_ns": turns.at,
        "duration_ns": turns.columns["duration_ns"],
        "error": np.minimum(turns.columns["error"], _LARGEST).astype(np.int32),
        "failed": (turns.columns["flags"] & Flag.FAILED) != 0,
        "retransmits": turns.columns["retransmits"],
    }
    return table("connect", place, turns.at, columns)


def _closes(place: Place, turns: Turns, flows: Flows) -> pa.Table:
    links, index = _links(turns, _nobody(turns), flows)
    columns = {
        **turns.columns,
        **_told(links, Spread(index), "endpoint"),
        "at_ns": turns.at,
        "audit": Spread(np.minimum(turns.columns["audit"], len(Audit))).texts(_AUDITS),
        "marks": turns.marks.astype(np.int32),
        "flags": turns.columns["flags"].astype(np.int32),
    }
    return table("close", place, turns.at, columns)


def _retransmits(place: Place, turns: Turns, flows: Flows) -> pa.Table:
    links, index = _links(turns, _nobody(turns), flows)
    begin = turns.columns["position"]
    columns = {
        **_told(links, Spread(index), "direction"),
        "at_ns": turns.at,
        "begin": begin,
        "end": begin + turns.columns["length"],
        "srtt_us": turns.columns["srtt_us"],
    }
    return table("retransmit", place, turns.at, columns)


_ROWS = {Kind.CONNECT: _connects, Kind.CLOSE: _closes, Kind.RETRANSMIT: _retransmits}


def _links(turns: Turns, actor: I32, flows: Flows) -> tuple[list[Link], I64]:
    """Return the distinct (end, actor) and which of them each row is of."""
    found = link(Rows(turns.end, actor, _nobody(turns)))
    return describe(flows, found.triples), found.rows()


def _nobody(turns: Turns) -> I32:
    return np.full(turns.end.size, UNHEARD, dtype=np.int32)


def _told(links: list[Link], spread: Spread, end: str) -> dict[str, Any]:
    """Return who tells each row; ``end`` is the name of the column of its end."""
    return {
        "connection": spread.numbers([one.connection for one in links], np.int64),
        end: spread.numbers([one.direction for one in links], np.int32),
        "host": spread.texts([one.hosts[0] for one in links]),
        "edge": spread.texts([one.edge for one in links]),
    }
