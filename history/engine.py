# SPDX-License-Identifier: Apache-2.0
"""The only module that imports duckdb: one connection, which reads the files it was given and nothing else.

The files are registered first; then access to anything outside, extensions and every setting are locked, and
only SELECTs are run, so that no statement can reach another file, the network or the disk, or change a file.
What does not fit the memory limit goes to a private temporary folder, which is removed at the end. Statements
are constants of this package, parameters are bound.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import duckdb
import pyarrow as pa

from history.errors import AnswerError

MEMORY_LIMIT = "512MB"
DISK_LIMIT = "16GB"
BATCH_ROWS = 16_384
Parameters = Mapping[str, object]


class LocalFiles(NamedTuple):
    """Parquet files by absolute path, at least one, none with a character that a pattern could mean."""

    paths: list[str]
    columns: pa.Table | None = None
    """Without rows: what each file has, or has as null where it lacks it. None: all have the same columns."""


Table = LocalFiles | Any
"""Files that DuckDB reads itself, or an Arrow table or dataset."""


class Engine:
    """Answers statements over named tables. Use it with ``with``."""

    def __init__(self, tables: Mapping[str, Table], memory_limit: str = MEMORY_LIMIT) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="wirelag-query-")
        try:
            with _translated():
                self._connection = self._open(tables, memory_limit)
        except BaseException:
            self._folder.cleanup()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        self._folder.cleanup()

    def batches(self, statement: str, parameters: Parameters | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the answer in batches, as it is made."""
        with _translated():
            self._require_select(statement)
            answer = self._connection.execute(statement, _used(statement, parameters))
            yield from answer.to_arrow_reader(BATCH_ROWS)

    def rows(self, statement: str, parameters: Parameters | None = None) -> list[dict[str, Any]]:
        """Return a whole answer, for small ones."""
        return [row for batch in self.batches(statement, parameters) for row in batch.to_pylist()]

    def _require_select(self, statement: str) -> None:
        """Refuse all but one SELECT: DuckDB would let a COPY overwrite the files it may read."""
        kinds = [one.type for one in self._connection.extract_statements(statement)]
        if kinds != [duckdb.StatementType.SELECT]:
            raise AnswerError(f"only one SELECT is run here, found {kinds}")

    def _open(self, tables: Mapping[str, Table], memory_limit: str) -> duckdb.DuckDBPyConnection:
        local = {name: table for name, table in tables.items() if isinstance(table, LocalFiles)}
        connection = duckdb.connect(
            config={
                "memory_limit": memory_limit,
                "temp_directory": str(Path(self._folder.name) / "spill"),
                "max_temp_directory_size": DISK_LIMIT,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "python_enable_replacements": False,
            }
        )
        for name, table in tables.items():
            if name not in local:
                connection.register(name, table)
            elif local[name].columns is None:
                connection.read_parquet(local[name].paths, hive_partitioning=False).create_view(name)
            else:
                _create_view(connection, name, local[name])
        allowed = [path for table in local.values() for path in table.paths]
        connection.execute("SET allowed_paths = ?", [allowed])
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        return connection


def _create_view(connection: duckdb.DuckDBPyConnection, name: str, files: LocalFiles) -> None:
    """Make a view of files that differ in their columns; this reads the end of every file."""
    found = connection.read_parquet(files.paths, hive_partitioning=False, union_by_name=True)
    found.create_view(f"{name}_files")
    connection.register(f"{name}_columns", files.columns)
    parts = f"SELECT * FROM {name}_files UNION ALL BY NAME SELECT * FROM {name}_columns"  # noqa: S608 - a kind
    connection.execute(f"CREATE VIEW {name} AS {parts}")


def _used(statement: str, parameters: Parameters | None) -> dict[str, object]:
    """Leave out what the statement does not name: DuckDB refuses parameters that it has no use for."""
    return {name: value for name, value in (parameters or {}).items() if f"${name}" in statement}


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        message = f"the answer needs more than {MEMORY_LIMIT} of memory and {DISK_LIMIT} of temporary disk"
        raise AnswerError(f"{message}; ask for a shorter time or one edge") from error
    except duckdb.IOException as error:
        message = f"a file of the lake could not be read: {_line(error)}"
        raise AnswerError(f"{message}; if the lake was compacted just now, ask again") from error
    except duckdb.Error as error:
        raise AnswerError(f"the lake could not be asked: {_line(error)}") from error


def _line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
