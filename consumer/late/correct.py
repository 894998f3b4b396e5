# SPDX-License-Identifier: Apache-2.0
"""The additive rows that a look leads to. With them the lake says what an undisturbed run would have said.

- A match row for each, marked LATE, and histogram parts of its measures in the window of its event.
- Histogram parts with negative counts for what was counted of it when it closed (its send block, and that it
  was seen), under the edge of then: that may have another name now that both ends are known. Least and
  greatest values are not taken back.
- Unmatched rows of negative weight for what is open no more, new ones for what reads have left.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from consumer.engine.arrow import Place, hour_index
from consumer.engine.closing import About, rows_of
from consumer.engine.records import combine
from consumer.late.find import Found, distinct
from consumer.late.taken import no_parts, plain, replaced, runs_of, taken
from consumer.latency.histogram import fill
from consumer.latency.intervals import I64, Sends, empty, take
from consumer.latency.sampling import Rates, one_end, told
from schemas.clock import ONE_HOST, SAME_HOST
from schemas.event import Flag
from schemas.tables import LATE

_NOBODY = About(frozenset(), frozenset())
_ONE_CLOCK = (("delivery", SAME_HOST), ("wire", SAME_HOST))
_ANY_CLOCK = (("receive-wait", ONE_HOST),)


def corrections(found: Found, tick: int, now_ms: int, window_ns: int) -> dict[str, pa.Table]:
    """Return rows by kind, with ``hour_index``; empty where nothing matched.

    ``tick`` names the parts of histograms and is no other look's; ``now_ms`` files rows whose own time cannot
    be believed.
    """
    if not found.closed.sends.flow.size:
        return {}
    rows = found.rows
    parts = [taken_back(rows.take(pa.array(found.done)), tick, now_ms), _left(found, tick, now_ms)]
    origin = rows["topic_partition"].to_numpy(zero_copy_only=False)[found.closed.sends.born]
    outputs: list[dict[str, pa.Table]] = [{"unmatched": part} for part in parts if part.num_rows]
    for partition in np.unique(origin).tolist():
        picked = np.flatnonzero(origin == partition)
        place = Place(partition, tick, now_ms)
        outputs.append(_matched(found, picked, place, window_ns))
        outputs.append(
            {"histogram": _taken_out(rows.take(pa.array(found.closed.sends.born[picked])), place, window_ns)}
        )
    return combine([{kind: plain(one) for kind, one in output.items()} for output in outputs])


def _matched(found: Found, picked: I64, place: Place, window_ns: int) -> dict[str, pa.Table]:
    closed = found.closed
    alone = closed._replace(
        sends=take(closed.sends, picked),
        receives=take(closed.receives, picked),
        arrived=closed.arrived[picked],
        arrival_flags=closed.arrival_flags[picked],
        expired=empty(Sends),
        holes=_no_holes(found),
    )
    rows = rows_of(place, alone, found.flows, window_ns, _NOBODY)
    flags = rows["match"]["flags"].to_numpy() | LATE
    rows["match"] = replaced(rows["match"], "flags", pa.array(flags.astype(np.int32)))
    return rows


def _no_holes(found: Found) -> Any:  # noqa: ANN401 - Holes
    holes = found.closed.holes
    nothing = np.zeros(0, dtype=np.int64)
    stamps = type(holes.stamps)(nothing, nothing, nothing, nothing.astype(np.int32))
    return type(holes)(take(holes.receives, nothing), nothing, nothing, nothing.astype(bool), stamps)


def taken_back(done: pa.Table, tick: int, now_ms: int) -> pa.Table:
    """Return rows that take back open ones."""
    weight = -done["weight"].to_numpy()
    return _filed(replaced(done, "weight", pa.array(weight.astype(np.int32))), tick, now_ms)


def _left(found: Found, tick: int, now_ms: int) -> pa.Table:
    """Return what is left of reads that are done in part."""
    holes, rows = found.closed.holes, found.rows
    part = np.isin(holes.receives.born, found.done)
    left = rows.take(pa.array(holes.receives.born[part]))
    for name, values in (("begin", holes.begin), ("end", holes.end)):
        left = replaced(left, name, pa.array(values[part]))
    return _filed(replaced(left, "weight", pa.array(np.ones(left.num_rows, dtype=np.int32))), tick, now_ms)


def _filed(rows: pa.Table, tick: int, now_ms: int) -> pa.Table:
    rows = replaced(rows, "tick", pa.array(np.full(rows.num_rows, tick, dtype=np.int64)))
    times = rows["time_ns"].to_numpy()
    return rows.append_column("hour_index", pa.array(hour_index(times, now_ms)))


def _taken_out(sends: pa.Table, place: Place, window_ns: int) -> pa.Table:
    """Return parts that take back what was counted of messages when they closed, under the edge of then."""
    sends = sends.filter(pa.array((sends["flags"].to_numpy() & Flag.LAST_PIECE) != 0))
    groups, of_row = _grouped(sends, window_ns)
    size = groups.num_rows
    seen = np.bincount(of_row, sends["seen"].to_numpy() > 0, size).astype(np.int64)
    one_clock = np.array([clock == SAME_HOST for clock in groups["clock"].to_pylist()], dtype=bool)
    order, runs = runs_of(of_row, size)
    block = sends["duration_ns"].to_numpy()[order]
    blocked = fill(runs, size, block, np.ones(block.size, dtype=bool))
    empty_of = no_parts(size)
    blocks = taken(place, groups, ("send-block", ONE_HOST), blocked, window_ns)
    parts = [replaced(blocks, "keep", _keeps(groups))]
    for named in (*_ONE_CLOCK, *_ANY_CLOCK):
        counted = np.where(one_clock, seen, 0) if named[1] == SAME_HOST else seen
        parts.append(taken(place, groups, named, empty_of._replace(seen=counted), window_ns))
    rows = pa.concat_tables([plain(part) for part in parts])
    return rows.filter(pc.not_equal(rows["seen"], 0))


def _grouped(sends: pa.Table, window_ns: int) -> tuple[pa.Table, I64]:
    """Return the distinct edges and windows of sends, and which of them each one is of."""
    window = sends["time_ns"].to_numpy() // window_ns * window_ns
    names = ["edge", "host", "peer_host", "clock", "connection_rate", "block_rate"]
    keyed = sends.select(names).append_column("window", pa.array(window))
    groups, of_row = distinct(keyed)
    return groups.rename_columns({"host": "sender_host", "peer_host": "receiver_host"}), of_row


def _keeps(groups: pa.Table) -> pa.Array:
    """Return the chance that the sends of each group were kept, null for 1."""
    rates = zip(groups["connection_rate"].to_pylist(), groups["block_rate"].to_pylist(), strict=True)
    keeps = [None if one[0] is None else told(one_end(Rates(*one))) for one in rates]
    return pa.array(keeps, pa.float64())
