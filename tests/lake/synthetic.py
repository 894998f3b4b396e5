# SPDX-License-Identifier: Apache-2.0
"""Commits whose rows are a pure function of their offsets and the state before, so the truth is known.

Each offset gives one row of every kind. One column is the sum of all offsets before, carried in the state, so
that rows made from a wrong state differ. Offsets from `HOUR_AT` on belong to the next hour.
"""

import pyarrow as pa
import pyarrow.parquet as pq

from lake.facts import Facts, PartitionCommit, Resume
from schemas.tables import KINDS

TOPIC, TOPIC_ID = "wirelag.events.v1", "k3Jx_0aTQ-unitTestTopic"
HOUR, HOUR_AT = 486_000, 40
HOUR_NS = 3600 * 10**9
_CARRIED = {
    "match": "begin",
    "histogram": "n",
    "connection": "netns",
    "unmatched": "begin",
    "ledger": "events",
    "agent": "order_number",
    "connect": "pid",
    "close": "sent_bytes",
    "retransmit": "begin",
    "reading": "raw_offset_ns",
}
EVENT_KINDS = list(_CARRIED)
"""Kinds that a partition's own rows are of, with a column of numbers to carry what was before."""
_TIMES = ("sent_at_ns", "window_start_ns", "first_seen_ns", "time_ns", "at_ns")


def rows(kind: str, partition: int, offsets: range, carried: int) -> pa.Table:
    """Return one row an offset."""
    hours = [HOUR + (offset >= HOUR_AT) for offset in offsets]
    columns = {}
    for field in KINDS[kind]:
        values = [_value(field.type, offset) for offset in offsets]
        if field.name == "topic_partition":
            values = [partition for _ in offsets]
        if field.name in _TIMES:
            values = [hour * HOUR_NS + offset for hour, offset in zip(hours, offsets, strict=True)]
        if field.name == _CARRIED[kind]:
            values = [carried + sum(range(offsets.start, offset)) for offset in offsets]
        columns[field.name] = pa.array(values, field.type)
        if field.type == pa.string():
            columns[field.name] = columns[field.name].dictionary_encode()
    return pa.table({**columns, "hour_index": pa.array(hours, pa.int64())})


def part(partition: int, from_offset: int, to_offset: int, state: bytes | None = None) -> PartitionCommit:
    """Return the commit of [from_offset, to_offset); without a state, after the right one."""
    offsets = range(from_offset, to_offset)
    carried = sum(range(from_offset)) if state is None else int(state)
    tables = {kind: rows(kind, partition, offsets, carried) for kind in EVENT_KINDS}
    after = str(carried + sum(offsets)).encode()
    return PartitionCommit(TOPIC, TOPIC_ID, partition, from_offset, to_offset, after, False, tables)  # noqa: FBT003


def flush(partition: int, at: int) -> PartitionCommit:
    """Return a flush alone, whose one row of kind `unmatched` is unlike any other."""
    tables = {"unmatched": rows("unmatched", partition, range(at, at + 1), -1)}
    state = str(sum(range(at))).encode()
    return PartitionCommit(TOPIC, TOPIC_ID, partition, at, at, state, True, tables)  # noqa: FBT003


def resumed(facts: Facts, partition: int) -> Resume:
    """Take a partition over; a new one begins at 0."""
    return facts.resume(TOPIC_ID, partition) or Resume(0, b"0", flushed=False)


def advance(facts: Facts, partitions: range, step: int, end: int) -> None:
    """Resume all partitions, then commit `step` offsets of each at a time until `end`."""
    at = {partition: resumed(facts, partition) for partition in partitions}
    while any(place.next_offset < end for place in at.values()):
        parts = [
            part(partition, place.next_offset, min(place.next_offset + step, end), place.state)
            for partition, place in at.items()
            if place.next_offset < end
        ]
        facts.commit(parts)
        at |= {done.partition: Resume(done.to_offset, done.state, flushed=False) for done in parts}


def stored(facts: Facts, kind: str) -> list[dict[str, object]]:
    """Return every row of a kind in the table, its own columns in a fixed order."""
    facts.refresh()
    names = KINDS[kind].names
    files = [pq.read_table(file, partitioning=None) for file in facts.files(kind, None, None)]
    return sorted([row for file in files for row in file.select(names).to_pylist()], key=repr)


def expected(kind: str, partitions: range, end: int) -> list[dict[str, object]]:
    """Return what `stored` gives when every offset below `end` is there once."""
    found = [
        row
        for partition in partitions
        for row in rows(kind, partition, range(end), 0).drop_columns(["hour_index"]).to_pylist()
    ]
    return sorted(found, key=repr)


def _value(kind: pa.DataType, offset: int) -> object:
    if pa.types.is_list(kind):
        return [offset, offset + 1]
    if pa.types.is_boolean(kind):
        return offset % 3 == 0
    return f"name-{offset % 5}" if kind == pa.string() else offset
