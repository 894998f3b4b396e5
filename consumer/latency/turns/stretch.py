# SPDX-License-Identifier: Apache-2.0
"""The runs of one stretch of time, and the exchanges within it, found by one pass over its calls.

Runs of reads and runs of sends are kept apart. Within an end they take turns, so of the runs in order, number
g being the j-th of its kind, the next one is number g - j of the other kind. What is kept of a run, but for
its end and its place in the stream, is looked up only where it is told, or at the stretch's begin and end.
"""

from typing import Any

import numpy as np

from consumer.latency.intervals import I32, I64, Bools, Index
from consumer.latency.turns.arrivals import Arrivals
from consumer.latency.turns.find import Found, marks
from consumer.latency.turns.merge import Merged
from consumer.latency.turns.runs import Runs, no_runs
from consumer.latency.turns.tables import Calls, Exchanges, Seen, made

FIRST = 3
"""Runs of an end that can be part of an exchange with earlier ones: request, response, next request."""


class _Side:
    """The runs of reads, or of sends: (n,) each, by end and, of one end, in order of time."""

    def __init__(self, calls: Calls, order: Index, heads: Index, numbers: Index) -> None:
        self._calls, self._order = calls, order
        self._tails = np.append(heads, order.size)[1:] - 1
        self.heads, self.tails = order[heads], order[self._tails]
        self.first = heads
        """In the order of calls."""
        self.end: I32 = calls.end[self.heads]
        self.begin: I64 = calls.begin[self.heads]
        self.stop: I64 = calls.stop[self.tails]
        self.next: Index = numbers - np.arange(numbers.size)
        """The run of the other kind that follows, where it is of the same end."""

    def head(self, name: str, index: Index) -> Any:  # noqa: ANN401 - any width
        """Return a column of the first calls of some runs."""
        return getattr(self._calls, name)[self.heads[index]]

    def tail(self, name: str, index: Index) -> Any:  # noqa: ANN401 - any width
        """Return a column of the last calls of some runs."""
        return getattr(self._calls, name)[self.tails[index]]

    def pause(self, index: Index) -> I64:
        """Return the longest pause of some runs; a hole between two calls is none."""
        pause = np.zeros(index.size, dtype=np.int64)
        sizes = self._tails[index] - self.first[index]
        several = np.flatnonzero(sizes)
        if not several.size:
            return pause
        sizes = sizes[several]
        starts = np.cumsum(sizes) - sizes
        inner = np.arange(int(sizes.sum())) + np.repeat(self.first[index[several]] + 1 - starts, sizes)
        later, earlier = self._order[inner], self._order[inner - 1]
        gap = np.maximum(self._calls.time[later] - self._calls.until[earlier], 0)
        gap[self._calls.begin[later] != self._calls.stop[earlier]] = 0
        pause[several] = np.maximum.reduceat(gap, starts)
        return pause


class Stretch:
    """All runs; there is at least one."""

    def __init__(self, seen: Seen, merged: Merged, client: Bools, came: Arrivals) -> None:
        sent = merged.sent
        fresh = np.ones(sent.size, dtype=bool)
        np.not_equal(sent[1:], sent[:-1], out=fresh[1:])
        fresh[merged.starts] = True
        first = np.flatnonzero(fresh)
        self._sent = sent[first]
        sends = np.cumsum(sent)[first]
        g_sends, g_reads = np.flatnonzero(self._sent), np.flatnonzero(~self._sent)
        self._reads = _Side(seen.reads, merged.orders[0], (first - sends)[g_reads], g_reads)
        self._sends = _Side(seen.sends, merged.orders[1], sends[g_sends] - 1, g_sends)
        self._at = np.where(self._sent, sends, first - sends + 1)
        self._client, self._came = client, came
        self._starts = np.searchsorted(first, merged.starts)
        self._counts = np.diff(self._starts, append=first.size)

    def find(self) -> tuple[Found, Found]:
        """Return the exchanges of which no part can be in another stretch: those that a run comes before."""
        clients = self._find(self._sends, self._reads, client=True)
        return clients, self._find(self._reads, self._sends, client=False)

    def _find(self, asks: _Side, answers: _Side, *, client: bool) -> Found:
        own, answer = asks.end[:-1], asks.next[:-1]
        ask = np.flatnonzero((own == asks.end[1:]) & (self._client[own] == client) & (answer > 0))
        answer = answer[ask]
        seen = answers.end[answer - 1] == asks.end[ask]
        if not seen.all():
            ask, answer = ask[seen], answer[seen]
        stop, begin = asks.stop[ask], answers.begin[answer]
        proved = (begin == answers.stop[answer - 1]) & (asks.begin[ask + 1] == stop)
        unproved = asks.end[ask[~proved]]
        if unproved.size:
            ask, answer, stop, begin = ask[proved], answer[proved], stop[proved], begin[proved]
        end = asks.end[ask]
        asked, answered = asks.tail("time", ask), answers.head("time", answer)
        arrived = stop if client else self._came.before(end, answered)
        process = asks.tail("process", ask) if client else answers.head("process", answer)
        told = marks(arrived > stop, asks.pause(ask), answered - asked)
        offset, born = answers.head("offset", answer), asks.head("born", ask + 1)
        return Found(Exchanges(end, stop, begin, asked, answered, offset, process, told, born), unproved)

    def front(self) -> tuple[Runs, Bools]:
        """Return the first runs of each end, and which of them is its very first."""
        sizes = np.minimum(self._counts, FIRST)
        index, number = _spans(self._starts, sizes)
        return self._runs(index), number == 0

    def back(self) -> tuple[Runs, I32]:
        """Return the last runs of each end that has more than ``FIRST``, and these ends."""
        long = self._counts > FIRST
        index, _ = _spans((self._starts + self._counts - FIRST)[long], np.full(int(long.sum()), FIRST))
        runs = self._runs(index)
        return runs, runs.end[::FIRST]

    def _runs(self, index: Index) -> Runs:
        """Return all that is to be kept of some runs, by their numbers."""
        size = index.size
        columns: list[Any] = [np.zeros(size, dtype=column.dtype) for column in no_runs()]
        for side, places in (
            (self._reads, np.flatnonzero(~self._sent[index])),
            (self._sends, np.flatnonzero(self._sent[index])),
        ):
            if places.size:
                at = self._place(side, index[places])
                for column, values in zip(columns, self._kept(side, at), strict=True):
                    column[places] = values
        return made(no_runs(), columns)

    def _place(self, side: _Side, index: Index) -> Index:
        """Return the places among a side's runs."""
        calls = self._at[index] - 1
        return np.searchsorted(side.first, calls)

    def _kept(self, side: _Side, at: Index) -> Runs:
        end, first = side.end[at], side.head("time", at)
        asks = self._client[end] == (side is self._sends)
        return Runs(
            end,
            asks,
            side.begin[at],
            first,
            side.stop[at],
            side.tail("time", at),
            side.tail("until", at),
            side.pause(at),
            np.where(asks, 0, self._came.before(end, first)),
            side.head("offset", at),
            side.head("process", at),
            side.tail("process", at),
            side.head("born", at),
        )


def _spans(starts: Index, sizes: I64) -> tuple[Index, I64]:
    """Return the numbers from each start on, so many of each, and how far each is from its start."""
    before = np.cumsum(sizes) - sizes
    number = np.arange(int(sizes.sum())) - np.repeat(before, sizes)
    return np.repeat(starts, sizes) + number, number
