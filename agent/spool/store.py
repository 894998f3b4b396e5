# SPDX-License-Identifier: Apache-2.0
"""The folder of spool files: rotation, quota, what goes in and out. One thread calls it.

Guarantees: records of one shard come out in the order they went in, across files and agent runs. A record
that was written is given until it is done, or is told as a loss, exactly once. The folder holds no more than
the quota; what the disk refuses is told, never raised.
"""

import contextlib
import os
from collections import deque
from pathlib import Path

import structlog

from agent.spool import file as files
from agent.spool.book import Book
from agent.spool.errors import FileUnwritableError
from agent.spool.folder import Folder
from agent.spool.handles import Handles
from agent.spool.limits import FILES_AT_LEAST, Figures, Limits
from agent.spool.record import Given, Loss, Place, Record, Run
from common.throttle import Throttle

AT_ONCE_BYTES = 4 * 2**20
"""Of one transaction at most."""
ROW_BYTES = 96
"""What a record costs beside its value."""


class Store:
    """The constructor touches nothing; ``open`` takes the folder for this process alone."""

    def __init__(self, folder: Path, limits: Limits, run: Run, realtime_offset_ns: int) -> None:
        self._folder = Folder(folder)
        self.limits = limits
        """Another thread may put others here."""
        self._run = run
        self._offset_ns = realtime_offset_ns
        self._books: deque[Book] = deque()
        self._handles = Handles()
        self._orphans: dict[Place, Loss] = {}
        """Out when their file was dropped."""
        self._losses: list[Loss] = []
        self._last = -1
        """Shard that was given last: the next one has its turn before it."""
        self._bad_bytes = 0
        self._log_bytes = 0
        """Of the file that is written."""
        self._log = structlog.get_logger()
        self._throttle = Throttle()

    def open(self) -> None:
        """Take the folder and look through what earlier runs left.

        Raises:
            RuntimeFailure: another process has it, or it cannot be written.
        """
        self._folder.take()
        self._books, said = self._folder.look(self._run)
        for line in said:
            self._log.warning("spool file", file=line)
        for book in [book for book in self._books if not book.records_left]:
            self._end(book)
        self._bad_bytes = self._folder.bad_bytes()

    def held(self) -> dict[int, int]:
        """Return shard -> records that are not done."""
        found: dict[int, int] = {}
        for book in self._books:
            for shard, queue in book.queues.items():
                found[shard] = found.get(shard, 0) + len(queue)
        return found

    def shards(self) -> int:
        """Return the number of shards that have records."""
        return len({shard for book in self._books for shard, queue in book.queues.items() if len(queue)})

    def write(self, records: list[Record]) -> None:
        """Take records; those that have no place are told as losses."""
        chunk: list[Record] = []
        most, held = min(AT_ONCE_BYTES, self._file_bytes()), 0
        for record in records:
            size = len(record.value) + ROW_BYTES
            if chunk and held + size > most:
                self._write(chunk, held)
                chunk, held = [], 0
            chunk.append(record)
            held += size
        if chunk:
            self._write(chunk, held)

    def give(self, most_bytes: int, shard_bytes: int, out: dict[int, int]) -> list[Given]:
        """Return records that are next, about ``most_bytes`` of them; they are out until told otherwise.

        ``out`` is shard -> bytes out already; a shard gets at most ``shard_bytes``, or one record.
        """
        found: list[Given] = []
        blocked: set[int] = set()
        for book in list(self._books):
            with contextlib.suppress(FileUnwritableError):  # not readable now: all its shards wait
                for shard in sorted(book.queues.keys() - blocked, key=lambda one: (one <= self._last, one)):
                    given = self._give(book, shard, most_bytes, shard_bytes - out.get(shard, 0))
                    found += given
                    size = sum(len(one.record.value) for one in given)
                    out[shard] = out.get(shard, 0) + size
                    most_bytes -= size
                    self._last = shard if given else self._last
            blocked |= {shard for shard, queue in book.queues.items() if queue.peek() is not None}
            self._end_if_done(book)
            if most_bytes <= 0:
                break
        return found

    def _give(self, book: Book, shard: int, most_bytes: int, shard_bytes: int) -> list[Given]:
        found: list[Given] = []
        queue = book.queues[shard]
        while min(most_bytes, shard_bytes) > 0 and (row := queue.peek()) is not None:
            record = self._read(book, shard, row)
            if record is not None:
                queue.give(row)
                found.append(Given(Place(book.number, shard, row), book.own, record, book.run))
                most_bytes -= len(record.value)
                shard_bytes -= len(record.value)
        return found

    def done(self, place: Place) -> None:
        """A record arrived, or was given up by whoever took it."""
        self._orphans.pop(place, None)
        if (book := self._book(place)) is not None:
            book.queues[place.shard].done(place.row)
            self._end_if_done(book)

    def back(self, place: Place) -> None:
        """A record did not arrive: it is given again, before those behind it."""
        if (loss := self._orphans.pop(place, None)) is not None:
            self._losses.append(loss)
        elif (book := self._book(place)) is not None:
            book.queues[place.shard].back(place.row)

    def losses(self) -> list[Loss]:
        """Return what was lost since the last call."""
        found, self._losses = self._losses, []
        return found

    def note(self) -> None:
        """Note on the disk how far the oldest file was drained, so that a restart repeats less."""
        for book in self._books:
            marks = {shard: queue.mark for shard, queue in book.queues.items() if queue.mark}
            with contextlib.suppress(FileUnwritableError):
                if marks and (opened := self._handles.open(book)) is not None:
                    opened.mark(marks)
            return

    def figures(self) -> Figures:
        """Return how it stands now."""
        oldest = [(one, book.own) for book in self._books if (one := book.oldest_ns()) is not None]
        earlier = min((one for one, own in oldest if not own), default=None)
        records = sum(book.records_left for book in self._books)
        return Figures(self._bytes(), self._quota(), records, min(oldest, default=(None,))[0], earlier)

    def close(self) -> None:
        """Close all files and give the folder back."""
        self.note()
        self._rotate()
        self._handles.close_reader()
        self._folder.release()

    def _write(self, records: list[Record], size: int) -> None:
        try:
            if not self._make_room(size):
                self._lose(records, "quota")
                return
            while (error := self._refused(records)) is not None:
                if not (error.full and self._books and self.limits.when_full == "drop-oldest"):
                    self._say(error)
                    self._lose(records, "disk-full" if error.full else "disk-error")
                    return
                self._drop(self._books[0], "disk-full")
        except OSError as error:
            self._say(error)
            self._lose(records, "disk-error")

    def _say(self, error: Exception) -> None:
        if (silent := self._throttle.due("write")) is not None:
            self._log.warning("spool cannot be written", error=str(error), more=silent)

    def _refused(self, records: list[Record]) -> FileUnwritableError | None:
        """Write records; returns why they were not."""
        try:
            self._append(records)
        except FileUnwritableError as error:
            self._rotate()
            return error
        return None

    def _append(self, records: list[Record]) -> None:
        book = self._handles.written or self._begin()
        opened = self._handles.open(book)
        assert opened is not None  # noqa: S101 - it is the one that is written
        opened.append(book.rows + 1, records)
        for record in records:
            book.add(record)
        in_file, self._log_bytes = files.size(book.path)
        book.bytes = in_file + self._log_bytes
        if book.bytes >= self._file_bytes():
            self._rotate()

    def _begin(self) -> Book:
        number = self._folder.next_number()
        book = Book(number, self._folder.path_of(number), self._run, self._offset_ns, own=True)
        self._handles.begin(book, self._file_bytes() // FILES_AT_LEAST)
        self._books.append(book)
        return book

    def _make_room(self, size: int) -> bool:
        """Drop files until ``size`` more bytes fit, if so told; says whether they do."""
        quota = self._quota()
        size = 9 * size // 4 + files.SLACK
        # When the log is copied into its file, both are there for a moment.
        while self._bytes() + self._log_bytes + size > quota:
            if self._folder.drop_bad():
                self._bad_bytes = self._folder.bad_bytes()
            elif self.limits.when_full == "drop-oldest" and self._books:
                self._drop(self._books[0], "quota")
            else:
                return False
        return True

    def _drop(self, book: Book, reason: str) -> None:
        if book is self._handles.written:
            self._rotate()
        after: dict[int, int] = {}
        for other in reversed(self._books):
            if other is not book:
                after |= {shard: queue.oldest_ns for shard, queue in other.queues.items() if len(queue)}
        self._losses += book.losses(reason, after)
        for shard, queue in book.queues.items():
            for row in queue.out:
                lost = Loss(reason, book.own, shard, 1, book.events_of(row), run=book.run)
                self._orphans[Place(book.number, shard, row)] = lost
        self._end(book)

    def _lose(self, records: list[Record], reason: str) -> None:
        self._losses += [Loss(reason, own=True, shard=r.shard, records=1, events=r.events) for r in records]

    def _read(self, book: Book, shard: int, row: int) -> Record | None:
        """Return a record, or tell that it is damaged.

        Raises:
            FileUnwritableError: that cannot be said now.
        """
        opened = self._handles.open(book)
        record = None if opened is None else opened.read(row)
        if record is None:
            book.damaged = True
            book.queues[shard].done(row)
            self._losses.append(Loss("corrupt", book.own, shard, 1, book.events_of(row), run=book.run))
        return record

    def _end_if_done(self, book: Book) -> None:
        if not book.records_left:
            if book is self._handles.written:
                self._rotate()
            if book in self._books:
                self._end(book)

    def _end(self, book: Book) -> None:
        """Have done with a file: remove it, or set it aside for whoever wants to know what happened."""
        self._handles.close_reader(book)
        self._books.remove(book)
        self._folder.end(book.path, damaged=book.damaged)
        self._bad_bytes = self._folder.bad_bytes()

    def _rotate(self) -> None:
        """Close the file that is written; the next record begins another one."""
        if (book := self._handles.finish()) is not None:
            self._log_bytes = 0
            book.bytes = sum(files.size(book.path))
            if not book.rows:
                self._end(book)

    def _book(self, place: Place) -> Book | None:
        return next((book for book in self._books if book.number == place.file), None)

    def _bytes(self) -> int:
        return self._bad_bytes + sum(book.bytes for book in self._books)

    def _quota(self) -> int:
        disk = os.statvfs(self._folder.path)
        return min(
            int(self.limits.max_bytes), int(self.limits.max_disk_share * disk.f_frsize * disk.f_blocks)
        )

    def _file_bytes(self) -> int:
        return min(self.limits.file_bytes, self._quota() // FILES_AT_LEAST)
