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
from consumer.engine.collect import Lives
from consumer.engine.facts import Link, Rows, describe, link
from consumer.engine.flows import UNHEARD, Flows, address_text
from consumer.latency.intervals import I32, I64
from schemas.event import Audit, Flag, Kind

_AUDITS = [*(audit.name.lower() for audit in Audit), "unknown"]
_LARGEST = 2**31 - 1


def rows_of(place: Place, lives: dict[Kind, Lives], flows: Flows) -> dict[str, pa.Table]:
    """Return the tables (kind -> rows) of the events that a tick brought."""
    return {kind.name.lower(): _ROWS[kind](place, one, flows) for kind, one in lives.items()}


def _connects(place: Place, lives: Lives, flows: Flows) -> pa.Table:
    in_process = np.array([actor.process.pid > 0 for actor in flows.actors], dtype=bool)
    caller: I32 = np.where(in_process[lives.actor], lives.actor, UNHEARD).astype(np.int32)
    links, index = _links(lives, caller, flows)
    spread = Spread(index)
    callers = [one.actors[0] for one in links]
    openers = [one.ends[one.direction] for one in links]
    columns = {
        **_told(links, spread, "endpoint"),
        "pid": spread.numbers([actor.process.pid if actor else 0 for actor in callers], np.int64),
        "process": spread.texts([actor.process.name if actor else None for actor in callers]),
        "remote_address": spread.texts([end and address_text(end.flow.remote_address) for end in openers]),
        "remote_port": spread.numbers([end.flow.remote_port if end else 0 for end in openers], np.int32),
        "at_ns": lives.at,
        "duration_ns": lives.columns["duration_ns"],
        "error": np.minimum(lives.columns["error"], _LARGEST).astype(np.int32),
        "failed": (lives.columns["flags"] & Flag.FAILED) != 0,
        "retransmits": lives.columns["retransmits"],
    }
    return table("connect", place, lives.at, columns)


def _closes(place: Place, lives: Lives, flows: Flows) -> pa.Table:
    links, index = _links(lives, _nobody(lives), flows)
    columns = {
        **lives.columns,
        **_told(links, Spread(index), "endpoint"),
        "at_ns": lives.at,
        "audit": Spread(np.minimum(lives.columns["audit"], len(Audit))).texts(_AUDITS),
        "marks": lives.marks.astype(np.int32),
        "flags": lives.columns["flags"].astype(np.int32),
    }
    return table("close", place, lives.at, columns)


def _retransmits(place: Place, lives: Lives, flows: Flows) -> pa.Table:
    links, index = _links(lives, _nobody(lives), flows)
    begin = lives.columns["position"]
    columns = {
        **_told(links, Spread(index), "direction"),
        "at_ns": lives.at,
        "begin": begin,
        "end": begin + lives.columns["length"],
        "srtt_us": lives.columns["srtt_us"],
    }
    return table("retransmit", place, lives.at, columns)


_ROWS = {Kind.CONNECT: _connects, Kind.CLOSE: _closes, Kind.RETRANSMIT: _retransmits}


def _links(lives: Lives, actor: I32, flows: Flows) -> tuple[list[Link], I64]:
    """Return the distinct (end, actor) and which of them each row is of."""
    found = link(Rows(lives.end, actor, _nobody(lives)))
    return describe(flows, found.triples), found.rows()


def _nobody(lives: Lives) -> I32:
    return np.full(lives.end.size, UNHEARD, dtype=np.int32)


def _told(links: list[Link], spread: Spread, end: str) -> dict[str, Any]:
    """Return who tells each row; ``end`` is the name of the column of its end."""
    return {
        "connection": spread.numbers([one.connection for one in links], np.int64),
        end: spread.numbers([one.direction for one in links], np.int32),
        "host": spread.texts([one.hosts[0] for one in links]),
        "edge": spread.texts([one.edge for one in links]),
    }
