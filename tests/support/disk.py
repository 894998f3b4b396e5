# SPDX-License-Identifier: Apache-2.0
"""A disk whose power fails: what SQLite synced is there, of what it wrote since then any part may be.

Records SQLite's writes, truncations and syncs by methods put in front of those of its own unix VFS, so the
code under test runs as it is. ``image`` writes what a power cut at this moment might leave: of each file what
was synced, and of later writes each one or not, or its first sectors. Names are another matter, as POSIX has
it: until its folder is synced a new file may be missing and a removed one back. SQLite syncs the folder with
the first sync of a new log. The index of a log (-shm) is lost: it is made anew from the log.
"""

import ctypes
import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from ctypes import CFUNCTYPE, c_char_p, c_int, c_int64, c_void_p
from pathlib import Path
from typing import Self

SECTOR = 512
NEW_LOG = 0x800 | 0x80000
"""Flags of files with whose first sync SQLite also syncs the folder: journals and write-ahead logs."""
OK = 0
_WRITE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_TRUNCATE = CFUNCTYPE(c_int, c_void_p, c_int64)
_SYNC = CFUNCTYPE(c_int, c_void_p, c_int)
_OPEN = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)
_NAMES = ["close", "read", "write", "truncate", "sync", "size", "lock", "unlock", "reserved", "control"]
_NAMES += ["sector", "device", "shm_map", "shm_lock", "shm_barrier", "shm_unmap", "fetch", "unfetch"]


class _Methods(ctypes.Structure):
    """sqlite3_io_methods."""

    _fields_ = (("version", c_int), *((name, c_void_p) for name in _NAMES))


class _Vfs(ctypes.Structure):
    """The beginning of sqlite3_vfs, up to the function that is replaced."""

    _fields_ = (
        ("version", c_int),
        ("file_bytes", c_int),
        ("longest_path", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("data", c_void_p),
        ("open", c_void_p),
    )


class _File:
    """Content as it was synced, as it is, and the changes between the two."""

    def __init__(self, content: bytes, *, names_folder: bool) -> None:
        self.names_folder = names_folder
        """Its next sync is one of its folder, too."""
        self.named = bool(content)
        """Its name is on the disk."""
        self.synced = content
        self.now = bytearray(content)
        self.pending: list[tuple[int, bytes | None]] = []
        """(place, bytes written there), or (size, None) where it was cut."""

    def change(self, place: int, written: bytes | None) -> None:
        self.pending.append((place, written))
        _apply(self.now, place, written)

    def sync(self) -> None:
        self.synced, self.pending = bytes(self.now), []


class Disk:
    """Use it in a with block: SQLite files that are opened meanwhile are recorded. One at a time."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.files: dict[str, _File] = {}
        self._open: dict[int, str] = {}
        self._power: tuple[int, Callable[[], None]] | None = None
        self._sqlite = ctypes.CDLL("libsqlite3.so.0")
        self._sqlite.sqlite3_vfs_find.restype = c_void_p
        self._vfs = _Vfs.from_address(self._sqlite.sqlite3_vfs_find(None))
        self._theirs = _OPEN(self._vfs.open)
        self._ours = _OPEN(self._on_open)
        self._methods: dict[int, _Methods] = {}
        """Address of SQLite's own methods -> ours."""
        self._kept: list[object] = []

    def __enter__(self) -> Self:
        self._vfs.open = ctypes.cast(self._ours, c_void_p)
        return self

    def __exit__(self, *_: object) -> None:
        self._vfs.open = ctypes.cast(self._theirs, c_void_p)

    def fail_after(self, changes: int, act: Callable[[], None]) -> None:
        """Call ``act`` once so many more writes, cuts and syncs were made, before the next one."""
        self._power = changes, act

    def stay(self) -> None:
        """Forget ``fail_after``."""
        self._power = None

    def image(self, folder: Path, into: Path) -> None:
        """Write what a power cut now might leave of a folder to a new one."""
        into.mkdir()
        for path in folder.iterdir():  # what was renamed or is no database of ours
            if str(path) not in self.files and not path.name.endswith("-shm"):
                shutil.copy(path, into / path.name)
        for name, file in self.files.items():
            path = Path(name)
            if path.parent != folder or (not (path.exists() and file.named) and self.dice.random() < 0.5):
                continue
            content = bytearray(file.synced)
            for place, written in file.pending:
                self._maybe(content, place, written)
            (into / path.name).write_bytes(content)

    def _maybe(self, content: bytearray, place: int, written: bytes | None) -> None:
        chance = self.dice.random()
        if chance < 0.4:
            return
        if written and chance < 0.6:
            written = written[: self.dice.randrange(0, len(written) + SECTOR, SECTOR)]
        _apply(content, place, written)

    def _on_open(self, vfs: int, name: int | None, file: int, flags: int, out: int | None) -> int:
        path = Path(ctypes.string_at(name).decode()) if name else None
        content = b""
        if path is not None:
            with suppress(OSError):
                content = path.read_bytes()
        rc = int(self._theirs(vfs, name, file, flags, out))
        methods = c_void_p.from_address(file)
        if rc == OK and path is not None and methods.value:
            known = self.files.get(str(path))
            if known is None or (not content and known.now):
                self.files[str(path)] = _File(content, names_folder=not content and bool(flags & NEW_LOG))
            self._open[file] = str(path)
            methods.value = ctypes.addressof(self._recording(methods.value))
        return rc

    def _recording(self, theirs: int) -> _Methods:
        """Return SQLite's methods with ours before those that change a file."""
        if theirs in self._methods:
            return self._methods[theirs]
        original = _Methods.from_address(theirs)
        ours = _Methods.from_buffer_copy(original)
        write, cut, sync = _WRITE(original.write), _TRUNCATE(original.truncate), _SYNC(original.sync)

        def on_write(file: int, data: int, size: int, place: int) -> int:
            self._due()
            self.files[self._open[file]].change(place, ctypes.string_at(data, size))
            return int(write(file, data, size, place))

        def on_truncate(file: int, size: int) -> int:
            self._due()
            self.files[self._open[file]].change(size, None)
            return int(cut(file, size))

        def on_sync(file: int, flags: int) -> int:
            self._due()
            rc = int(sync(file, flags))
            synced = self.files[self._open[file]]
            synced.sync()
            if synced.names_folder:
                synced.names_folder = False
                self._sync_folder(Path(self._open[file]).parent)
            return rc

        kept = _WRITE(on_write), _TRUNCATE(on_truncate), _SYNC(on_sync)
        ours.write, ours.truncate, ours.sync = (ctypes.cast(one, c_void_p) for one in kept)
        self._kept += [*kept, ours]
        self._methods[theirs] = ours
        self._methods[ctypes.addressof(ours)] = ours
        return ours

    def _sync_folder(self, folder: Path) -> None:
        for name in [name for name in self.files if Path(name).parent == folder]:
            if Path(name).exists():
                self.files[name].named = True
            else:
                del self.files[name]

    def _due(self) -> None:
        if self._power is not None:
            left, act = self._power
            self._power = (left - 1, act) if left else None
            if not left:
                act()


def _apply(content: bytearray, place: int, written: bytes | None) -> None:
    """Write to a content, or cut it (``written`` is None)."""
    if len(content) < place:
        content.extend(bytes(place - len(content)))
    if written is None:
        del content[place:]
    else:
        content[place : place + len(written)] = written
