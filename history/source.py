# SPDX-License-Identifier: Apache-2.0
"""The lake as questions see it: one version of it, of which an engine gets the files that a span needs.

Local folders are read by DuckDB itself, object stores through the lake's own file system. A kind without
files is an empty table with its columns; columns that an older file lacks are null.
"""

from collections.abc import Mapping
from functools import cached_property

import pyarrow.dataset

from history.engine import Engine, LocalFiles, Table
from history.span import Span
from lake.delta import open_storage
from lake.facts import Facts
from schemas.tables import GREW, KINDS

_GLOB = frozenset("*?[]{}")


class Source:
    """One version of a lake, opened when the first question needs it: what is asked is judged before.

    Raises LakeError then, where there is none; never makes one.
    """

    def __init__(self, uri: str, storage_options: Mapping[str, str] | None = None) -> None:
        self.uri = uri
        self._options = dict(storage_options or {})

    @cached_property
    def _facts(self) -> Facts:
        return Facts.open(self.uri, storage_options=self._options, create=False)

    def engine(self, spans: Mapping[str, Span | None]) -> Engine:
        """Return an engine with a table for each kind, some rows out of its span; None is all times."""
        return Engine({kind: self._table(kind, wanted) for kind, wanted in spans.items()})

    def _table(self, kind: str, wanted: Span | None) -> Table:
        files = self._facts.files(kind, *(wanted or (None, None)))
        if not files:
            return KINDS[kind].empty_table()
        local = not any("://" in path or _GLOB & set(path) for path in files)
        if local:
            return LocalFiles(files, KINDS[kind].empty_table() if kind in GREW else None)
        return self._dataset(kind, files)

    def _dataset(self, kind: str, files: list[str]) -> Table:
        storage = open_storage(self.uri, self._options)
        below = len(storage.location(""))
        paths = [path[below:] for path in files]
        return pyarrow.dataset.dataset(
            paths, schema=KINDS[kind], filesystem=storage.filesystem, format="parquet"
        )
