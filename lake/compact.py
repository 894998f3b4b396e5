# SPDX-License-Identifier: Apache-2.0
"""Many small files of one kind, date and hour into few: the same rows, in the columns of their kind.

Which files go together is decided by sizes alone, so that what is merged once is left alone: a file of half
the wanted size or more never again, a smaller one only where what joins it is worth reading it once more.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from common.units import HOUR_NS
from lake.errors import LakeCorruptError
from lake.parquet import ROW_GROUP, DataFile, LiveFile, hour_name, write_groups
from lake.storage import Storage
from schemas.tables import KINDS

MANY = 8
"""So many files are merged, whatever their sizes."""
WORTH = 4
"""Fewer are merged where the largest has at most so many times the bytes of the others."""


@dataclass(frozen=True, slots=True)
class Job:
    """Files that become one, or for progress rows one for each topic."""

    kind: str
    date: str
    hour: int
    files: tuple[LiveFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def is_over(date: str, hour: int, moment_ns: int) -> bool:
    """Tell whether an hour had ended at a moment."""
    return (date, hour) < hour_name(moment_ns // HOUR_NS)


def plan(files: Sequence[LiveFile], over_ns: int, open_size: int, closed_size: int) -> list[Job]:
    """Return what to merge, oldest hours first.

    Args:
        files: of the table; kinds that this version does not know are left alone.
        over_ns: hours that had ended at this time get files of `closed_size` bytes, others of `open_size`.
        open_size: bytes.
        closed_size: bytes.
    """
    there: dict[tuple[str, int, str, str], list[LiveFile]] = defaultdict(list)
    for file in files:
        if file.kind in KINDS:
            there[file.date, file.hour, file.kind, file.topic_id].append(file)
    jobs = []
    for (date, hour, kind, _), group in sorted(there.items()):
        size = closed_size if is_over(date, hour, over_ns) else open_size
        jobs += [Job(kind, date, hour, tuple(some)) for some in _together(group, size)]
    return jobs


def _together(files: Sequence[LiveFile], wanted: int) -> Iterator[list[LiveFile]]:
    small = sorted((file for file in files if file.size < wanted // 2), key=lambda f: (f.modified_ms, f.path))
    gathered: list[LiveFile] = []
    for file in small:
        gathered.append(file)
        if sum(one.size for one in gathered) >= wanted:
            yield gathered
            gathered = []
    if _is_worth(gathered):
        yield gathered


def _is_worth(files: Sequence[LiveFile]) -> bool:
    largest = max((file.size for file in files), default=0)
    rest = sum(file.size for file in files) - largest
    return len(files) >= MANY or (len(files) > 1 and largest <= WORTH * rest)


def rewrite(storage: Storage, job: Job) -> list[DataFile]:
    """Write the rows of a job's files into new ones, not yet synced.

    Raises:
        LakeCorruptError: a file cannot be read, or has other rows than the table's log says.
    """
    hour = job.date, job.hour
    if job.kind != "progress":
        return [write_groups(storage, job.kind, hour, _grouped(_tables(storage, job)))]
    # One file for each topic and in the order of partitions, so that the log's statistics lead to few files.
    rows = pa.concat_tables(_tables(storage, job))
    order = ("topic", "topic_id", "topic_partition", "to_offset", "from_offset")
    rows = rows.sort_by([(name, "ascending") for name in order])
    ids = rows["topic_id"].to_pylist()
    cuts = [index for index in range(len(ids)) if index == 0 or ids[index] != ids[index - 1]]
    parts = zip(cuts, [*cuts[1:], len(ids)], strict=True)
    return [write_groups(storage, job.kind, hour, [rows.slice(at, end - at)]) for at, end in parts]


def _tables(storage: Storage, job: Job) -> Iterator[pa.Table]:
    for file in job.files:
        found = 0
        for table in read(storage, file):
            found += table.num_rows
            yield table
        if file.rows is not None and found != file.rows:
            raise LakeCorruptError(
                f"{storage.location(file.path)} has {found} rows, the table's log says {file.rows}; "
                "restore it from a copy",
                name=file.path,
            )


def _grouped(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Join tables to as many rows as a row group has, so that no more than that is in memory."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(one.num_rows for one in waiting) >= ROW_GROUP:
            yield pa.concat_tables(waiting).unify_dictionaries()
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting).unify_dictionaries()


def read(storage: Storage, file: LiveFile) -> Iterator[pa.Table]:
    """Yield the rows of a file in the columns of its kind; those that it lacks are null.

    Raises:
        LakeCorruptError: it cannot be read.
    """
    fields = _fields(file.kind)
    try:
        with storage.filesystem.open_input_file(file.path) as stream:
            end = pq.read_metadata(stream)
            there = set(end.schema.to_arrow_schema().names)
            present = [field for field in fields if field.name in there]
            texts = [field.name for field in present if pa.types.is_dictionary(field.type)]
            source = pq.ParquetFile(stream, metadata=end, read_dictionary=texts)
            for batch in source.iter_batches(ROW_GROUP, columns=[field.name for field in present]):
                yield pa.table([_column(batch, field) for field in fields], schema=fields)
    except FileNotFoundError as error:
        raise _unusable(storage, file, "it is missing") from error
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise _unusable(storage, file, str(error)) from error


def _unusable(storage: Storage, file: LiveFile, why: str) -> LakeCorruptError:
    return LakeCorruptError(
        f"{storage.location(file.path)} cannot be read: {why}; restore it from a copy", name=file.path
    )


def _fields(kind: str) -> pa.Schema:
    text = pa.string() if kind == "progress" else pa.dictionary(pa.int32(), pa.string())
    return pa.schema(
        [pa.field(field.name, text if field.type == pa.string() else field.type) for field in KINDS[kind]]
    )


def _column(batch: pa.RecordBatch, field: pa.Field) -> pa.Array:
    if field.name not in batch.schema.names:
        return pa.nulls(batch.num_rows, field.type)
    column = batch.column(field.name)
    return column if column.type == field.type else column.cast(field.type)
