# SPDX-License-Identifier: Apache-2.0
"""A second look at what is unmatched: what came since the last look, and corrections in one commit.

The transaction identifier `wirelag/late` is the version of the table up to which was looked. It moves in the
commit that holds the corrections, through the handle that was checked, as positions do (`lake.facts`): of two
that look at once one commits, and one that is killed has done nothing or all.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from common.units import HOUR_NS
from lake import evolution, housekeeping, state
from lake.delta import Table
from lake.errors import CommitUnknownError, LakeUnavailableError, StalePositionError
from lake.parquet import hour_name, write_kind
from lake.storage import Storage, translated
from schemas.tables import KINDS

APP_ID = "wirelag/late"
FOLDER = "_late"
"""What is to be sent of the last look; Delta's vacuum leaves it alone."""
UNMATCHED, EXCHANGE = "unmatched", "exchange"
"""The kinds that are looked at."""
TRACE_POINTS = (
    "before-parquet",
    "after-parquet",
    "after-sync",
    "after-refresh",
    "after-check",
    "after-commit",
    "after-log-sync",
)
"""What a commit of corrections passes, in this order."""


def _no_trace(_point: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Look:
    """What there is to look at in `version`: files that came since the last look, and all near them."""

    version: int
    since: int | None
    new: tuple[str, ...]
    near: tuple[str, ...]
    """With the new ones."""


@dataclass(slots=True)
class Late:
    """One process's access to what is unmatched. Not for several threads at once."""

    _storage: Storage
    _table: Table
    _trace: Callable[[str], None] = _no_trace

    @classmethod
    def open(
        cls,
        uri: str,
        *,
        storage_options: Mapping[str, str] | None = None,
        trace: Callable[[str], None] = _no_trace,
    ) -> Self:
        """Open a lake that exists; `trace` is called with the name of each point a commit passes.

        Raises:
            LakeUnavailableError: it cannot be read, or there is none.
            LakeCorruptError: a table is there that is no lake of ours.
        """
        return cls(*evolution.open_whole(uri, dict(storage_options or {})), trace)

    def look(self, reach_ns: int) -> Look | None:
        """Return what came since the last look, None where nothing did.

        Files of hours up to `reach_ns` away are near.
        """
        self._table.refresh()
        version, since = self._table.version, self._table.transaction_version(APP_ID)
        live = self._table.live()
        live = live.filter(pc.is_in(live["partition.kind"], pa.array([UNMATCHED, EXCHANGE])))
        columns = (live[name].to_pylist() for name in ("path", "partition.date", "partition.hour"))
        hours = {path: (date, hour) for path, date, hour in zip(*columns, strict=True)}
        before = self._table.paths_at(since) if since is not None else None
        new = [path for path in hours if before is None or path not in before]
        if not new:
            return None
        near = _near({hours[path] for path in new}, set(hours.values()), -(-reach_ns // HOUR_NS))
        return Look(version, since, tuple(new), tuple(path for path in hours if hours[path] in near))

    def read(
        self,
        paths: Iterable[str],
        columns: list[str] | None = None,
        connections: pa.Array | None = None,
        kind: str = UNMATCHED,
    ) -> pa.Table:
        """Return rows of one kind of those files, all columns or some, of all connections or some."""
        own = [path for path in paths if path.startswith(f"kind={kind}/")]
        if not own:
            return KINDS[kind].empty_table().select(columns or KINDS[kind].names)
        found = ds.dataset(own, schema=KINDS[kind], format="parquet", filesystem=self._storage.filesystem)
        wanted = None if connections is None else ds.field("connection").isin(connections)
        with translated(f"cannot read {kind} rows below {self._storage.uri}"):
            return found.to_table(columns=columns, filter=wanted)

    @property
    def id(self) -> str:
        """The table's own id."""
        return self._table.id

    def owed(self) -> tuple[int, bytes] | None:
        """Return the version of the last look that was committed and what it left to be sent, None: nothing.

        Raises:
            LakeCorruptError: it is damaged.
        """
        self._table.refresh()
        version = self._table.transaction_version(APP_ID)
        names = [entry.path for entry in self._storage.entries(FOLDER) if _version_of(entry.path) == version]
        return (_version_of(names[0]), state.read(self._storage, min(names))) if names else None

    def sent(self, version: int) -> None:
        """Forget what was left to be sent by the look at a version, and by those before it."""
        for entry in self._storage.entries(FOLDER):
            if _version_of(entry.path) <= version:
                with suppress(LakeUnavailableError):  # another process deletes them, too
                    self._storage.delete(entry.path)

    def commit(self, look: Look, rows: Mapping[str, pa.Table], owed: bytes | None = None) -> None:
        """Commit what a look led to (kind -> rows with `hour_index`; may be empty) and that it was had.

        What is ``owed`` is kept until it was `sent`, as an object that is written before the commit and named
        after the look's version. Looks at one version are alike, and so is what they owe; that of a look that
        was not committed is of another version than the last one's, and is deleted with the next.

        Raises:
            StalePositionError: another one looked meanwhile; nothing was committed.
            CommitUnknownError: the next look tells whether it was committed.
            LakeUnavailableError: the storage failed before the commit; nothing was committed.
        """
        self._trace("before-parquet")
        files = [file for kind, table in rows.items() for file in write_kind(self._storage, kind, [table])]
        paths = [file.path for file in files]
        if owed is not None:
            paths.append(f"{FOLDER}/{look.version}-{uuid.uuid4().hex}")
            state.write(self._storage, paths[-1], owed)
        self._trace("after-parquet")
        self._storage.sync(paths)
        self._trace("after-sync")
        self._table.refresh()
        self._trace("after-refresh")
        found, before = self._table.transaction_version(APP_ID), self._table.version
        if found != look.since:
            raise StalePositionError(f"{APP_ID} is at {found}, this look began at {look.since}")
        self._trace("after-check")
        try:
            self._table.append(files, {APP_ID: look.version})
            self._trace("after-commit")
            self._table.refresh()
            housekeeping.sync_log(self._storage, before, self._table.version)
        except Exception as error:
            self._table.reopen()
            raise CommitUnknownError(
                f"a commit to {self._storage.uri} failed ({error}) and may be durable all the same"
            ) from error
        self._trace("after-log-sync")
        housekeeping.checkpoint_when_due(self._table, self._storage, before)


def _version_of(path: str) -> int:
    """Return the version of the table that a look was at, of what it left."""
    return int(path.rpartition("/")[2].partition("-")[0])


def _near(of: set[tuple[str, int]], hours: set[tuple[str, int]], reach: int) -> set[tuple[str, int]]:
    """Return the hours that are at most ``reach`` hours away from one of some."""
    numbers = {name: number for number, name in _numbered(hours)}
    wanted = sorted(numbers[hour] for hour in of)
    least, greatest = wanted[0] - reach, wanted[-1] + reach
    return {
        name
        for name, number in numbers.items()
        if least <= number <= greatest and any(abs(number - one) <= reach for one in wanted)
    }


def _numbered(hours: set[tuple[str, int]]) -> list[tuple[int, tuple[str, int]]]:
    found = []
    for date, hour in hours:
        day = datetime.strptime(date, "%Y-%m-%d").replace(tzinfo=UTC)
        number = int(day.timestamp()) // 3600 + hour
        assert hour_name(number) == (date, hour)  # noqa: S101 - the inverse
        found.append((number, (date, hour)))
    return found
