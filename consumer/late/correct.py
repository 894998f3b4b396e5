# SPDX-License-Identifier: Apache-2.0
"""The additive rows that a look leads to. With them the lake says what an undisturbed run would have said.

- A match row for each, marked LATE; histogram parts of its measures, in the window of its event. Its send
  block was counted when it closed.
- Where it was counted in ``seen`` when it closed, a part with ``seen`` negative takes that back: its edge may
  have another name now that both ends are known.
- Unmatched rows of negative weight for what is open no more, new ones for what reads have left.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from consumer.engine.arrow import Place, hour_index, table
from consumer.engine.closing import About, rows_of
from consumer.engine.records import combine
from consumer.late.find import Found
from consumer.latency.intervals import I64, Sends, empty, take
from schemas.event import Flag
from schemas.histogram import SCALE
from schemas.tables import LATE

_NOBODY = About(frozenset(), frozenset())
_ONE_CLOCK = (("delivery", "same_host"), ("wire", "same_host"))
_ANY_CLOCK = (("receive-wait", "one_host"),)


def corrections(found: Found, tick: int, now_ms: int, window_ns: int) -> dict[str, pa.Table]:
    """Return rows by kind, with ``hour_index``; empty where nothing matched.

    ``tick`` names the parts of histograms and is no other look's; ``now_ms`` files rows whose own time cannot
    be believed.
    """
    if not found.closed.sends.flow.size:
        return {}
    rows = found.rows
    parts = [_taken_back(rows.take(pa.array(found.done)), tick, now_ms), _left(found, tick, now_ms)]
    origin = rows["topic_partition"].to_numpy(zero_copy_only=False)[found.closed.sends.born]
    outputs: list[dict[str, pa.Table]] = [{"unmatched": part} for part in parts if part.num_rows]
    for partition in np.unique(origin).tolist():
        picked = np.flatnonzero(origin == partition)
        place = Place(partition, tick, now_ms)
        outputs.append(_matched(found, picked, place, window_ns))
        unseen = _unseen(rows.take(pa.array(found.closed.sends.born[picked])), place, window_ns)
        if unseen.num_rows:
            outputs.append({"histogram": unseen})
    return combine([{kind: _plain(one) for kind, one in output.items()} for output in outputs])


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
    rows["match"] = _set(rows["match"], "flags", pa.array(flags.astype(np.int32)))
    if "histogram" in rows:
        other = pc.not_equal(rows["histogram"]["measure"], "send-block")
        rows["histogram"] = rows["histogram"].filter(other)
    return rows


def _no_holes(found: Found) -> Any:  # noqa: ANN401 - Holes
    holes = found.closed.holes
    nothing = np.zeros(0, dtype=np.int64)
    stamps = type(holes.stamps)(nothing, nothing, nothing, nothing.astype(np.int32))
    return type(holes)(take(holes.receives, nothing), nothing, nothing, nothing.astype(bool), stamps)


def _taken_back(done: pa.Table, tick: int, now_ms: int) -> pa.Table:
    weight = -done["weight"].to_numpy()
    return _filed(_set(done, "weight", pa.array(weight.astype(np.int32))), tick, now_ms)


def _left(found: Found, tick: int, now_ms: int) -> pa.Table:
    """Return what is left of reads that are done in part."""
    holes, rows = found.closed.holes, found.rows
    part = np.isin(holes.receives.born, found.done)
    left = rows.take(pa.array(holes.receives.born[part]))
    for name, values in (("begin", holes.begin), ("end", holes.end)):
        left = _set(left, name, pa.array(values[part]))
    return _filed(_set(left, "weight", pa.array(np.ones(left.num_rows, dtype=np.int32))), tick, now_ms)


def _filed(rows: pa.Table, tick: int, now_ms: int) -> pa.Table:
    rows = _set(rows, "tick", pa.array(np.full(rows.num_rows, tick, dtype=np.int64)))
    times = rows["time_ns"].to_numpy()
    return rows.append_column("hour_index", pa.array(hour_index(times, now_ms)))


def _unseen(sends: pa.Table, place: Place, window_ns: int) -> pa.Table:
    """Return parts that take back what ``seen`` counted of messages when they closed."""
    last = (sends["flags"].to_numpy() & Flag.LAST_PIECE) != 0
    counted = sends.filter(pa.array(last & (sends["seen"].to_numpy() > 0)))
    window = counted["time_ns"].to_numpy() // window_ns * window_ns
    keys = ["edge", "host", "peer_host", "clock"]
    counted = counted.select(keys).append_column("window", pa.array(window))
    groups = counted.group_by([*keys, "window"]).aggregate([([], "count_all")]).to_pylist()
    parts = [
        (group, measure, clock)
        for group in groups
        for measure, clock in (*(_ONE_CLOCK if group["clock"] == "same_host" else ()), *_ANY_CLOCK)
    ]
    size = len(parts)
    start = np.array([group["window"] for group, _, _ in parts], dtype=np.int64)
    zeros = np.zeros(size, dtype=np.int64)
    columns: dict[str, Any] = {
        "window_start_ns": start,
        "window_ns": np.full(size, window_ns, dtype=np.int64),
        "edge": [group["edge"] for group, _, _ in parts],
        "sender_host": [group["host"] for group, _, _ in parts],
        "receiver_host": [group["peer_host"] for group, _, _ in parts],
        "measure": [measure for _, measure, _ in parts],
        "clock": [clock for _, _, clock in parts],
        "n": zeros,
        "seen": -np.array([group["count_all"] for group, _, _ in parts], dtype=np.int64),
        "negative": zeros,
        "sum_ns": zeros,
        "min_ns": [None] * size,
        "max_ns": [None] * size,
        "scale": np.full(size, SCALE, dtype=np.int32),
        "buckets": [[]] * size,
        "counts": [[]] * size,
    }
    return table("histogram", place, start, columns)


def _set(rows: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return rows.set_column(rows.schema.get_field_index(name), name, values)


def _plain(rows: pa.Table) -> pa.Table:
    """Return text columns as text: parts of different origin share no dictionary."""
    fields = [
        pa.field(field.name, field.type.value_type if pa.types.is_dictionary(field.type) else field.type)
        for field in rows.schema
    ]
    return rows.cast(pa.schema(fields))
