# SPDX-License-Identifier: Apache-2.0
"""The rows of one shard in one file: which are out, which are done. Pure.

Rows are given in ascending order; a row that comes back is given again before those behind it. Four bytes a
row, so that a full spool of small records costs megabytes.
"""

from array import array
from bisect import bisect_left


class Queue:
    """Rows by number, first in first out."""

    __slots__ = ("_ahead", "_first", "_next", "_rows", "last_sequence", "oldest_ns", "out")

    def __init__(self, oldest_ns: int) -> None:
        self._rows = array("I")
        self._first = 0
        """Index of the first row that is not done."""
        self._next = 0
        """Index from which to look for one to give."""
        self._ahead: set[int] = set()
        """Done before one in front of it."""
        self.out: set[int] = set()
        """Given, and not done yet."""
        self.last_sequence = -1
        self.oldest_ns = oldest_ns
        """Of the first row, when it was written."""

    def add(self, row: int, sequence: int) -> None:
        """Take a row behind all others."""
        self._rows.append(row)
        self.last_sequence = max(self.last_sequence, sequence)

    def peek(self) -> int | None:
        """Return the next row to give, None if there is none."""
        rows = self._rows
        while self._next < len(rows) and (rows[self._next] in self.out or rows[self._next] in self._ahead):
            self._next += 1
        return rows[self._next] if self._next < len(rows) else None

    def give(self, row: int) -> None:
        """The row that ``peek`` returned is out now."""
        self.out.add(row)

    def back(self, row: int) -> None:
        """A row that was out is to be given again."""
        if row in self.out:
            self.out.remove(row)
            self._next = min(self._next, bisect_left(self._rows, row))

    def done(self, row: int) -> None:
        """A row is not needed any more."""
        self.out.discard(row)
        self._ahead.add(row)
        while self._first < len(self._rows) and self._rows[self._first] in self._ahead:
            self._ahead.remove(self._rows[self._first])
            self._first += 1
        self._next = max(self._next, self._first)

    def skip(self, row: int) -> None:
        """All rows up to this one were done by an earlier process."""
        self._first = self._next = bisect_left(self._rows, row + 1)

    @property
    def mark(self) -> int:
        """The last row of which it and all before are done, 0 = none."""
        return self._rows[self._first - 1] if self._first else 0

    def left(self) -> list[int]:
        """Return the rows that are neither done nor out."""
        return [row for row in self._rows[self._first :] if row not in self.out and row not in self._ahead]

    def __len__(self) -> int:
        """Rows that are not done."""
        return len(self._rows) - self._first - len(self._ahead)
