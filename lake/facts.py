# SPDX-License-Identifier: Apache-2.0
"""The table `facts`: every commit is whole or absent, and no Kafka offset is ever in two of them.

The order within a commit is the proof: state objects, Parquet files, fsync, refresh, check that the table is where each
partition was left, commit through the handle that was checked. A killed writer leaves files nobody refers to; an overtaken one
fails the check, or the commit itself where it was overtaken in between. After an error only the table knows: `resume`.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from lake import housekeeping, progress, state
from lake.delta import Table, open_storage
from lake.errors import CommitUnknownError, LakeCorruptError, LakeUnavailableError, StalePositionError
from lake.parquet import HOUR_NS, DataFile, hour_name, write_kind
from lake.progress import Progress
from lake.storage import Storage
from schemas.tables import KINDS, PARTITION_COLUMNS, facts_schema

_TOPIC_ID = re.compile(r"[A-Za-z0-9_-]+")
"""Kafka's own form; it becomes part of paths and app ids."""


def _no_trace(_point: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class PartitionCommit:
    """One partition's part of a commit: what its records [from_offset, to_offset) led to.

    `state` is the matcher's memory after them, `flushed` whether it was forced to close everything at `to_offset`; only
    then may the offsets be equal. `rows` has, by kind, that kind's columns (`schemas.tables.KINDS`; text rather as dictionary
    columns) and `hour_index` (int64, hours since the epoch), which says where a row is filed and is not stored.
    """

    topic: str
    topic_id: str
    partition: int
    from_offset: int
    to_offset: int
    state: bytes
    flushed: bool
    rows: Mapping[str, pa.Table]

    def __post_init__(self) -> None:
        if not _TOPIC_ID.fullmatch(self.topic_id) or self.partition < 0:
            raise ValueError(
                f"topic id {self.topic_id!r}, partition {self.partition} is no partition of Kafka's"
            )
        if not 0 <= self.from_offset <= self.to_offset or (
            self.from_offset == self.to_offset and not self.flushed
        ):
            raise ValueError(
                f"offsets [{self.from_offset}, {self.to_offset}) of partition {self.partition} cover no record"
            )
        unknown = sorted(set(self.rows) - (set(KINDS) - {"progress"}))
        if unknown:
            raise ValueError(f"rows of kind {', '.join(unknown)} cannot be committed")


@dataclass(frozen=True, slots=True)
class Resume:
    """Where a partition goes on: read Kafka from `next_offset` with this state."""

    next_offset: int
    state: bytes
    flushed: bool


@dataclass(frozen=True, slots=True)
class _Left:
    """Where a partition stands: its next offset, and the offset of its latest flush."""

    position: int | None
    flushed_at: int | None


@dataclass(slots=True)
class Facts:
    """One process's access to the table. Not for several threads. Made by `open`.

    `checkpoint_failures` counts checkpoints of the log that failed: openings get slower, nothing is lost.
    """

    _storage: Storage
    _table: Table
    _trace: Callable[[str], None] = _no_trace
    _now_ns: Callable[[], int] = time.time_ns
    _left: dict[tuple[str, int], _Left] = field(default_factory=dict)
    _handle_failed: bool = False
    checkpoint_failures: int = 0

    @classmethod
    def open(
        cls,
        uri: str,
        *,
        storage_options: Mapping[str, str] | None = None,
        trace: Callable[[str], None] = _no_trace,
        now_ns: Callable[[], int] = time.time_ns,
        create: bool = True,
    ) -> Self:
        """Open the table at a folder's path or a URI, and make it where it is missing.

        Any number of processes may do so at once. `trace` is called with the name of each point that a commit passes,
        `now_ns` gives the time that a commit's progress rows carry.

        Raises:
            LakeUnavailableError: it cannot be read or made, or is missing and `create` is false.
            LakeCorruptError: a table is there that lacks columns of this version's.
        """
        options = dict(storage_options or {})
        storage = open_storage(uri, options)
        if not Table.exists(storage.uri, options):
            if not create:
                raise LakeUnavailableError(f"there is no lake at {storage.uri}; `wirelag consume` makes one")
            Table.create(storage.uri, options, housekeeping.table_properties())
            housekeeping.sync_log(storage, -1, 0)
        table = Table(storage.uri, options)
        _require_columns(table)
        return cls(storage, table, trace, now_ns)

    def position(self, topic_id: str, partition: int) -> int | None:
        """Return the next Kafka offset of a partition, None where nothing of it was ever committed.

        Raises:
            LakeCorruptError: the position is gone, yet progress rows tell that there was one.
        """
        self.refresh()
        return self._where(topic_id, partition).position

    def resume(self, topic_id: str, partition: int) -> Resume | None:
        """Take a partition over: return where to go on, None where nothing of it was ever committed.

        Raises:
            LakeCorruptError: the position is gone, or the state object that belongs to it is unusable.
        """
        self.refresh()
        left = self._where(topic_id, partition)
        found = None if left.position is None else self._resume_at(topic_id, partition, left.position)
        self._left[topic_id, partition] = left
        return found

    def commit(self, parts: Sequence[PartitionCommit]) -> int:
        """Commit all parts together and return the version that shows them.

        Raises:
            StalePositionError: a partition is not where this writer left it; nothing was committed.
            CommitUnknownError: whether it was committed only `resume` can tell.
            LakeUnavailableError: the storage failed before the commit; nothing was committed.
            ValueError: the parts contradict their contract; nothing was committed.
        """
        self._require_distinct(parts)
        names = self._write_states(parts)
        files = self._write_rows(parts, names)
        self._trace("after-parquet")
        self._storage.sync([*names, *(file.path for file in files)])
        self._trace("after-sync")
        self.refresh()
        self._trace("after-refresh")
        for part in parts:
            self._require_owned(part)
        self._trace("after-check")
        return self._append(parts, files)

    def known_topic_ids(self, topic: str) -> set[str]:
        """Return the ids under which a topic of this name was ever committed: more than one, and it was made anew."""
        self.refresh()
        return progress.topic_ids(self._storage, self._table.live(), topic)

    def files(self, kind: str, from_ns: int | None, to_ns: int | None) -> list[str]:
        """Return the files of a kind whose hour overlaps [from_ns, to_ns), oldest hour first; None is unbounded.

        They are absolute paths or URIs of the version that was last refreshed to, and may hold rows out of the range.
        """
        if kind not in KINDS:
            raise ValueError(f"there is no kind {kind}; kinds are {', '.join(KINDS)}")
        first = ("", 0) if from_ns is None else hour_name(from_ns // HOUR_NS)
        last = ("~", 0) if to_ns is None else hour_name((to_ns - 1) // HOUR_NS)
        live = self._table.live()
        live = live.filter(pc.equal(live["partition.kind"], kind))
        columns = (live[name].to_pylist() for name in ("partition.date", "partition.hour", "path"))
        found = sorted(row for row in zip(*columns, strict=True) if first <= row[:2] <= last)
        return [self._storage.location(path) for _, _, path in found]

    def refresh(self) -> None:
        """Show the newest version."""
        if self._handle_failed:
            self._table.reopen()
            self._handle_failed = False
        else:
            self._table.refresh()

    def delete_old_states(self) -> list[str]:
        """Delete state objects that nothing can need any more (`lake.housekeeping`); return their names."""
        self.refresh()
        return housekeeping.delete_old_states(self._storage, self._table.live(), self._now_ns())

    def _where(self, topic_id: str, partition: int) -> _Left:
        app_id = _app_id(topic_id, partition)
        position = self._table.transaction_version(app_id)
        if position is None:
            self._require_no_progress(topic_id, partition)
        return _Left(position, self._table.transaction_version(f"{app_id}/flush"))

    def _require_no_progress(self, topic_id: str, partition: int) -> None:
        if progress.newest_first(
            self._storage, self._table.live(), topic_id=topic_id, topic_partition=partition
        ):
            app_id = _app_id(topic_id, partition)
            raise LakeCorruptError(
                f"the table has progress rows of {app_id} but no position; was delta.setTransactionRetentionDuration "
                "set? It must not be: remove it and restore the table",
                name=app_id,
            )

    def _resume_at(self, topic_id: str, partition: int, position: int) -> Resume:
        rows = progress.newest_first(
            self._storage,
            self._table.live(),
            topic_id=topic_id,
            topic_partition=partition,
            to_offset=position,
        )
        if not rows:
            app_id = _app_id(topic_id, partition)
            raise LakeCorruptError(
                f"the table has {app_id} at {position} but no progress row for it", name=app_id
            )
        return Resume(position, state.read(self._storage, rows[0].state), rows[0].flushed)

    def _require_distinct(self, parts: Sequence[PartitionCommit]) -> None:
        keys = [(part.topic_id, part.partition) for part in parts]
        if not parts or len(set(keys)) < len(keys):
            raise ValueError(f"a commit has each partition once, and at least one: {keys}")

    def _write_states(self, parts: Sequence[PartitionCommit]) -> list[str]:
        self._trace("before-state")
        names = [state.new_name(part.topic_id, part.partition, part.to_offset) for part in parts]
        for name, part in zip(names, parts, strict=True):
            state.write(self._storage, name, part.state)
        self._trace("after-state")
        return names

    def _write_rows(self, parts: Sequence[PartitionCommit], names: Sequence[str]) -> list[DataFile]:
        kinds = {kind: [part.rows[kind] for part in parts if kind in part.rows] for kind in KINDS}
        kinds["progress"] = [self._progress(parts, names)]
        return [file for kind, tables in kinds.items() for file in write_kind(self._storage, kind, tables)]

    def _progress(self, parts: Sequence[PartitionCommit], names: Sequence[str]) -> pa.Table:
        now_ns = self._now_ns()
        rows = [
            Progress(
                topic=part.topic,
                topic_id=part.topic_id,
                topic_partition=part.partition,
                from_offset=part.from_offset,
                to_offset=part.to_offset,
                flushed=part.flushed,
                state=name,
                committed_at_ns=now_ns,
            )
            for part, name in zip(parts, names, strict=True)
        ]
        return progress.table(rows, now_ns // HOUR_NS)

    def _require_owned(self, part: PartitionCommit) -> None:
        found = self._where(part.topic_id, part.partition)
        left = self._left.get((part.topic_id, part.partition), _Left(found.position, None))
        if found != left or found.position not in {None, part.from_offset}:
            raise StalePositionError(
                f"{_app_id(part.topic_id, part.partition)} is at {found.position} (flushed at {found.flushed_at}) in "
                f"the table, not at {part.from_offset}: another writer has it; resume from the table"
            )

    def _append(self, parts: Sequence[PartitionCommit], files: Sequence[DataFile]) -> int:
        before = self._table.version
        positions = {_app_id(part.topic_id, part.partition): part.to_offset for part in parts}
        flushes = {
            f"{_app_id(part.topic_id, part.partition)}/flush": part.to_offset
            for part in parts
            if part.flushed
        }
        with self._outcome_unknown():
            self._table.append(files, positions | flushes)
            self._trace("after-commit")
            self._table.refresh()
            housekeeping.sync_log(self._storage, before, self._table.version)
        if not housekeeping.checkpoint_when_due(self._table, self._storage, before):
            self.checkpoint_failures += 1
        for part in parts:
            self._remember(part)
        return self._table.version

    def _remember(self, part: PartitionCommit) -> None:
        key = part.topic_id, part.partition
        before = self._left.get(key)
        flushed_at = before.flushed_at if before else None
        self._left[key] = _Left(part.to_offset, part.to_offset if part.flushed else flushed_at)

    @contextmanager
    def _outcome_unknown(self) -> Iterator[None]:
        self._handle_failed = True
        try:
            yield
        except Exception as error:
            raise CommitUnknownError(
                f"a commit to {self._storage.uri} failed, and may be durable all the same: {error}; "
                "resume from the table"
            ) from error
        self._handle_failed = False


def _app_id(topic_id: str, partition: int) -> str:
    return f"wirelag/{topic_id}/{partition}"


def _require_columns(table: Table) -> None:
    missing = sorted(set(facts_schema().names) - table.columns())
    if missing or table.partition_columns() != PARTITION_COLUMNS:
        raise LakeCorruptError(
            f"the table lacks columns of this version, or is divided otherwise: {', '.join(missing)}; "
            "it was made by another version of wirelag, or is not its lake",
            name="_delta_log",
        )
