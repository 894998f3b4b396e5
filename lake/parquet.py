# SPDX-License-Identifier: Apache-2.0
"""Rows into Parquet files: one file per kind, date and hour, with that kind's columns and nothing else.

Text is best given as dictionary columns (int32 indices), which go into the file as they are, with no hashing
per row. The order of the rows is the caller's.
"""

import json
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lake.storage import Storage
from schemas.tables import KINDS

HOUR_INDEX = "hour_index"

PRUNED = {
    "match": ("sent_at_ns",),
    "histogram": ("window_start_ns",),
    "connection": ("first_seen_ns",),
    "unmatched": ("time_ns",),
    "exchange": ("time_ns",),
    "connect": ("at_ns",),
    "close": ("at_ns",),
    "retransmit": ("at_ns",),
    "ledger": ("at_ns",),
    "agent": ("heard_ns",),
    "reading": ("at_ns",),
    "clock": ("at_ns",),
    "clock_solution": ("window_start_ns",),
    "rollup": ("window_start_ns",),
    "exemplar": ("window_start_ns",),
    "progress": ("topic", "topic_id", "topic_partition", "from_offset", "to_offset"),
}
"""Columns whose least and greatest value stand in the table's log, so that readers can leave files out."""

_ALSO_IN_FILES = ("connection", "edge")
"""Columns with statistics inside the files only, for leaving out row groups."""

_FOR_GOOD = ("rollup",)
"""Written once and kept long: packed tightly, lists as differences."""

ROW_GROUP = 262_144


@dataclass(frozen=True, slots=True)
class DataFile:
    """A written file, as the table's log wants it. `stats` is Delta's JSON."""

    path: str
    size: int
    kind: str
    date: str
    hour: int
    modified_ms: int
    stats: str


@dataclass(frozen=True, slots=True)
class LiveFile:
    """A file that a version of the table has. `rows` is None where nobody noted it."""

    path: str
    size: int
    kind: str
    date: str
    hour: int
    rows: int | None
    modified_ms: int
    topic_id: str = ""
    """Of progress rows that are all of one topic, empty otherwise."""


def write_kind(storage: Storage, kind: str, tables: Sequence[pa.Table]) -> list[DataFile]:
    """Write the rows of one kind, not yet synced. Each table has the kind's columns and `hour_index`.

    Raises:
        ValueError: a column is missing, unknown, or of another type.
    """
    filled = [table for table in (_checked(kind, table) for table in tables) if table.num_rows]
    if not filled:
        return []
    return [_write(storage, kind, hour, rows) for hour, rows in _by_hour(_joined(kind, filled))]


def hour_name(hour_index: int) -> tuple[str, int]:
    """Return the date (YYYY-MM-DD, UTC) and the hour of an hour since the epoch."""
    moment = datetime.fromtimestamp(hour_index * 3600, UTC)
    return moment.strftime("%Y-%m-%d"), moment.hour


def hour_index(date: str, hour: int) -> int:
    """Return the hour since the epoch that `hour_name` names so."""
    return int(datetime.strptime(date, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()) // 3600 + hour


def _checked(kind: str, table: pa.Table) -> pa.Table:
    expected = {**{field.name: field.type for field in KINDS[kind]}, HOUR_INDEX: pa.int64()}
    found = {field.name: _plain(field.type) for field in table.schema}
    if found != expected:
        wrong = sorted({name for name, _ in expected.items() ^ found.items()})
        raise ValueError(f"rows of kind {kind} differ from its columns in: {', '.join(wrong)}")
    if table[HOUR_INDEX].null_count:
        raise ValueError(f"rows of kind {kind} have no {HOUR_INDEX}")
    return table.select(list(expected))


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _joined(kind: str, tables: Sequence[pa.Table]) -> pa.Table:
    if any(not table.schema.equals(tables[0].schema) for table in tables):
        plain = pa.schema([*KINDS[kind], pa.field(HOUR_INDEX, pa.int64())])
        tables = [table.cast(plain) for table in tables]
    # Parquet has one dictionary per column and row group: differing ones would be hashed row by row.
    return pa.concat_tables(tables).unify_dictionaries()


def _by_hour(rows: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    hours, rows = rows[HOUR_INDEX], rows.drop_columns([HOUR_INDEX])
    different = pc.unique(hours).sort().to_pylist()
    for hour in different:
        yield hour, rows if len(different) == 1 else rows.filter(pc.equal(hours, hour))


def _write(storage: Storage, kind: str, hour_index: int, rows: pa.Table) -> DataFile:
    return write_groups(storage, kind, hour_name(hour_index), [rows])


def write_groups(storage: Storage, kind: str, hour: tuple[str, int], groups: Iterable[pa.Table]) -> DataFile:
    """Write one file of a date and hour from tables of the kind's columns, in order, not yet synced."""
    date, number = hour
    path = f"kind={kind}/date={date}/hour={number}/part-{uuid.uuid4().hex}.parquet"
    stats = _Stats(kind)
    with storage.writing(path) as stream:
        writer: pq.ParquetWriter | None = None
        for rows in groups:
            writer = writer or pq.ParquetWriter(stream, rows.schema, **_options(kind))
            writer.write_table(rows, row_group_size=ROW_GROUP)
            stats.add(rows)
        if writer is None:
            raise ValueError(f"a file of kind {kind} has rows")
        writer.close()
        size = stream.tell()
    return DataFile(path, size, kind, date, number, time.time_ns() // 10**6, stats.json())


class _Stats:
    """What Delta's log says of a file, added up over its parts."""

    def __init__(self, kind: str) -> None:
        self._rows = 0
        self._least: dict[str, Any] = {}
        self._greatest: dict[str, Any] = {}
        self._nulls = dict.fromkeys(PRUNED[kind], 0)

    def add(self, rows: pa.Table) -> None:
        self._rows += rows.num_rows
        for name in self._nulls:
            self._nulls[name] += rows[name].null_count
            found = pc.min_max(rows[name]).as_py()
            if found["min"] is not None:
                self._least[name] = min(found["min"], self._least.get(name, found["min"]))
                self._greatest[name] = max(found["max"], self._greatest.get(name, found["max"]))

    def json(self) -> str:
        found = (self._rows, self._least, self._greatest, self._nulls)
        names = ("numRecords", "minValues", "maxValues", "nullCount")
        return json.dumps(dict(zip(names, found, strict=True)))


@cache
def _options(kind: str) -> dict[str, Any]:
    """Return the writer's options. docs/lake.md has what the choices were measured against."""
    flat = [field for field in KINDS[kind] if not pa.types.is_nested(field.type)]
    running = {field.name for field in flat if field.type == pa.int64() and _is_running(field.name)}
    statistics = {*PRUNED[kind], *_ALSO_IN_FILES}
    encoding = dict.fromkeys(sorted(running), "DELTA_BINARY_PACKED")
    if kind in _FOR_GOOD:
        lists = [field.name for field in KINDS[kind] if pa.types.is_list(field.type)]
        encoding |= {f"{name}.list.element": "DELTA_BINARY_PACKED" for name in lists}
    return {
        "compression": "zstd",
        "compression_level": 9 if kind in _FOR_GOOD else 1,
        "use_dictionary": [field.name for field in flat if field.name not in running],
        "column_encoding": encoding,
        "write_statistics": [field.name for field in flat if field.name in statistics],
        # Without Arrow's own schema in the file a dictionary column is read as the text it is.
        "store_schema": False,
    }


def _is_running(name: str) -> bool:
    """Tell whether nearly every row has another value, so that a dictionary would only cost."""
    return name.endswith(("_ns", "_offset")) or name in {"begin", "end", "sum_ns"}
