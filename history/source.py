# SPDX-License-Identifier: Apache-2.0
"""The lake as questions see it: one version of it, of which an engine gets the files that a span needs.

Local folders are read by DuckDB itself, object stores through the lake's own file system. A kind without
files is an empty table with its columns; columns that an older file lacks are null.
"""

from collections.abc import Mapping
from functools import cached_property

import pyarrow.dataset

from common.units import HOUR_NS
from history.engine import Engine, LocalFiles, Table
from history.span import Span
from lake.delta import open_storage
from lake.facts import Facts
from lake.rollup import SETTLED
from schemas.tables import GREW, KINDS

_GLOB = frozenset("*?[]{}")


def _hours(spans: list[Span]) -> list[Span]:
    """Return the whole hours that spans touch, each once."""
    found: list[Span] = []
    for span in sorted(spans):
        begin = span.from_ns - span.from_ns % HOUR_NS
        end = -(-span.to_ns // HOUR_NS) * HOUR_NS
        if found and begin <= found[-1].to_ns:
            found[-1] = Span(found[-1].from_ns, max(found[-1].to_ns, end))
        else:
            found.append(Span(begin, end))
    return found


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

    def settled_to(self) -> int:
        """Return the time up to which windows were settled when they were last rolled up, 0 = never."""
        return (self._facts.version_of(SETTLED) or 0) * 10**9

    def engine(
        self, spans: Mapping[str, Span | list[Span] | None], more: Mapping[str, Table] | None = None
    ) -> Engine:
        """Return an engine with a table for each kind, some rows out of its spans; None is all times.

        ``more`` are tables beside them.
        """
        return Engine({kind: self._table(kind, wanted) for kind, wanted in spans.items()} | dict(more or {}))

    def _files(self, kind: str, wanted: Span | list[Span] | None) -> list[str]:
        if not isinstance(wanted, list):
            return self._facts.files(kind, *(wanted or (None, None)))
        return [path for span in _hours(wanted) for path in self._facts.files(kind, *span)]

    def _table(self, kind: str, wanted: Span | list[Span] | None) -> Table:
        files = self._files(kind, wanted)
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
