# SPDX-License-Identifier: Apache-2.0
"""Hours of facts and what was rolled up of them, replaced hour by hour, exactly once.

An hour's transaction identifier is the number of its rows that its roll-up is made of. Merging files does not
change the rows, so an hour is due if and only if it has more. The new roll-up and that number are one commit
through the handle on which was checked that nobody else had rolled the hour: the very next version, or it is
tried again. Of two runners one commits, one that is killed has done nothing or all. Hours whose rows were
deleted by age are never made anew.
"""

import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

import pyarrow as pa

from lake import evolution, housekeeping, settled
from lake.delta import Table
from lake.errors import CommitUnknownError, LakeUnavailableError, StalePositionError
from lake.parquet import HOUR_INDEX, DataFile, LiveFile, hour_index, hour_name, write_kind
from lake.retention import expired_id, rows_of
from lake.storage import Storage

INPUTS = ("histogram", "match", "clock", "reading")
OUTPUTS = ("clock_solution", "rollup", "exemplar")
AROUND = ("clock", "reading")
"""Inputs of which the hours on either side count, too."""
SETTLED = "wirelag/rollup/settled"
"""App id whose version is the time, in s since the epoch, up to which windows were taken for settled."""
ROLLUP_POINTS = (
    "before-parquet",
    "after-parquet",
    "after-sync",
    "after-refresh",
    "after-check",
    "after-commit",
    "after-log-sync",
)
"""What a commit of a roll-up passes, in this order; the fourth and fifth again where others were first."""
_TRIES = 200
_PAUSE_SECONDS = 0.05


def hour_id(index: int) -> str:
    """Return the app id whose version is how many rows of an hour were rolled up, + 1 once it is whole."""
    date, hour = hour_name(index)
    return f"wirelag/rollup/{date}T{hour:02}"


def around_id(index: int) -> str:
    """Return the app id whose version is the number of rows of the neighbouring hours that were of use."""
    return f"{hour_id(index)}/around"


def day_id(date: str) -> str:
    """Return the app id whose version is the sum of those of a day's hours when its windows were made."""
    return f"wirelag/rollup/{date}"


@dataclass(frozen=True, slots=True)
class Hour:
    """An hour of facts in one version of the table."""

    index: int
    """Hours since the epoch."""
    files: Mapping[str, tuple[LiveFile, ...]]
    """By kind, of INPUTS and OUTPUTS."""

    @property
    def rows(self) -> int:
        """Rows to be rolled up."""
        return sum(rows_of(self.files.get(kind, ())) for kind in INPUTS)


@dataclass(frozen=True, slots=True)
class Change:
    """What takes the place of an hour's rows of some kinds, if app ids are as they were."""

    index: int
    rows: Mapping[str, Sequence[pa.Table]]
    """Kind -> tables of its columns; the files of all these kinds are replaced, also by nothing."""
    expected: Mapping[str, int | None]
    after: Mapping[str, int]
    """They only rise."""
    adds: bool = False
    """Nothing is replaced."""


@dataclass(slots=True)
class RollUps:
    """One process's access to what is rolled up. Not for several threads at once."""

    storage: Storage
    _table: Table
    _trace: Callable[[str], None] = lambda _point: None
    pause: Callable[[float], None] = time.sleep
    conflicts: int = 0
    """Commits that another one came before, and that were tried again."""
    _synced: int = housekeeping.NO_CHECKPOINT
    _known: dict[str, int | None] = field(default_factory=dict)
    """App ids in the version shown."""

    @classmethod
    def open(
        cls,
        uri: str,
        *,
        storage_options: Mapping[str, str] | None = None,
        trace: Callable[[str], None] = lambda _point: None,
    ) -> Self:
        """Open a lake that exists; `trace` is called with the name of each point a commit passes.

        Raises:
            LakeUnavailableError: it cannot be read, or there is none.
            LakeCorruptError: a table is there that is no lake of ours.
        """
        return cls(*evolution.open_whole(uri, dict(storage_options or {})), trace)

    def refresh(self) -> dict[int, Hour]:
        """Show the newest version; return its hours that have facts or roll-ups."""
        self._table.refresh()
        self._known.clear()
        return self._hours()

    def settled_to(self, waits: settled.Waits, now_ns: int) -> int:
        """Return the time at which windows have to end to be settled (`lake.settled`); it only rises."""
        line = settled.settled_to(settled.standings(self._table, self.storage), waits, now_ns)
        return max(line // 10**9, self.version_of(SETTLED) or 0) * 10**9

    def version_of(self, app_id: str) -> int | None:
        """Return what the version shown has for an app id."""
        if app_id not in self._known:
            self._known[app_id] = self._table.transaction_version(app_id)
        return self._known[app_id]

    def expired_kinds(self, index: int) -> list[str]:
        """Return the inputs that may have been deleted of an hour, or of one beside it, by their age."""
        last = {kind: self.version_of(expired_id(kind)) for kind in INPUTS}
        return [
            kind
            for kind, hour in last.items()
            if hour is not None and index <= hour + (1 if kind in AROUND else 0)
        ]

    def commit(self, change: Change) -> None:
        """Commit a change; what it needs is in the table's version shown or in a later one.

        Raises:
            StalePositionError: another one rolled the hour meanwhile; nothing was committed.
            CommitUnknownError: the next look tells whether it was committed.
            LakeUnavailableError: the storage failed before the commit; nothing was committed.
        """
        files: list[DataFile] = []
        try:
            self._write(change, files)
            self._replace(change, files)
        except (StalePositionError, LakeUnavailableError):
            for file in files:
                with suppress(LakeUnavailableError):
                    self.storage.delete(file.path)
            raise

    def _hours(self) -> dict[int, Hour]:
        there: dict[int, dict[str, list[LiveFile]]] = defaultdict(lambda: defaultdict(list))
        for file in self._table.files():
            if file.kind in INPUTS or file.kind in OUTPUTS:
                there[hour_index(file.date, file.hour)][file.kind].append(file)
        return {
            index: Hour(index, {kind: tuple(files) for kind, files in kinds.items()})
            for index, kinds in sorted(there.items())
        }

    def _write(self, change: Change, files: list[DataFile]) -> None:
        self._trace("before-parquet")
        for kind, tables in change.rows.items():
            placed = [
                table.append_column(
                    HOUR_INDEX, pa.repeat(pa.scalar(change.index, pa.int64()), table.num_rows)
                )
                for table in tables
            ]
            files += write_kind(self.storage, kind, placed)
        self._trace("after-parquet")
        self.storage.sync([file.path for file in files])
        self._trace("after-sync")

    def _replace(self, change: Change, files: Sequence[DataFile]) -> None:
        date, hour = hour_name(change.index)
        for _ in range(_TRIES):
            self._table.refresh()
            self._known.clear()
            self._trace("after-refresh")
            self._require(change)
            self._sync_log()
            live = self._table.files()
            old = [one for one in live if (one.date, one.hour) == (date, hour) and one.kind in change.rows]
            old = [] if change.adds else old
            self._trace("after-check")
            after = {name: max(to, self.version_of(name) or 0) for name, to in change.after.items()}
            if self._is_next(old, files, after):
                return
            self.conflicts += 1
            self.pause(random.uniform(0, _PAUSE_SECONDS))  # noqa: S311 - only to part two runners
        raise LakeUnavailableError(
            f"others committed first {_TRIES} times in a row; the hour is rolled up in the next round"
        )

    def _require(self, change: Change) -> None:
        for name, version in change.expected.items():
            if (found := self.version_of(name)) != version:
                raise StalePositionError(f"{name} is at {found}, this roll-up began at {version}")

    def _is_next(self, old: Sequence[LiveFile], files: Sequence[DataFile], after: Mapping[str, int]) -> bool:
        """Commit as the very next version; False where another commit took that."""
        before = self._table.version
        try:
            if not self._table.replace(old, files, after, rows_change=True):
                return False
            self._trace("after-commit")
            self._table.refresh()
            self._sync_log()
        except LakeUnavailableError as error:
            self._table.reopen()
            raise CommitUnknownError(
                f"a roll-up in {self.storage.uri} failed ({error}) and may be durable all the same"
            ) from error
        finally:
            self._known.clear()
        self._trace("after-log-sync")
        housekeeping.checkpoint_when_due(self._table, self.storage, before)
        return True

    def _sync_log(self) -> None:
        """Force all commits up to the version shown to the disk: whoever made one may have been killed."""
        since = max(self._synced, housekeeping.last_checkpoint(self.storage))
        housekeeping.sync_log(self.storage, since, self._table.version)
        self._synced = self._table.version
