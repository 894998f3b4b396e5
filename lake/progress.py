# SPDX-License-Identifier: Apache-2.0
"""Progress rows: which Kafka offsets each commit covered, and the state object that goes with them.

Found through the statistics in the table's log, so that a take-over opens the few files that can hold the row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from lake.storage import Storage, translated
from schemas.tables import KINDS

_WHOLE = 32
"""Texts of this length or more may stand shortened in statistics."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One partition's part of one commit."""

    topic: str
    topic_id: str
    topic_partition: int
    from_offset: int
    to_offset: int
    flushed: bool
    state: str
    committed_at_ns: int


def table(rows: Sequence[Progress], hour_index: int) -> pa.Table:
    """Return rows as the table that is written."""
    columns = {
        field.name: pa.array([getattr(row, field.name) for row in rows], field.type)
        for field in KINDS["progress"]
    }
    return pa.table({**columns, "hour_index": pa.array([hour_index] * len(rows), pa.int64())})


def newest_first(storage: Storage, live: pa.Table, **wanted: str | int) -> list[Progress]:
    """Return the rows whose columns have the values wanted, the furthest first, at one offset a flush first."""
    rows = _read(storage, _holding(live, wanted), list(KINDS["progress"].names), wanted)
    found = [Progress(**row) for row in rows.to_pylist()]
    return sorted(found, key=lambda row: (row.to_offset, row.from_offset), reverse=True)


def topic_ids(storage: Storage, live: pa.Table, topic: str) -> set[str]:
    """Return every id a topic of this name was read under."""
    files = _holding(live, {"topic": topic})
    alone = pc.fill_null(pc.and_(_one_value(files, "topic"), _one_value(files, "topic_id")), False)  # noqa: FBT003
    known = set(files.filter(alone)["min.topic_id"].to_pylist())
    rest = _read(storage, files.filter(pc.invert(alone)), ["topic_id"], {"topic": topic})
    return known | set(rest["topic_id"].to_pylist())


def _holding(live: pa.Table, wanted: dict[str, str | int]) -> pa.Table:
    """Return the files that can hold a row with the values wanted; unknown statistics exclude nothing."""
    files = live.filter(pc.equal(live["partition.kind"], "progress"))
    for name, value in wanted.items():
        above = pc.greater(files[f"min.{name}"], value)
        below = pc.less(files[f"max.{name}"], value)
        files = files.filter(pc.invert(pc.fill_null(pc.or_kleene(above, below), False)))  # noqa: FBT003
    return files


def _one_value(files: pa.Table, name: str) -> pa.ChunkedArray:
    least, greatest = files[f"min.{name}"], files[f"max.{name}"]
    return pc.and_(pc.equal(least, greatest), pc.less(pc.utf8_length(least), _WHOLE))


def _read(storage: Storage, files: pa.Table, columns: list[str], wanted: dict[str, str | int]) -> pa.Table:
    found = ds.dataset(
        files["path"].to_pylist(), schema=KINDS["progress"], format="parquet", filesystem=storage.filesystem
    )
    matching = [ds.field(name) == value for name, value in wanted.items()]
    condition = matching[0]
    for other in matching[1:]:
        condition &= other
    with translated(f"cannot read progress rows of {storage.location('')}"):
        return found.to_table(columns=columns, filter=condition)
