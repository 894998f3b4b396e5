# SPDX-License-Identifier: Apache-2.0
"""The folder of a spool: names of its files, the lock that makes it one process's own, what was left there.

The lock is the kernel's, so it goes with the process however that ends.
"""

import contextlib
import fcntl
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from agent.spool import file as files
from agent.spool.book import Book
from agent.spool.errors import FileDamagedError, FileNewerError, FileUnwritableError
from agent.spool.file import SpoolFile
from agent.spool.record import Run
from common.errors import RuntimeFailure

SUFFIX = ".spool"


class Folder:
    """The constructor touches nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None
        """File descriptor."""
        self._last = 0

    def take(self) -> None:
        """Make the folder and hold it for this process alone.

        Raises:
            RuntimeFailure: another process holds it, or it cannot be made or written.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.release()
            raise RuntimeFailure(
                f"spool {self.path} is in use by another agent: "
                "end it first, or give this one its own spool.path"
            ) from error
        except OSError as error:
            self.release()
            raise RuntimeFailure(
                f"spool {self.path}: {error.strerror}: "
                "set spool.path to a folder that can be written, or to nothing"
            ) from error

    def release(self) -> None:
        """Give the folder back."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def look(self, run: Run) -> tuple[deque[Book], list[str]]:
        """Return the account of each file, oldest first, and what is to be said of the others.

        What is damaged as a whole is set aside. Files of a later version, of runs with another number of
        shards, and those that cannot be opened now, are left where they are.
        """
        found: deque[Book] = deque()
        said = []
        self._remove_orphans()
        for number, path in numbered(self.path):
            self._last = max(self._last, number)
            try:
                if files.is_empty(path):
                    files.remove(path)
                    continue
                book = account(number, path, run)
            except FileDamagedError as error:
                said.append(f"set aside as {files.set_aside(path).name}, its records are not known: {error}")
            except (FileNewerError, FileUnwritableError) as error:
                said.append(f"left alone: {error}")
            else:
                if run.shards and book.run.shards != run.shards:
                    said.append(f"left alone: {path.name} is of {book.run.shards} shards, not {run.shards}")
                    continue
                if book.damaged:
                    said.append(f"{path.name} has records that cannot be read")
                found.append(book)
        return found, said

    def _remove_orphans(self) -> None:
        """Remove what stayed beside a file that is gone: who removed or made it was killed."""
        for side in files.SIDES:
            for path in self.path.glob(f"*{SUFFIX}*{side}"):
                if not path.with_name(path.name.removesuffix(side)).exists():
                    with contextlib.suppress(OSError):
                        path.unlink()

    def next_number(self) -> int:
        """Return the number of a new file: above all that are there."""
        self._last = max([self._last, *(number for number, _ in numbered(self.path))]) + 1
        return self._last

    def path_of(self, number: int) -> Path:
        """Return the path of a file."""
        return self.path / f"{number:012d}{SUFFIX}"

    def end(self, path: Path, *, damaged: bool) -> None:
        """Remove a file that is drained, or set it aside."""
        if damaged and path.exists():
            files.set_aside(path)
        else:
            files.remove(path)

    def bad_bytes(self) -> int:
        """Return the bytes of all files that were set aside."""
        return sum(sum(files.size(path)) for path in self.path.glob(f"*{SUFFIX}.bad"))

    def drop_bad(self) -> bool:
        """Remove the oldest file that was set aside; says whether there was one."""
        for path in sorted(self.path.glob(f"*{SUFFIX}.bad")):
            files.remove(path)
            return True
        return False


def numbered(folder: Path) -> Iterator[tuple[int, Path]]:
    """Yield number and path of each spool file, oldest first."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        if path.stem.isdigit():
            yield int(path.stem), path


def account(number: int, path: Path, run: Run | None, *, write: bool = True) -> Book:
    """Look through a file; ``run`` is the one whose files are its own.

    Raises:
        FileDamagedError: it cannot be read as a whole.
        FileNewerError: a later version wrote it.
        FileUnwritableError: it cannot be opened now.
    """
    opened = SpoolFile(path, write=write)
    try:
        book = Book(number, path, opened.run, opened.realtime_offset_ns, own=opened.run == run)
        for _, record in opened.heads():
            if record is None:
                book.add_damaged()
            else:
                book.add(record)
        for shard, row in opened.marks().items():
            if shard in book.queues:
                book.queues[shard].skip(row)
    finally:
        opened.close()
    book.bytes = sum(files.size(path))
    return book


def is_held(folder: Path) -> bool:
    """Say whether a process has taken the folder."""
    try:
        descriptor = os.open(folder / "lock", os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
