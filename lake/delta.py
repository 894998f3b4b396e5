# SPDX-License-Identifier: Apache-2.0
"""The only module that imports deltalake: one handle on one table, as it was when last refreshed.

`append` commits against the version this handle shows: deltalake refuses where another writer has since set
one of the same app ids, and does not mind other commits. A handle sees its own commit only after `refresh`.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction
from deltalake.exceptions import CommitFailedError
from deltalake.fs import DeltaStorageHandler
from deltalake.schema import Schema
from deltalake.transaction import AddAction, RemoveAction

from lake.errors import LakeUnavailableError, reason
from lake.parquet import DataFile, LiveFile
from lake.settings import VACUUM_HOURS
from lake.storage import Storage, local_root
from schemas.tables import PARTITION_COLUMNS, facts_schema

_NO_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
"""A failing hook raises although the commit is durable, so checkpoints are made apart (lake.housekeeping)."""


def open_storage(uri: str, options: Mapping[str, str]) -> Storage:
    """Return the files of a table: the folder itself, or the object store, with deltalake's own client."""
    with _trying(f"open {uri}"):
        root = local_root(uri)
        if root is not None:
            return Storage(uri, pa.fs.SubTreeFileSystem(str(root), pa.fs.LocalFileSystem()), root)
        return Storage(uri, pa.fs.PyFileSystem(_ObjectStore(uri, dict(options))), None)


@contextmanager
def _trying(what: str) -> Iterator[None]:
    """Translate whatever is raised: deltalake raises plain Exception too, as from a checkpoint."""
    try:
        yield
    except Exception as error:
        raise LakeUnavailableError(
            f"cannot {what}: {reason(error)}; check the path, and that the storage is reachable and not full"
        ) from error


class _ObjectStore(DeltaStorageHandler):
    """Deltalake's own client of object stores, for pyarrow."""

    def open_output_stream(self, path: str, metadata: dict[str, str] | None = None) -> pa.PythonFile:
        """Open a new object for writing."""
        return pa.PythonFile(_Output(self._handler.open_output_stream(path, metadata)), mode="w")


class _Output:
    """Hands on as bytes what pyarrow writes as buffers, since deltalake's stream takes nothing else."""

    def __init__(self, stream: Any) -> None:  # noqa: ANN401 - a class that deltalake keeps to itself
        self._stream = stream
        self.tell, self.flush, self.close = stream.tell, stream.flush, stream.close

    @property
    def closed(self) -> bool:
        return bool(self._stream.closed)

    def write(self, data: pa.Buffer | bytes) -> int:
        return int(self._stream.write(bytes(data)))


class Table:
    """One handle. It raises LakeUnavailableError, only `append` raises what deltalake raises."""

    def __init__(self, uri: str, options: Mapping[str, str]) -> None:
        self._uri = uri
        self._options = dict(options)
        self._delta = self._open()

    @staticmethod
    def exists(uri: str, options: Mapping[str, str]) -> bool:
        """Tell whether a table is there."""
        with _trying(f"read the table {uri}"):
            return DeltaTable.is_deltatable(uri, dict(options))

    @classmethod
    def create(cls, uri: str, options: Mapping[str, str], properties: Mapping[str, str]) -> None:
        """Make the table as version 0. Nothing is done where another process is first.

        Without retries, because a retry would write the metadata again as version 1.
        """
        try:
            with _trying(f"create the table {uri}"):
                DeltaTable.create(
                    uri,
                    Schema.from_arrow(facts_schema()),
                    mode="error",
                    partition_by=list(PARTITION_COLUMNS),
                    configuration=dict(properties),
                    storage_options=dict(options),
                    commit_properties=CommitProperties(max_commit_retries=0),
                    post_commithook_properties=_NO_HOOKS,
                )
        except LakeUnavailableError:
            if not cls.exists(uri, options):
                raise

    @property
    def id(self) -> str:
        """What the table is called for good, by whoever made it."""
        return str(self._delta.metadata().id)

    @property
    def version(self) -> int:
        """The version this handle shows."""
        return self._delta.version()

    def missing_columns(self) -> list[str]:
        """Return the columns of this version's lake that the table lacks, in the lake's order."""
        known = {field.name for field in self._delta.schema().fields}
        return [name for name in facts_schema().names if name not in known]

    def differing_columns(self) -> list[str]:
        """Return the columns that are of another type than in this version's lake."""
        wanted = {field.name: field.type for field in Schema.from_arrow(facts_schema()).fields}
        found = self._delta.schema().fields
        return [field.name for field in found if wanted.get(field.name, field.type) != field.type]

    def add_columns(self, names: Sequence[str]) -> None:
        """Add columns of this version's lake in one commit, if the version shown is the newest."""
        schema = facts_schema()
        fields = Schema.from_arrow(pa.schema([schema.field(name) for name in names])).fields
        with _trying(f"add columns to the table {self._uri}"):
            self._delta.alter.add_columns(
                list(fields),
                commit_properties=CommitProperties(max_commit_retries=0),
                post_commithook_properties=_NO_HOOKS,
            )

    def partition_columns(self) -> tuple[str, ...]:
        """Return the columns that make up the folders."""
        return tuple(self._delta.metadata().partition_columns)

    def refresh(self) -> None:
        """Show the newest version."""
        try:
            with _trying(f"read the table {self._uri}"):
                self._delta.update_incremental()
        except LakeUnavailableError:  # for one, the logs after an idle handle's version have expired
            self.reopen()

    def reopen(self) -> None:
        """Show the newest version through a new handle, as after one that failed."""
        self._delta = self._open()

    def transaction_version(self, app_id: str) -> int | None:
        """Return the version last committed for an app id, None where there is none."""
        with _trying(f"read the table {self._uri}"):
            return self._delta.transaction_version(app_id)

    def live(self) -> pa.Table:
        """Return one row for each file of the version shown: `path`, `partition.*`, `min.*`, `max.*`."""
        with _trying(f"read the table {self._uri}"):
            return pa.table(self._delta.get_add_actions(flatten=True))

    def paths_at(self, version: int) -> set[str] | None:
        """Return the paths of the files of an earlier version, None where the log no longer tells them."""
        try:
            with _trying(f"read version {version} of the table {self._uri}"):
                then = DeltaTable(self._uri, version=version, storage_options=self._options)
                return set(pa.table(then.get_add_actions())["path"].to_pylist())
        except LakeUnavailableError:
            return None

    def append(self, files: Sequence[DataFile], transactions: Mapping[str, int]) -> None:
        """Add files and set app ids' versions in one commit."""
        self._commit([_add_action(file, data_change=True) for file in files], transactions, retries=None)

    def files(self, kind: str | None = None) -> list[LiveFile]:
        """Return the files of the version shown, of one kind or of all."""
        live = self.live()
        if kind is not None:
            live = live.filter(pc.equal(live["partition.kind"], kind))
        names = ("path", "size_bytes", "partition.kind", "partition.date", "partition.hour")
        columns = [live[name].to_pylist() for name in (*names, "num_records", "modification_time")]
        return [LiveFile(*row) for row in zip(*columns, _topic_ids(live), strict=True)]

    def replace(
        self,
        removed: Sequence[LiveFile],
        added: Sequence[DataFile],
        transactions: Mapping[str, int],
        *,
        rows_change: bool,
    ) -> bool:
        """Put files in the place of others in the very next version; False where another commit took that.

        Deltalake does not mind two commits that remove the same file, so no other commit may come between.
        """
        now_ms = time.time_ns() // 10**6
        removals = [
            RemoveAction(
                file.path,
                data_change=rows_change,
                deletion_timestamp=now_ms,
                size=file.size,
                partition_values={"kind": file.kind, "date": file.date, "hour": str(file.hour)},
            )
            for file in removed
        ]
        actions: list[AddAction | RemoveAction] = [*removals]
        actions += [_add_action(file, data_change=rows_change) for file in added]
        with _trying(f"replace files of {self._uri}"):
            try:
                self._commit(actions, transactions, retries=0)
            except CommitFailedError:
                return False
        return True

    def vacuum(self, retention_hours: int, *, delete: bool) -> list[str]:
        """Return the files that no version of the retention needs, by path; with `delete` they are deleted.

        Raises:
            ValueError: fewer than 168 hours; what a suspended writer is about to commit would be deleted.
        """
        if retention_hours < VACUUM_HOURS:
            raise ValueError(f"vacuum keeps {VACUUM_HOURS} hours at least, not {retention_hours}")
        with _trying(f"delete unused files of {self._uri}"):
            return self._delta.vacuum(
                retention_hours, dry_run=not delete, full=True, post_commithook_properties=_NO_HOOKS
            )

    def checkpoint(self) -> None:
        """Write the version shown as one file."""
        with _trying(f"write a checkpoint of {self._uri}"):
            self._delta.create_checkpoint()

    def delete_old_log(self) -> None:
        """Delete logs and checkpoints that are older than the log retention and that no checkpoint needs."""
        with _trying(f"delete the old log of {self._uri}"):
            self._delta.cleanup_metadata()

    def _commit(
        self,
        actions: Sequence[AddAction | RemoveAction],
        transactions: Mapping[str, int],
        *,
        retries: int | None,
    ) -> None:
        self._delta.create_write_transaction(
            list(actions),
            "append",
            self._delta.schema(),
            partition_by=list(PARTITION_COLUMNS),
            commit_properties=CommitProperties(
                max_commit_retries=retries,
                app_transactions=[Transaction(name, version) for name, version in transactions.items()],
            ),
            post_commithook_properties=_NO_HOOKS,
        )

    def _open(self) -> DeltaTable:
        with _trying(f"read the table {self._uri}"):
            return DeltaTable(self._uri, storage_options=self._options)


def _topic_ids(live: pa.Table) -> list[str]:
    if not live.num_rows:
        return []
    least, greatest = live["min.topic_id"].to_pylist(), live["max.topic_id"].to_pylist()
    return [(one or "") if one == other else "" for one, other in zip(least, greatest, strict=True)]


def _add_action(file: DataFile, *, data_change: bool) -> AddAction:
    return AddAction(
        path=file.path,
        size=file.size,
        partition_values={"kind": file.kind, "date": file.date, "hour": str(file.hour)},
        modification_time=file.modified_ms,
        data_change=data_change,
        stats=file.stats,
    )
