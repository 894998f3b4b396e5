# SPDX-License-Identifier: Apache-2.0
"""Progress rows: which Kafka offsets each commit covered, and the state object that goes with them.

They are found through the statistics in the table's log, so that a take-over opens few files.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from common.units import HOUR_NS
from lake.errors import LakeCorruptError
from lake.parquet import HOUR_INDEX
from lake.partition import PartitionCommit
from lake.storage import Storage, translated
from schemas.tables import KINDS

_WHOLE = 32
"""Texts of this length or more may stand shortened in statistics."""

_HOUR = ("partition.date", "partition.hour")

_NO = pa.scalar(False)  # noqa: FBT003 - not a choice of ours


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
    told: list[str] | None = None
    """None where a version wrote it that did not tell."""
    reached_ns: int | None = None


def table(parts: Sequence[PartitionCommit], names: Sequence[str], now_ns: int) -> pa.Table:
    """Return the rows of a commit whose state objects have these names."""
    columns = {
        "topic": [part.topic for part in parts],
        "topic_id": [part.topic_id for part in parts],
        "topic_partition": [part.partition for part in parts],
        "from_offset": [part.from_offset for part in parts],
        "to_offset": [part.to_offset for part in parts],
        "flushed": [part.flushed for part in parts],
        "state": list(names),
        "committed_at_ns": [now_ns] * len(parts),
        "told": [[f"{offset} {word}" for offset, word in part.told] for part in parts],
        "reached_ns": [part.reached_ns for part in parts],
        HOUR_INDEX: [now_ns // HOUR_NS] * len(parts),
    }
    return pa.table(columns, KINDS["progress"].append(pa.field(HOUR_INDEX, pa.int64())))


def newest_first(storage: Storage, live: pa.Table, **wanted: str | int) -> list[Progress]:
    """Return the rows with these values, the furthest first; a flush alone comes before what it follows."""
    return _rows(storage, _holding(live, wanted), wanted)


def latest(
    storage: Storage, live: pa.Table, enough: Callable[[Progress], bool], **wanted: str | int
) -> list[Progress]:
    """Return rows with these values as `newest_first` does, hour by hour back to one that is enough.

    Where none is enough these are all. Most often the first hour will do, however many there are.
    """
    files = _holding(live, wanted)
    hours = sorted(set(zip(*(files[name].to_pylist() for name in _HOUR), strict=True)), reverse=True)
    found: list[Progress] = []
    for date, hour in hours:
        there = pc.and_(pc.equal(files[_HOUR[0]], date), pc.equal(files[_HOUR[1]], hour))
        found += _rows(storage, files.filter(there), wanted)
        if any(enough(row) for row in found):
            break
    return _sorted(found)


def _rows(storage: Storage, files: pa.Table, wanted: dict[str, str | int]) -> list[Progress]:
    rows = _read(storage, files, list(KINDS["progress"].names), wanted)
    return _sorted([Progress(**row) for row in rows.to_pylist()])


def _sorted(rows: list[Progress]) -> list[Progress]:
    return sorted(rows, key=lambda row: (row.to_offset, row.from_offset), reverse=True)


def topic_ids(storage: Storage, live: pa.Table, topic: str) -> set[str]:
    """Return every id a topic of this name was read under."""
    files = _holding(live, {"topic": topic})
    alone = pc.fill_null(pc.and_(_one_value(files, "topic"), _one_value(files, "topic_id")), _NO)
    known = set(files.filter(alone)["min.topic_id"].to_pylist())
    rest = _read(storage, files.filter(pc.invert(alone)), ["topic_id"], {"topic": topic})
    return known | set(rest["topic_id"].to_pylist())


def _holding(live: pa.Table, wanted: dict[str, str | int]) -> pa.Table:
    """Return the files that can hold a row with the values wanted; unknown statistics exclude nothing."""
    files = live.filter(pc.equal(live["partition.kind"], "progress"))
    for name, value in wanted.items():
        above = pc.greater(files[f"min.{name}"], value)
        below = pc.less(files[f"max.{name}"], value)
        files = files.filter(pc.invert(pc.fill_null(pc.or_kleene(above, below), _NO)))
    return files


def _one_value(files: pa.Table, name: str) -> pa.ChunkedArray:
    least, greatest = files[f"min.{name}"], files[f"max.{name}"]
    return pc.and_(pc.equal(least, greatest), pc.less(pc.utf8_length(least), _WHOLE))


def _read(storage: Storage, files: pa.Table, columns: list[str], wanted: dict[str, str | int]) -> pa.Table:
    found = ds.dataset(
        files["path"].to_pylist(), schema=KINDS["progress"], format="parquet", filesystem=storage.filesystem
    )
    condition = reduce(and_, (ds.field(name) == value for name, value in wanted.items()))
    try:
        with translated(f"cannot read progress rows below {storage.uri}"):
            return found.to_table(columns=columns, filter=condition)
    except pa.ArrowInvalid as error:
        raise LakeCorruptError(
            f"a file of progress rows below {storage.uri} is unusable: {error}; restore it from a copy",
            name="kind=progress",
        ) from error
