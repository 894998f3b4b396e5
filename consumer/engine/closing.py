# SPDX-License-Identifier: Apache-2.0
"""From what closed at a tick to the rows that say so."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from consumer.engine import rows
from consumer.engine.arrow import Place
from consumer.engine.clocks import clocks
from consumer.engine.facts import Link, Rows, describe, link
from consumer.engine.flows import UNHEARD, Flows
from consumer.engine.histograms import histograms, messages
from consumer.engine.unmatched import LOST, NO_PEER, PEER_LOST, SAMPLED, UNKNOWN, Reasons, receives, sends
from consumer.latency.intervals import I32, I64, Bools, Sends
from consumer.latency.match import Closed
from consumer.latency.measure import measure

EVICTED = "evicted"


class About(NamedTuple):
    """What the reasons of a tick rest on, beside what is known of flows."""

    silent: frozenset[str]
    """Hosts that are waited for no longer."""
    gaps: frozenset[str]
    """Hosts of which batches are missing."""
    why: str | None = None
    """The reason of all that found no other end, None = its horizon came."""


def rows_of(place: Place, closed: Closed, flows: Flows, window_ns: int, about: About) -> dict[str, pa.Table]:
    """Return the tables (kind -> rows) of all that closed; kinds without rows are left out."""
    links = link(_everyone(closed))
    facts = describe(flows, links.triples)
    of_row = links.rows()
    ends = np.cumsum([closed.sends.flow.size, closed.expired.flow.size, closed.holes.begin.size])
    matched, expired, holes = np.split(of_row, ends[:-1])
    measured = measure(closed, np.array([one.same_clock for one in facts], dtype=bool)[matched])
    tables = {
        "match": rows.matches(place, closed, measured, facts, matched) if matched.size else None,
        "histogram": histograms(place, messages(closed, measured, of_row[: ends[1]]), facts, window_ns),
        "clock": clocks(place, closed, facts, matched),
        "unmatched": _unmatched(place, closed, flows, facts, (expired, holes), about),
    }
    return {kind: table for kind, table in tables.items() if table is not None}


def _everyone(closed: Closed) -> Rows:
    """Return who is named by the matches, then by the expired sends, then by the holes."""
    holes = closed.holes.receives
    nobody = (_nobody(closed.expired.flow.size), _nobody(holes.flow.size))
    return Rows(
        _joined(closed.sends.flow, closed.expired.flow, holes.flow),
        _joined(closed.sends.process, closed.expired.process, nobody[1]),
        _joined(closed.receives.process, nobody[0], holes.process),
    )


def _nobody(size: int) -> I32:
    return np.full(size, UNHEARD, dtype=np.int32)


def _joined(*columns: I32) -> I32:
    return np.concatenate(columns)


def _unmatched(
    place: Place, closed: Closed, flows: Flows, facts: list[Link], of_row: tuple[I64, I64], about: About
) -> pa.Table | None:
    tables = []
    if closed.expired.flow.size:
        reasons = Reasons([_reason(one, flows, about, one.direction ^ 1) for one in facts], of_row[0])
        unread = _unread(closed.expired, flows)
        tables.append(sends(place, closed.expired, reasons.with_unread(unread), facts, of_row[0]))
    if closed.holes.begin.size:
        reasons = Reasons([_reason(one, flows, about, one.direction) for one in facts], of_row[1])
        tables.append(receives(place, closed.holes, reasons.texts(), facts, of_row[1]))
    return pa.concat_tables(tables) if tables else None


def _unread(expired: Sends, flows: Flows) -> Bools:
    """Say of which sends all bytes arrived and neither the last one nor any behind it was read."""
    unread: Bools = (flows.arrived[expired.flow] >= expired.end) & (flows.read[expired.flow] < expired.end)
    return unread


def _reason(one: Link, flows: Flows, about: About, other_end: int) -> str:
    """Return why what is of this link found nothing at its other end, the surest reason first."""
    if about.why is not None:
        return about.why
    if one.thinned:
        return SAMPLED
    if about.silent and flows.home(one.flow & ~1 | other_end) in about.silent:
        return PEER_LOST
    if one.ends[other_end] is None:
        return NO_PEER
    if any(end is not None and end.host in about.gaps for end in one.ends):
        return LOST
    return UNKNOWN
