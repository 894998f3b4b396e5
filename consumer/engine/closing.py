# SPDX-License-Identifier: Apache-2.0
"""From what closed at a tick to the rows that say so."""

import numpy as np
import pyarrow as pa

from consumer.engine import rows
from consumer.engine.arrow import Place
from consumer.engine.facts import Link, Rows, describe, link
from consumer.engine.flows import UNHEARD, Flows
from consumer.engine.histograms import histograms, messages
from consumer.latency.intervals import I32, I64
from consumer.latency.match import Closed
from consumer.latency.measure import measure

NO_PEER, UNKNOWN, EVICTED, SAMPLED = "no_peer_agent", "unknown", "evicted", "sampled_out"


def rows_of(
    place: Place, closed: Closed, flows: Flows, window_ns: int, why: str | None = None
) -> dict[str, pa.Table]:
    """Return the tables (kind -> rows) of all that closed; kinds without rows are left out.

    ``why`` is the reason of what found no other end, None = its horizon came.
    """
    links = link(_everyone(closed))
    facts = describe(flows, links.triples)
    of_row = links.rows()
    ends = np.cumsum([closed.sends.flow.size, closed.expired.flow.size, closed.holes.begin.size])
    matched, expired, holes = np.split(of_row, ends[:-1])
    measured = measure(closed, np.array([one.same_clock for one in facts], dtype=bool)[matched])
    tables = {
        "match": rows.matches(place, closed, measured, facts, matched) if matched.size else None,
        "histogram": histograms(place, messages(closed, measured, of_row[: ends[1]]), facts, window_ns),
        "unmatched": _unmatched(place, closed, facts, (expired, holes), why),
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
    place: Place, closed: Closed, facts: list[Link], of_row: tuple[I64, I64], why: str | None
) -> pa.Table | None:
    sends, receives, holes = closed.expired, closed.holes.receives, closed.holes
    tables = []
    if sends.flow.size:
        reasons = [why or _reason(one, one.direction ^ 1) for one in facts]
        sent = rows.Ranges("send", sends.begin, sends.end, sends.time + sends.offset, of_row[0])
        tables.append(rows.unmatched(place, sent, reasons, facts))
    if receives.flow.size:
        reasons = [why or _reason(one, one.direction) for one in facts]
        read = rows.Ranges("receive", holes.begin, holes.end, receives.time + receives.offset, of_row[1])
        tables.append(rows.unmatched(place, read, reasons, facts))
    return pa.concat_tables(tables) if tables else None


def _reason(one: Link, other_end: int) -> str:
    if one.thinned:
        return SAMPLED
    return NO_PEER if one.ends[other_end] is None else UNKNOWN
