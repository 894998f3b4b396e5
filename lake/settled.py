# SPDX-License-Identifier: Apache-2.0
"""Up to when the windows of a lake are settled: what could still close in them has closed.

Each partition tells in its progress rows up to which of the broker's time it was read. One that was read to
its end and closed (flushed) has nothing more to say and is not waited for, nor is one that has committed
nothing for an hour. What comes late all the same is found by the number of rows (`lake.rollup`), so this
decides when, never what.
"""

from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from lake.delta import Table
from lake.parquet import hour_index
from lake.storage import Storage, translated
from schemas.tables import KINDS

_COLUMNS = ["topic_id", "topic_partition", "to_offset", "flushed", "committed_at_ns", "reached_ns"]


class Waits(NamedTuple):
    """How long is waited, ns."""

    behind: int
    """A window is settled once all partitions were read so far beyond its end."""
    longest: int
    """Or so long after its end by the clock of who asks: no partition holds the others for ever."""


class Standing(NamedTuple):
    """Where a partition stood at its last commit."""

    flushed: bool
    committed_at_ns: int
    reached_ns: int | None


def settled_to(standings: list[Standing], waits: Waits, now_ns: int) -> int:
    """Return the time at which windows have to end to be settled, ns since the epoch.

    With every partition at its end and closed that is the last commit: nothing was there after it.
    """
    waited = [one.reached_ns for one in standings if not one.flushed and one.reached_ns is not None]
    if waited:
        line = min(waited) - waits.behind
    elif standings and all(one.flushed for one in standings):
        line = max(one.committed_at_ns for one in standings)
    else:
        line = 0
    return min(max(line, now_ns - waits.longest), now_ns)


def standings(table: Table, storage: Storage) -> list[Standing]:
    """Return where each partition stood that committed in the last two hours in which any did.

    Raises:
        LakeUnavailableError: a file of progress rows cannot be read.
    """
    files = table.files("progress")
    last = max((hour_index(file.date, file.hour) for file in files), default=0)
    paths = [file.path for file in files if hour_index(file.date, file.hour) >= last - 1]
    found = ds.dataset(paths, schema=KINDS["progress"], format="parquet", filesystem=storage.filesystem)
    with translated(f"cannot read progress rows below {storage.uri}"):
        rows = found.to_table(columns=_COLUMNS) if paths else KINDS["progress"].empty_table()
    return _last(rows)


def _last(rows: pa.Table) -> list[Standing]:
    order = [("to_offset", "descending"), ("committed_at_ns", "descending")]
    rows = rows.take(pc.sort_indices(rows, sort_keys=order))
    names = Standing._fields
    firsts = rows.group_by(["topic_id", "topic_partition"], use_threads=False)
    last = firsts.aggregate([(name, "first") for name in names])
    return [
        Standing(*values) for values in zip(*(last[f"{n}_first"].to_pylist() for n in names), strict=True)
    ]
