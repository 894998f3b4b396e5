# SPDX-License-Identifier: Apache-2.0
"""Targets: the spool's folder with any bytes changed. It opens, gives what was put in only, and goes on.

Inputs are changes to a good folder, so that most of them get past SQLite's own header.
"""

import shutil
import sqlite3
import struct
from collections.abc import Sequence
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from agent.spool import record as heads
from agent.spool.inspect import reports
from agent.spool.record import Record
from fuzz.target import Target, scratch
from support.spool import record, store, take_all

_CHANGE = struct.Struct("<IB")
RECORDS = [record(number % 3, number // 3, 40 + 400 * number) for number in range(12)]
MOST_ROWS = 40
_RECORD = "INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_DRAINED = "INSERT OR REPLACE INTO drained VALUES (?, ?, ?)"


@cache
def good() -> Path:
    """Return a folder with a file that has some records in its log and some where they belong."""
    made = scratch()
    opened = store(made / "first")
    opened.write(RECORDS[:6])
    opened.done(opened.give(1, 1, {})[0].place)
    opened.close()
    [path] = (made / "first").glob("*.spool")
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA wal_autocheckpoint = 0")
        for row, one in enumerate(RECORDS[6:], 7):
            rows = (row, *one[:4], *heads.crcs(row, one), one.value)
            database.execute("INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        shutil.copytree(made / "first", made / "good")
    return made / "good"


def bytes_of_files(data: bytes) -> None:
    """Change bytes of the file and of its log: five bytes of input are a place and what stands there."""
    with TemporaryDirectory(dir=scratch()) as made:
        folder = Path(made) / "spool"
        shutil.copytree(good(), folder)
        paths = sorted(path for path in folder.iterdir() if path.suffix in {".spool", ".spool-wal"})
        whole = [bytearray(path.read_bytes()) for path in paths]
        for at in range(0, len(data) - _CHANGE.size + 1, _CHANGE.size):
            place, value = _CHANGE.unpack_from(data, at)
            part = whole[place % len(whole)]
            part[place // len(whole) % len(part)] = value
        for path, part in zip(paths, whole, strict=True):
            path.write_bytes(part)
        goes_on(folder)


def rows(data: bytes) -> None:
    """Put rows of any types into a file; where the eighth column is true the checksums are made right."""
    try:
        given = msgspec.msgpack.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return
    if not isinstance(given, list):
        return
    with TemporaryDirectory(dir=scratch()) as made:
        folder = Path(made) / "spool"
        shutil.copytree(good(), folder)
        [path] = folder.glob("*.spool")
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            for row in given[:MOST_ROWS]:
                if isinstance(row, list) and len(row) == 8:
                    with suppress(sqlite3.Error, OverflowError, UnicodeEncodeError):
                        database.execute(_RECORD, _sealed(row))
                elif isinstance(row, list) and len(row) == 3:
                    with suppress(sqlite3.Error, OverflowError, UnicodeEncodeError):
                        database.execute(_DRAINED, row)
        goes_on(folder, forged=True)


def _sealed(row: list[Any]) -> list[Any]:
    number, shard, sequence, events, oldest_ns, value, right, _ = row
    crcs: Sequence[Any] = (0, right)
    with suppress(TypeError, struct.error):
        crcs = heads.crcs(number, Record(shard, sequence, events, oldest_ns, value)) if right else crcs
    return [number, shard, sequence, events, oldest_ns, *crcs, value]


def goes_on(folder: Path, *, forged: bool = False) -> None:
    """Hold that a folder can be looked at, opened, emptied and written again."""
    for _ in reports(folder, verify=True):
        pass
    opened = store(folder)
    try:
        found = [one.record for one in take_all(opened)]
        if not forged:
            assert not [one for one in found if one not in RECORDS], "a record that was never put in"
            assert len(set(found)) == len(found), "a record twice"
        assert all(loss.events >= 0 for loss in opened.losses())
        later = record(1, 99)
        opened.write([later])
        assert [one.record for one in take_all(opened)] == [later]
        opened.figures()
    finally:
        opened.close()


def _changes() -> list[bytes]:
    return [b"", _CHANGE.pack(200, 1), _CHANGE.pack(18, 2) + _CHANGE.pack(2 * 16_384 + 6, 255)]


def _rows() -> list[bytes]:
    sound = [[n, 1, n, 3, 10**9, b"value", True, None] for n in (13, 14, 2**40)]
    wild = [[13, "x", None, -1, 2**63 - 1, "text", False, None], [0, 0, 0, 0, 0, b"", 7, None]]
    return [msgspec.msgpack.encode(one) for one in (sound, wild, [[0, 5, 1], [1, "a", 2.5]])]


TARGETS = [Target("spool-bytes", bytes_of_files, _changes, 150), Target("spool-rows", rows, _rows, 150)]
