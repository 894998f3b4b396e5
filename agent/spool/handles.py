# SPDX-License-Identifier: Apache-2.0
"""Which spool files are open: the one that is written and the one that is being taken out, no more."""

from agent.spool.book import Book
from agent.spool.errors import FileDamagedError
from agent.spool.file import SpoolFile


class Handles:
    """One thread calls it."""

    def __init__(self) -> None:
        self._writer: tuple[Book, SpoolFile] | None = None
        self._reader: tuple[Book, SpoolFile] | None = None

    @property
    def written(self) -> Book | None:
        """The account of the file that is written, None if there is none."""
        return self._writer[0] if self._writer is not None else None

    def begin(self, book: Book, log_bytes: int) -> None:
        """Make the file of an account, to be written from now on.

        Raises:
            FileUnwritableError: it cannot be made.
        """
        self._writer = book, SpoolFile.create(book.path, book.run, book.realtime_offset_ns, log_bytes)

    def finish(self) -> Book | None:
        """Close the file that is written, and return its account."""
        if self._writer is None:
            return None
        (book, opened), self._writer = self._writer, None
        opened.close()
        return book

    def open(self, book: Book) -> SpoolFile | None:
        """Return the open file of an account, None where it is damaged as a whole.

        Raises:
            FileUnwritableError: it cannot be opened now.
        """
        if self._writer is not None and book is self._writer[0]:
            return self._writer[1]
        if self._reader is None or self._reader[0] is not book:
            self.close_reader()
            try:
                self._reader = book, SpoolFile(book.path)
            except FileDamagedError:
                return None
        return self._reader[1]

    def close_reader(self, book: Book | None = None) -> None:
        """Close the file that is taken out; where an account is given, only if it is that one's."""
        if self._reader is not None and book in (None, self._reader[0]):
            self._reader[1].close()
            self._reader = None
