# SPDX-License-Identifier: Apache-2.0
"""Rows of some files by a range of their time, so that an hour can be gone through without holding it.

Row groups that are out of the range are left out by their statistics; text comes as dictionaries. Columns
that a file of an earlier version lacks are null.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.dataset as ds

from lake.parquet import PRUNED, LiveFile
from lake.storage import Storage, translated
from schemas.tables import KINDS


class Range(NamedTuple):
    """Times in [begin, end), ns since the epoch."""

    begin: int
    end: int


EVER = Range(-(1 << 63), (1 << 63) - 1)


class Inputs:
    """The rows of some files of some kinds."""

    def __init__(self, storage: Storage, files: Mapping[str, Sequence[LiveFile]]) -> None:
        self._storage = storage
        self._found = {kind: _dataset(storage, kind, some) for kind, some in files.items() if some}

    def read(self, kind: str, span: Range, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the rows whose time is in a range, in the order of the files; all columns or some.

        Raises:
            LakeUnavailableError: a file cannot be read.
        """
        names = list(columns or KINDS[kind].names)
        found = self._found.get(kind)
        if found is None:
            return pa.schema([_coded(KINDS[kind].field(name)) for name in names]).empty_table()
        time = ds.field(PRUNED[kind][0])
        with translated(f"cannot read rows of kind {kind} below {self._storage.uri}"):
            return found.to_table(columns=names, filter=(time >= span.begin) & (time < span.end))

    def count(self, kind: str, span: Range) -> int:
        """Return how many rows have their time in a range."""
        return int(self.read(kind, span, PRUNED[kind]).num_rows)


def _dataset(storage: Storage, kind: str, files: Sequence[LiveFile]) -> ds.Dataset:
    schema = pa.schema([_coded(field) for field in KINDS[kind]])
    texts = {field.name for field in schema if pa.types.is_dictionary(field.type)}
    return ds.dataset(
        [file.path for file in files],
        schema=schema,
        format=ds.ParquetFileFormat(read_options=ds.ParquetReadOptions(dictionary_columns=texts)),
        filesystem=storage.filesystem,
    )


def _coded(field: pa.Field) -> pa.Field:
    is_text = field.type == pa.string()
    return pa.field(field.name, pa.dictionary(pa.int32(), pa.string()) if is_text else field.type)
