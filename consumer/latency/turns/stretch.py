# SPDX-License-Identifier: Apache-2.0
"""The runs of one stretch of time, found by one pass over its calls.

Of each run what ``find`` looks at is made at once; the rest only of those runs that are asked for, since
most are of no use once the exchange that they are part of is told.
"""

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from consumer.latency.intervals import I32, I64, Bools, Index
from consumer.latency.turns.find import More
from consumer.latency.turns.arrivals import Arrivals
from consumer.latency.turns.merge import Merged
from consumer.latency.turns.runs import Runs
from consumer.latency.turns.tables import Seen

FIRST = 3
"""Runs of an end that can make an exchange with runs of an earlier stretch: request, response, next request."""


class Stretch:
    """(n,) runs, by end and, of one end, in order of time; at least one."""

    def __init__(self, seen: Seen, merged: Merged, client: Bools, came: Arrivals) -> None:
        sent = merged.sent
        fresh = np.ones(sent.size, dtype=bool)
        np.not_equal(sent[1:], sent[:-1], out=fresh[1:])
        fresh[merged.starts] = True
        self._came = came
        self._head = np.flatnonzero(fresh)
        self._tail = np.append(self._head[1:], sent.size) - 1
        self._rows = _Rows(seen, merged)
        head, tail = self._rows.at(self._head), self._rows.at(self._tail)
        self.end: I32 = head.of("end")
        self.asks: Bools = sent[self._head] == client[self.end]
        self.begin: I64 = head.of("begin")
        self.first: I64 = head.of("time")
        self.stop: I64 = tail.of("stop")
        self.last: I64 = tail.of("time")

    @cached_property
    def pause(self) -> I64:
        """The longest pause of each run that asks, 0 of others; a hole between two calls is none."""
        pause = np.zeros(self.end.size, dtype=np.int64)
        sizes = self._tail - self._head
        several = np.flatnonzero((sizes > 0) & self.asks)
        if not several.size:
            return pause
        sizes = sizes[several]
        starts = np.cumsum(sizes) - sizes
        inner = np.arange(int(sizes.sum())) + np.repeat(self._head[several] + 1 - starts, sizes)
        later, earlier = self._rows.at(inner), self._rows.at(inner - 1)
        gap = np.maximum(later.of("time") - earlier.of("until"), 0)
        gap[later.of("begin") != earlier.of("stop")] = 0
        pause[several] = np.maximum.reduceat(gap, starts)
        return pause

    def more(self, ask: Index, answer: Index, again: Index) -> More:
        """Return what else is told of exchanges, by the places of their runs."""
        answers = self._rows.at(self._head[answer])
        return More(
            self._known(answer),
            answers.of("offset"),
            self._rows.at(self._tail[ask]).of("process"),
            answers.of("process"),
            self._rows.at(self._head[again]).of("born"),
        )

    @cached_property
    def number(self) -> I64:
        """Of each run, how many its end has before it."""
        starts = np.flatnonzero(np.diff(self.end, prepend=-1))
        counts = np.diff(starts, append=self.end.size)
        return np.arange(self.end.size) - np.repeat(starts, counts)

    @cached_property
    def left(self) -> I64:
        """Of each run, how many its end has after it."""
        starts = np.flatnonzero(np.diff(self.end, prepend=-1))
        counts = np.diff(starts, append=self.end.size)
        return np.repeat(counts, counts) - 1 - self.number

    def runs(self, index: Index) -> Runs:
        """Return all that is to be kept of some runs."""
        head, tail = self._rows.at(self._head[index]), self._rows.at(self._tail[index])
        known = np.zeros(index.size, dtype=np.int64)
        answers = np.flatnonzero(~self.asks[index])
        known[answers] = self._known(index[answers])
        plain = (column[index] for column in (self.end, self.asks, self.begin, self.first, self.stop))
        return Runs(
            *plain,
            self.last[index],
            tail.of("until"),
            self.pause[index],
            known,
            head.of("offset"),
            head.of("process"),
            tail.of("process"),
            head.of("born"),
        )

    def _known(self, index: Index) -> I64:
        """Return what had arrived at the first call of some runs, in order."""
        return self._came.before(self.end[index], self.first[index])


class _Rows:
    """The columns of reads and sends by their places in a merged order."""

    def __init__(self, seen: Seen, merged: Merged) -> None:
        self._seen, self._merged = seen, merged
        self._sends_before = np.cumsum(merged.sent)

    def at(self, index: Index) -> "_Some":
        """Return what stands at these places."""
        sent = self._merged.sent[index]
        before = self._sends_before[index]
        sends, reads = np.flatnonzero(sent), np.flatnonzero(~sent)
        return _Some(
            self._seen,
            index.size,
            (reads, self._merged.reads[(index - before)[reads]]),
            (sends, self._merged.sends[before[sends] - 1]),
        )


class _Some(NamedTuple):
    """(n,) calls: where the reads and the sends among them stand, and their rows."""

    seen: Seen
    size: int
    reads: tuple[Index, Index]
    sends: tuple[Index, Index]

    def of(self, name: str) -> Any:  # noqa: ANN401 - any width
        """Return (n,) of a column of calls."""
        reads, sends = getattr(self.seen.reads, name), getattr(self.seen.sends, name)
        found = np.empty(self.size, dtype=sends.dtype)
        for column, (index, rows) in ((reads, self.reads), (sends, self.sends)):
            found[index] = column[rows]
        return found
