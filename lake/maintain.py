# SPDX-License-Identifier: Apache-2.0
"""One round of housekeeping: old hours away, small files into few, checkpoint, old states and garbage away.

It may be killed anywhere and may run beside writers and beside another of its kind. Each change of the table
is one commit that replaces files, made only if it becomes the very next version after one in which all the
files that it removes were there; so no row is ever twice in the table or missing from it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from lake import compact, housekeeping, retention
from lake.delta import Table
from lake.errors import LakeCorruptError, LakeUnavailableError
from lake.evolution import open_table
from lake.parquet import DataFile, LiveFile
from lake.settings import KeepSettings, MaintainSettings
from lake.storage import Storage

VACUUMED = "wirelag/maintain/vacuum"
"""App id whose version is the second since the epoch of the last vacuum."""
MAINTAIN_POINTS = (
    "after-rewrite",
    "after-rewrite-sync",
    "before-replace",
    "after-replace",
    "after-replace-sync",
)
"""What a merge passes, in this order."""
_TRIES = 50
_CHECKPOINT_COMMITS = 50
"""So many commits since the last checkpoint are worth another."""


@dataclass
class Done:
    """What one round did of one sort, of one kind."""

    action: str
    kind: str = ""
    times: int = 0
    removed: int = 0
    """Files."""
    added: int = 0
    before_bytes: int = 0
    after_bytes: int = 0
    rows: int = 0


@dataclass
class Round:
    """What one round did. `failed` has a line for each file or step that could not be done."""

    done: dict[tuple[str, str], Done] = field(default_factory=dict)
    conflicts: int = 0
    """Commits that another one came before, and that were tried again."""
    overtaken: int = 0
    """Merges that were given up since another process had replaced their files."""
    failed: list[str] = field(default_factory=list)

    def add(self, action: str, kind: str = "", **counts: int) -> None:
        """Add to what was done."""
        found = self.done.setdefault((action, kind), Done(action, kind))
        for name, count in counts.items():
            setattr(found, name, getattr(found, name) + count)


@dataclass
class Maintainer:
    """Housekeeping of one table. Where the storage fails, LakeUnavailableError ends a round: repeat it."""

    storage: Storage
    table: Table
    settings: MaintainSettings
    keep: KeepSettings
    trace: Callable[[str], None] = lambda _point: None
    now_ns: Callable[[], int] = time.time_ns
    _synced: int = housekeeping.NO_CHECKPOINT
    """The commits up to this version are on the disk."""

    @classmethod
    def open(
        cls, uri: str, options: Mapping[str, str], settings: MaintainSettings, keep: KeepSettings
    ) -> "Maintainer":
        """Open the table at a folder's path or a URI.

        Raises:
            LakeUnavailableError: there is none, or it cannot be read.
            LakeCorruptError: it is no lake of ours.
        """
        storage, table = open_table(uri, options)
        return cls(storage, table, settings, keep)

    def run(self) -> Round:
        """Do all that is due."""
        made = Round()
        self.table.refresh()
        before = self.table.version
        self._expire(made)
        self._merge(made)
        self._vacuum(made)
        self._checkpoint(made, before)
        old = housekeeping.delete_old_states(
            self.storage, self.table, self.now_ns() - self.settings.keep_states.nanoseconds
        )
        if old:
            made.add("delete old states", times=1, removed=len(old))
        return made

    def _expire(self, made: Round) -> None:
        keep = {kind: getattr(self.keep, kind) for kind in self.keep.__struct_fields__}
        try:
            old = retention.expired(
                self.storage, self.table.files(), keep, self.now_ns(), self._needed_from()
            )
        except LakeCorruptError as error:
            made.failed.append(str(error))
            return
        gone = retention.expired_until(old, self.table.transaction_version)
        if old and self._replace(made, old, [], gone, rows_change=True):
            for file in old:
                made.add(
                    "delete old hours",
                    file.kind,
                    times=1,
                    removed=1,
                    before_bytes=file.size,
                    rows=file.rows or 0,
                )

    def _needed_from(self) -> retention.NeededFrom:
        known: dict[tuple[str, int], int] = {}

        def needed_from(topic_id: str, partition: int) -> int:
            key = topic_id, partition
            if key not in known:
                known[key] = housekeeping.needed_from(self.storage, self.table, topic_id, partition)
            return known[key]

        return needed_from

    def _merge(self, made: Round) -> None:
        own = self.settings
        over_ns = self.now_ns() - own.closed_after.nanoseconds
        for job in compact.plan(self.table.files(), over_ns, own.open_file, own.closed_file):
            try:
                files = compact.rewrite(self.storage, job)
            except LakeCorruptError as error:
                made.failed.append(str(error))
                continue
            self.trace("after-rewrite")
            self.storage.sync(file.path for file in files)
            self.trace("after-rewrite-sync")
            if self._replace(made, job.files, files, rows_change=False):
                sizes = {"before_bytes": job.size, "after_bytes": sum(file.size for file in files)}
                counts = {
                    "removed": len(job.files),
                    "added": len(files),
                    "rows": retention.rows_of(job.files),
                }
                made.add("merge files", job.kind, times=1, **sizes, **counts)

    def _replace(
        self,
        made: Round,
        removed: Sequence[LiveFile],
        added: Sequence[DataFile],
        transactions: Mapping[str, int] | None = None,
        *,
        rows_change: bool,
    ) -> bool:
        """Commit; False where another process replaced one of the files, and what was added is deleted."""
        old, new = {file.path for file in removed}, {file.path for file in added}
        for _ in range(_TRIES):
            self.table.refresh()
            if not old <= {file.path for file in self.table.files()}:
                made.overtaken += 1
                break
            self._sync_log()  # what a merge holds must not be lost where the merge is not
            self.trace("before-replace")
            if self._is_next(removed, added, transactions or {}, rows_change=rows_change):
                self.trace("after-replace")
                self.table.refresh()
                self._sync_log()
                self.trace("after-replace-sync")
                return True
            made.conflicts += 1
        else:
            made.failed.append(f"others committed first {_TRIES} times in a row")
        for path in new:
            self.storage.delete(path)
        return False

    def _sync_log(self) -> None:
        """Force all commits up to the version shown to the disk: whoever made one may have been killed."""
        since = max(self._synced, housekeeping.last_checkpoint(self.storage))
        housekeeping.sync_log(self.storage, since, self.table.version)
        self._synced = self.table.version

    def _is_next(
        self,
        removed: Sequence[LiveFile],
        added: Sequence[DataFile],
        transactions: Mapping[str, int],
        *,
        rows_change: bool,
    ) -> bool:
        """Commit as the next version. What was added is deleted only where the table is seen to lack it."""
        trouble = None
        try:
            if self.table.replace(removed, added, transactions, rows_change=rows_change):
                return True
        except LakeUnavailableError as error:
            trouble = error
        self.table.reopen()
        live = {file.path for file in self.table.files()}
        if added and {file.path for file in added} <= live:
            return True  # it was said to have failed and is there all the same
        if trouble is not None:
            for file in added:
                self.storage.delete(file.path)
            raise trouble
        return False

    def _vacuum(self, made: Round) -> None:
        now = self.now_ns() // 10**9
        if now - (self.table.transaction_version(VACUUMED) or 0) < self.settings.vacuum_every:
            return
        hours = int(self.settings.vacuum_retention // 3600)
        gone = self.table.vacuum(hours, delete=True)
        self._replace(made, [], [], {VACUUMED: now}, rows_change=False)
        made.add("delete unused files", times=1, removed=len(gone))

    def _checkpoint(self, made: Round, before: int) -> None:
        self.table.refresh()
        last = housekeeping.last_checkpoint(self.storage)
        passed = self.table.version // housekeeping.CHECKPOINT_INTERVAL
        if (
            self.table.version - last < _CHECKPOINT_COMMITS
            and passed == before // housekeeping.CHECKPOINT_INTERVAL
        ):
            return
        try:
            housekeeping.checkpoint(self.table, self.storage)
        except LakeUnavailableError as error:
            made.failed.append(str(error))
            return
        made.add("checkpoint", times=1)
