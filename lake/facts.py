# SPDX-License-Identifier: Apache-2.0
"""The table `facts`: every commit is whole or absent, and no Kafka offset is ever in two of them.

The order within a commit is the proof: state objects, Parquet files, fsync, refresh, check that the table is
where each partition was left, commit through the handle that was checked. A killed writer leaves files that
nobody refers to; an overtaken one fails the check, or the commit itself where it was overtaken in between.
After an error only the table knows: `resume`.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Self

import pyarrow.compute as pc

from common.units import HOUR_NS
from lake import evolution, housekeeping, position, progress, state
from lake.delta import Table, open_storage
from lake.errors import CommitUnknownError, LakeError, LakeUnavailableError, StalePositionError
from lake.parquet import DataFile, hour_name, write_kind
from lake.partition import PartitionCommit, Resume, flush_id, require_distinct
from lake.position import Position
from lake.storage import Storage
from schemas.tables import KINDS

__all__ = ["TRACE_POINTS", "Facts", "PartitionCommit", "Resume"]

TRACE_POINTS = (
    "before-state",
    "after-state",
    "after-parquet",
    "after-sync",
    "after-refresh",
    "after-check",
    "after-commit",
    "after-log-sync",
)
"""What a commit passes, in this order."""


_FRESH_SECONDS = 24 * 3600
"""A commit that takes longer was suspended; a week's retention covers what is left of it (vacuum)."""


def _elapsed() -> float:
    """Return seconds of a clock that runs on while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _require_fresh(begun: float) -> None:
    if _elapsed() - begun > _FRESH_SECONDS:
        raise StalePositionError(
            f"this writer stood still for {_elapsed() - begun:.0f} seconds within a commit: its files may "
            "have been deleted as garbage; resume from the table"
        )


def _no_trace(_point: str) -> None:
    pass


@dataclass(slots=True)
class Facts:
    """One process's access to the table, made by `open`. Not for several threads at once.

    `checkpoint_failures` counts checkpoints of the log that failed: opening gets slower, nothing is lost.
    """

    _storage: Storage
    _table: Table
    _trace: Callable[[str], None] = _no_trace
    _now_ns: Callable[[], int] = time.time_ns
    _left: dict[tuple[str, int], Position] = field(default_factory=dict)
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
        """Open the table at a folder's path or a URI; make it where it is missing, or give it later columns.

        With `create` false it is left as it is, and files of earlier versions lack columns of their kind.
        Any number of processes may do so at once. `trace` is called with the name of each point that a commit
        passes (`TRACE_POINTS`), `now_ns` gives the time that a commit's progress rows carry.

        Raises:
            LakeUnavailableError: it cannot be read or made, or is missing and `create` is false.
            LakeCorruptError: a table is there that is no lake of ours (`lake.evolution`).
        """
        options = dict(storage_options or {})
        storage = open_storage(uri, options)
        if create and not Table.exists(storage.uri, options):
            Table.create(storage.uri, options, housekeeping.table_properties())
        if create:  # whoever made it may have been killed before this
            housekeeping.sync_log(storage, -1, 0)
        storage, table = evolution.open_table(uri, options)
        if create:
            evolution.add_missing(table, storage)
        return cls(storage, table, trace, now_ns)

    def position(self, topic_id: str, partition: int) -> int | None:
        """Return the next Kafka offset of a partition, None where nothing of it was ever committed.

        Raises:
            LakeCorruptError: the position is gone, yet progress rows tell that there was one.
        """
        self.refresh()
        return position.find(self._table, self._storage, topic_id, partition).next_offset

    def resume(self, topic_id: str, partition: int) -> Resume | None:
        """Take a partition over: return where to go on, None where nothing of it was ever committed.

        Raises:
            LakeCorruptError: the position is gone, or the state object that belongs to it is unusable.
        """
        self.refresh()
        found = position.find(self._table, self._storage, topic_id, partition)
        resume = position.take_over(self._table, self._storage, topic_id, partition, found)
        self._left[topic_id, partition] = found
        return resume

    def commit(self, parts: Sequence[PartitionCommit]) -> int:
        """Commit all parts together and return a version that shows them.

        Raises:
            StalePositionError: a partition is not where this writer left it; nothing was committed.
            CommitUnknownError: only `resume` can tell whether it was committed.
            LakeUnavailableError: the storage failed before the commit; nothing was committed.
            ValueError: the parts contradict their contract; nothing was committed.
        """
        require_distinct(tuple(parts))
        names: list[str] = []
        files: list[DataFile] = []
        begun = _elapsed()
        try:
            self._write(parts, names, files)
            self._storage.sync([*names, *(file.path for file in files)])
            self._trace("after-sync")
            self.refresh()
            self._trace("after-refresh")
            for part in parts:
                self._require_owned(part)
            _require_fresh(begun)
        except LakeError:
            self._discard([*names, *(file.path for file in files)])
            raise
        self._trace("after-check")
        self._append(parts, files)
        for part in parts:
            self._remember(part)
        return self._table.version

    def known_topic_ids(self, topic: str) -> set[str]:
        """Return the ids under which a topic of this name was committed; one made anew has another id."""
        self.refresh()
        return progress.topic_ids(self._storage, self._table.live(), topic)

    def files(self, kind: str, from_ns: int | None, to_ns: int | None) -> list[str]:
        """Return the files of a kind whose hour overlaps [from_ns, to_ns), oldest first; None is no bound.

        They are absolute paths or URIs of the version that `refresh` or `open` showed last, and may hold rows
        out of the range.
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

    def version_of(self, app_id: str) -> int | None:
        """Return what the version shown has for an app id, None for nothing."""
        return self._table.transaction_version(app_id)

    def refresh(self) -> None:
        """Show the newest version."""
        if self._handle_failed:
            self._table.reopen()
            self._handle_failed = False
        else:
            self._table.refresh()

    def _write(self, parts: Sequence[PartitionCommit], names: list[str], files: list[DataFile]) -> None:
        """Write state objects and files, and note each as soon as it is there."""
        self._trace("before-state")
        for part in parts:
            names.append(state.new_name(part.topic_id, part.partition, part.to_offset))
            state.write(self._storage, names[-1], part.state)
        self._trace("after-state")
        kinds = {kind: [part.rows[kind] for part in parts if kind in part.rows] for kind in KINDS}
        kinds["progress"] = [progress.table(parts, names, self._now_ns())]
        for kind, tables in kinds.items():
            files += write_kind(self._storage, kind, tables)
        self._trace("after-parquet")

    def _discard(self, paths: Iterable[str]) -> None:
        """Delete what was written for a commit that was not tried, as where the disk is full."""
        for path in paths:
            with suppress(LakeUnavailableError):
                self._storage.delete(path)

    def _require_owned(self, part: PartitionCommit) -> None:
        found = position.find(self._table, self._storage, part.topic_id, part.partition)
        left = self._left.get((part.topic_id, part.partition), Position(found.next_offset))
        again = part.flushed and found.flushed_at == part.to_offset
        if again or found != left or found.next_offset not in {None, part.from_offset}:
            raise StalePositionError(
                f"the table has {part.app_id} at {found.next_offset}, flushed at {found.flushed_at}; "
                f"this writer is at {part.from_offset}: another one took over; resume from the table"
            )

    def _append(self, parts: Sequence[PartitionCommit], files: Sequence[DataFile]) -> None:
        before = self._table.version
        positions = {part.app_id: part.to_offset for part in parts}
        flushes = {flush_id(part.app_id): part.to_offset for part in parts if part.flushed}
        with self._outcome_unknown():
            self._table.append(files, positions | flushes)
            self._trace("after-commit")
            self._table.refresh()
            housekeeping.sync_log(self._storage, before, self._table.version)
            self._trace("after-log-sync")
        if not housekeeping.checkpoint_when_due(self._table, self._storage, before):
            self.checkpoint_failures += 1

    def _remember(self, part: PartitionCommit) -> None:
        key = part.topic_id, part.partition
        earlier = self._left.get(key, Position(None)).flushed_at
        self._left[key] = Position(part.to_offset, part.to_offset if part.flushed else earlier)

    @contextmanager
    def _outcome_unknown(self) -> Iterator[None]:
        self._handle_failed = True
        try:
            yield
        except Exception as error:
            raise CommitUnknownError(
                f"a commit to {self._storage.uri} failed ({error}) and may be durable all the same; "
                "resume from the table"
            ) from error
        self._handle_failed = False
