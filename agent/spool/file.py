# SPDX-License-Identifier: Apache-2.0
"""One file of the spool: an SQLite database of records in the order they came, only ever appended to.

A committed row is on the disk (WAL, synchronous=FULL), a torn one is not seen again: SQLite's own checksums
cut the log at it. What was drained is marked now and then, which saves repeats and nothing else; rows are
never deleted, since that takes space on a full disk and unlinking the file does not.
"""

import contextlib
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path

from agent.spool.errors import FileDamagedError, FileNewerError, FileUnwritableError
from agent.spool.record import Record, Run, crcs, mark_crc
from agent.spool.refusals import REFUSALS, is_full, is_passing

FORMAT = 1
"""``PRAGMA user_version``. Columns may be added without a new one; it rises one release after its reader."""
PAGE = 16_384
SLACK = 12 * PAGE
"""What a transaction, or a new file, takes beside its records."""
LARGEST_LOG = 16 * 2**20
"""Of the write-ahead log, before its pages are copied to where they belong."""
SIDES = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a file; the last while the file is being made."""
SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE run (host TEXT, boot TEXT, epoch INTEGER, shards INTEGER, realtime_offset_ns INTEGER);
CREATE TABLE record (id INTEGER PRIMARY KEY, shard INTEGER, sequence INTEGER, events INTEGER,
    oldest_ns INTEGER, head_crc INTEGER, crc INTEGER, value BLOB);
CREATE TABLE drained (shard INTEGER PRIMARY KEY, row INTEGER, crc INTEGER);
PRAGMA user_version = {FORMAT};
"""
_INSERT = (
    "INSERT INTO record (id, shard, sequence, events, oldest_ns, head_crc, crc, value)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_TABLES = "SELECT 1 FROM sqlite_master"
_RUN = "SELECT host, boot, epoch, shards, realtime_offset_ns FROM run"
_HEADS = (
    "SELECT id, shard, sequence, events, oldest_ns, head_crc FROM record WHERE id > ? AND id <= ? ORDER BY id"
)
_ROW = "SELECT shard, sequence, events, oldest_ns, head_crc, crc, value FROM record WHERE id = ?"
Head = tuple[int, Record | None]
"""Number of a row, and what its head says (without the value); None: nothing that can be believed."""


class SpoolFile:
    """An open database. One thread at a time."""

    def __init__(self, path: Path, *, write: bool = True) -> None:
        """Open a file that is there.

        Raises:
            FileDamagedError: it is no spool file, or its beginning is damaged.
            FileNewerError: a later version wrote it.
            FileUnwritableError: it cannot be opened for a reason that is not its own.
        """
        self.path = path
        self._db = _open(path, "rw" if write else "ro")
        try:
            self.run, self.realtime_offset_ns = self._beginning()
        except (*REFUSALS, TypeError, ValueError) as error:
            self.close()
            text = f"{path.name}: {error}"
            if is_passing(error):
                raise FileUnwritableError(text, full=is_full(error)) from error
            raise FileDamagedError(text) from error
        except FileNewerError:
            self.close()
            raise

    def _beginning(self) -> tuple[Run, int]:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > FORMAT:
            raise FileNewerError(f"{self.path.name} has format {version}, this agent reads {FORMAT}")
        *run, offset_ns = self._db.execute(_RUN).fetchone()
        return Run(*run), offset_ns

    @classmethod
    def create(
        cls, path: Path, run: Run, realtime_offset_ns: int, log_bytes: int = LARGEST_LOG
    ) -> "SpoolFile":
        """Make a file for the records of a run; its log grows to ``log_bytes`` at most.

        Raises:
            FileUnwritableError: it cannot be made.
        """
        try:
            db = _connect(path, "rwc")
            try:
                db.execute(f"PRAGMA page_size = {PAGE}")
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = FULL")
                db.executescript(SCHEMA)
                db.execute("INSERT INTO run VALUES (?, ?, ?, ?, ?)", (*run, realtime_offset_ns))
                db.execute("COMMIT")
            finally:
                _close(db)
            made = cls(path)
            made._db.execute(f"PRAGMA wal_autocheckpoint = {max(4, min(log_bytes, LARGEST_LOG) // PAGE)}")
        except (*REFUSALS, FileDamagedError, FileUnwritableError) as error:
            remove(path)
            raise FileUnwritableError(str(error), full=is_full(error)) from error
        return made

    def append(self, first_row: int, records: list[Record]) -> None:
        """Write records as rows ``first_row``, …: all of them are on the disk, or none.

        Raises:
            FileUnwritableError: none is.
        """
        rows = [
            (row, *record[:4], *crcs(row, record), record.value)
            for row, record in enumerate(records, first_row)
        ]
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(_INSERT, rows)
            self._db.execute("COMMIT")
        except REFUSALS as error:
            with contextlib.suppress(*REFUSALS):
                self._db.execute("ROLLBACK")
            raise FileUnwritableError(str(error), full=is_full(error)) from error

    def read(self, row: int) -> Record | None:
        """Return a record, None where it is damaged or gone."""
        try:
            shard, sequence, events, oldest_ns, head_crc, crc, value = self._db.execute(
                _ROW, (row,)
            ).fetchone()
            record = Record(shard, sequence, events, oldest_ns, value)
            return record if crcs(row, record) == (head_crc, crc) else None
        except (*REFUSALS, TypeError, ValueError, OverflowError, struct.error):
            return None

    def heads(self) -> Iterator[Head]:
        """Yield every row's number and head, in order; of damaged rows too, as far as their number is known.

        Raises:
            FileDamagedError: not even the number of rows can be read.
        """
        after, last = 0, self._last()
        while after < last:
            try:
                for row, shard, sequence, events, oldest_ns, head_crc in self._db.execute(
                    _HEADS, (after, last)
                ):
                    if not after < row <= last:
                        continue  # rows are in order of their numbers, so this one is no row
                    yield from ((lost, None) for lost in range(after + 1, row))
                    after = row
                    yield row, _believed(row, Record(shard, sequence, events, oldest_ns, b""), head_crc)
                yield from ((lost, None) for lost in range(after + 1, last + 1))
                after = last
            except (*REFUSALS, TypeError):
                after += 1
                yield after, None

    def _last(self) -> int:
        try:
            last = self._db.execute("SELECT coalesce(max(id), 0) FROM record").fetchone()[0]
            if 0 <= last <= sum(size(self.path)):  # each row takes some bytes
                return int(last)
        except (*REFUSALS, TypeError) as error:
            raise FileDamagedError(f"{self.path.name}: {error}") from error
        raise FileDamagedError(f"{self.path.name}: {last} rows do not fit")

    def marks(self) -> dict[int, int]:
        """Return shard -> last row of which it and all before were drained."""
        try:
            found = self._db.execute("SELECT shard, row, crc FROM drained").fetchall()
            return {shard: row for shard, row, crc in found if mark_crc(shard, row) == crc}
        except (*REFUSALS, TypeError, struct.error):
            return {}

    def mark(self, marks: dict[int, int]) -> None:
        """Note how far shards were drained; not noting it costs repeats only."""
        rows = [(shard, row, mark_crc(shard, row)) for shard, row in marks.items()]
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT OR REPLACE INTO drained VALUES (?, ?, ?)", rows)
            self._db.execute("COMMIT")
        except REFUSALS:
            with contextlib.suppress(*REFUSALS):
                self._db.execute("ROLLBACK")

    def damage(self) -> str:
        """Return what SQLite finds wrong with the file's structure, empty: nothing."""
        try:
            found = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        except (*REFUSALS, TypeError) as error:
            return str(error)
        return "" if found == "ok" else str(found)

    def close(self) -> None:
        """Close it; what its log holds goes where it belongs, if there is space."""
        _close(self._db)


def is_empty(path: Path) -> bool:
    """Say whether a file was never finished making: it has no tables, and so no rows."""
    try:
        with contextlib.closing(_open(path, "rw")) as db:
            return not db.execute(_TABLES).fetchone()
    except (*REFUSALS, FileUnwritableError):
        return False


def size(path: Path) -> tuple[int, int]:
    """Return the bytes of a file and of its log."""
    return _size(path), _size(path.with_name(path.name + "-wal"))


def remove(path: Path) -> None:
    """Unlink a file with what is beside it."""
    for one in (path, *_sides(path)):
        with contextlib.suppress(OSError):  # what cannot be removed is sent again, once, and dropped there
            one.unlink(missing_ok=True)


def set_aside(path: Path) -> Path:
    """Rename a damaged file with its log so that nothing reads it again; returns its new name."""
    bad = path.with_name(path.name + ".bad")
    path.replace(bad)
    for one in _sides(path):
        if one.exists():
            one.replace(bad.with_name(one.name.replace(path.name, bad.name)))
    return bad


def _believed(row: int, record: Record, head_crc: int) -> Record | None:
    try:
        return record if crcs(row, record)[0] == head_crc else None
    except (TypeError, struct.error):
        return None


def _open(path: Path, mode: str) -> sqlite3.Connection:
    """Open a file; where there is no space for the index of its log, with that index in memory."""
    db = _connect(path, mode)
    try:
        db.execute(_TABLES).fetchone()
    except REFUSALS as error:
        if not is_passing(error):
            return db  # whoever reads it will see
        _close(db)
        db = _connect(path, mode, "PRAGMA locking_mode = EXCLUSIVE")
    return db


def _connect(path: Path, mode: str, *first: str) -> sqlite3.Connection:
    where = f"{path.absolute().as_uri()}?mode={mode}"
    try:
        db = sqlite3.connect(where, uri=True, isolation_level=None, check_same_thread=False)
    except REFUSALS as error:
        raise FileUnwritableError(f"{path.name}: {error}", full=is_full(error)) from error
    with contextlib.suppress(*REFUSALS):  # of a damaged file, which its first reader will tell
        for statement in (*first, "PRAGMA synchronous = FULL", "PRAGMA cell_size_check = ON"):
            db.execute(statement)
    return db


def _close(db: sqlite3.Connection) -> None:
    with contextlib.suppress(*REFUSALS):
        db.close()


def _sides(path: Path) -> list[Path]:
    return [path.with_name(path.name + side) for side in SIDES]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
