# SPDX-License-Identifier: Apache-2.0
"""The exchanges within one stretch of time, at the ends of one role: all clients, or all servers.

Asks and answers are kept apart, each in order; how many asks come before each answer says all there is to
know of their order. An answer begins a run where that number is another one than before, and so does the ask
of that number. What is kept of a run is looked up only at the stretch's begin and end.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from consumer.latency.intervals import I32, I64, Bools, Index
from consumer.latency.turns.arrivals import Arrivals
from consumer.latency.turns.find import Found, marks_early, marks_paused
from consumer.latency.turns.merge import Ordered
from consumer.latency.turns.runs import Runs, no_runs
from consumer.latency.turns.tables import BROKEN, Calls, Exchanges, join, no_exchanges, take

FIRST = 3
"""Runs of an end that can be part of an exchange with earlier ones: request, response, next request."""


class Party:
    """The asks of some ends, or the answers: (n,) calls in order."""

    def __init__(self, calls: Calls, rows: Ordered) -> None:
        self._calls, self.rows = calls, rows
        self.begin: I64 = calls.begin[rows.order]
        self.stop: I64 = calls.stop[rows.order]
        size = rows.order.size
        self.goes_on = np.zeros(size + 1, dtype=bool)
        """(n + 1,) It begins where the call before it ended."""
        np.equal(self.begin[1:], self.stop[:-1], out=self.goes_on[1:size])
        self.opens = np.zeros(size + 1, dtype=bool)
        """(n + 1,) It is its end's first; so is the one after all."""
        self.opens[rows.starts] = self.opens[size] = True

    def column(self, name: str, index: Index) -> Any:  # noqa: ANN401 - any width
        """Return a column of some calls."""
        return getattr(self._calls, name)[self.rows.order[index]]

    def pauses(self, first: Index, last: Index) -> I64:
        """Return the longest pause among calls ``first`` to ``last`` each, two at least.

        A hole between two calls is none.
        """
        sizes = last - first
        starts = np.cumsum(sizes) - sizes
        inner = np.arange(int(sizes.sum())) + np.repeat(first + 1 - starts, sizes)
        gap = np.maximum(self.rows.time[inner] - self.column("until", inner - 1), 0)
        gap[~self.goes_on[inner]] = 0
        found: I64 = np.maximum.reduceat(gap, starts) if gap.size else gap
        return found


class Came(NamedTuple):
    """What had arrived before the answers, (n,) moments."""

    arrivals: Arrivals
    answered: I64

    def before(self, end: I32, at: Index) -> I64:
        """Return the position of the last arrival at an end up to some answers of it."""
        return self.arrivals.before(end, self.answered[at])


def _union(one: I32, other: I32) -> I32:
    """Return the ends that are in either of two ascending lists, ascending."""
    named = np.zeros(1 + int(max(side[-1] if side.size else 0 for side in (one, other))), dtype=bool)
    named[one] = named[other] = True
    return np.flatnonzero(named).astype(np.int32)


class _Span(NamedTuple):
    """Of (e,) ends of one party: the first of its runs, by number, and how many there are."""

    first: Index
    sizes: I64


class Edges(NamedTuple):
    """What is kept of the runs of a stretch."""

    front: Runs
    """The first ones of each end."""
    first: Bools
    """Which of them is an end's very first."""
    back: Runs
    """The last ones of each end that has more than ``FIRST``."""
    long: I32
    """These ends."""


class Stretch:
    """All asks and answers of one role."""

    def __init__(self, asks: Party, answers: Party, order: Index, came: Came | None) -> None:
        self._asks, self._answers, self._came = asks, answers, came
        self._before = order
        """(n,) How many asks come before each answer."""
        head = answers.opens[:-1].copy()
        head[1:] |= order[1:] != order[:-1]
        asked = asks.opens.copy()
        asked[order] = True
        self._head = head
        self._cuts = np.flatnonzero(asked[:-1]), np.flatnonzero(head)
        """Where the runs of asks begin, and those of answers."""

    def find(self) -> Found:
        """Return the exchanges of which no part can be in another stretch: those that a run comes before."""
        asks, answers = self._asks, self._answers
        whole = self._head & ~answers.opens[:-1]
        proved = (asks.goes_on & ~asks.opens)[self._before]
        proved &= answers.goes_on[:-1]
        proved &= whole
        at = np.flatnonzero(proved)
        whole ^= proved
        holes = np.flatnonzero(whole)
        holes = holes[~asks.opens[self._before[holes]]]
        unproved = no_exchanges()
        if holes.size:
            unproved = self._exchanges(holes)
            unproved = unproved._replace(marks=np.full(holes.size, BROKEN, dtype=np.int8))
        found = self._exchanges(at)
        return Found((found,), (), unproved) if self._came is None else Found((), (found,), unproved)

    def _exchanges(self, at: Index) -> Exchanges:
        """Return the exchanges of ascending answers, each with the asks before it."""
        asks, answers = self._asks, self._answers
        later = self._before[at]
        ask = later - 1
        end, stop = self._ends(at), asks.stop[ask]
        asked, answered = asks.rows.time[ask], answers.rows.time[at]
        told = self._paused(at, ask, answered - asked)
        offset, born = answers.column("offset", at), asks.column("born", later)
        begin = answers.begin[at]
        if self._came is None:
            process = asks.column("process", ask)
        else:
            told |= marks_early(self._came.before(end, at) > stop)
            process = answers.column("process", at)
        return Exchanges(end, stop, begin, asked, answered, offset, process, told, born)

    def _paused(self, at: Index, ask: Index, turn: I64) -> NDArray[np.int8]:
        """Return PAUSED where the request's parts lie apart, given answers and the last ask before each."""
        told = np.zeros(at.size, dtype=np.int8)
        if self._cuts[0].size < self._asks.rows.order.size:
            first = self._before[at - 1]
            several = np.flatnonzero(first < ask)
            pause = self._asks.pauses(first[several], ask[several])
            told[several] = marks_paused(pause, turn[several])
        return told

    def _ends(self, at: Index) -> I32:
        """Return the ends of ascending answers."""
        rows = self._answers.rows
        found: I32 = np.repeat(rows.ends, np.diff(np.searchsorted(at, rows.starts), append=at.size))
        return found

    def edges(self) -> Edges:
        """Return what is to be kept of runs."""
        asks, answers, cuts = self._asks.rows, self._answers.rows, self._cuts
        ends = _union(asks.ends, answers.ends)
        spans = _span(asks, cuts[0], ends), _span(answers, cuts[1], ends)
        counts = spans[0].sizes + spans[1].sizes
        asks_first = self._asks_first(ends)
        front = np.minimum(counts, FIRST)
        number = _numbers(front)
        first = self._runs(spans, (np.repeat(np.arange(ends.size), front), number), asks_first)
        long = np.flatnonzero(counts > FIRST)
        back = _numbers(np.full(long.size, FIRST)) + np.repeat(counts[long] - FIRST, FIRST)
        last = self._runs(spans, (np.repeat(long, FIRST), back), asks_first)
        return Edges(first, number == 0, last, ends[long])

    def _asks_first(self, ends: I32) -> Bools:
        """Say at which of all ends an ask comes first."""
        asks, answers = self._asks.rows, self._answers.rows
        found = np.ones(ends.size, dtype=bool)
        at = np.searchsorted(ends, answers.ends)
        begun = np.searchsorted(asks.ends, answers.ends)
        starts = np.append(asks.starts, asks.order.size)
        found[at] = self._before[answers.starts] > starts[begun]
        return found

    def _runs(
        self,
        spans: tuple[_Span, _Span],
        which: tuple[Index, I64],
        asks_first: Bools,
    ) -> Runs:
        """Return runs: ``which`` are the places of their ends, and their numbers within each."""
        place, number = which
        asks = (number % 2 == 0) == asks_first[place]
        parts, places = [], []
        for party, cut, span, chosen in (
            (self._asks, self._cuts[0], spans[0], np.flatnonzero(asks)),
            (self._answers, self._cuts[1], spans[1], np.flatnonzero(~asks)),
        ):
            run = span.first[place[chosen]] + number[chosen] // 2
            edges = np.append(cut, party.rows.order.size)
            parts.append(self._kept(party, edges[run], edges[run + 1] - 1))
            places.append(chosen)
        order = np.empty(place.size, dtype=np.intp)
        order[np.concatenate(places)] = np.arange(place.size)
        return take(join(no_runs(), *parts), order)

    def _kept(self, party: Party, first: Index, last: Index) -> Runs:
        """Return all that is to be kept of runs, given their first and last calls."""
        rows, asks = party.rows, party is self._asks
        end = rows.ends[np.searchsorted(rows.starts, first, side="right") - 1]
        arrived = np.zeros(end.size, dtype=np.int64)
        if self._came is not None and not asks:
            arrived = self._came.before(end, first)
        pause, several = np.zeros(end.size, dtype=np.int64), np.flatnonzero(first < last)
        pause[several] = party.pauses(first[several], last[several])
        return Runs(
            end,
            np.full(end.size, asks),
            party.begin[first],
            rows.time[first],
            party.stop[last],
            rows.time[last],
            party.column("until", last),
            pause,
            arrived,
            party.column("offset", first),
            party.column("process", first),
            party.column("process", last),
            party.column("born", first),
        )


def _span(rows: Ordered, cut: Index, ends: I32) -> _Span:
    """Return for each of (e,) ends its runs, which begin at ascending rows ``cut``."""
    first, count = np.zeros((2, ends.size), dtype=np.int64)
    at = np.searchsorted(ends, rows.ends)
    begun = np.searchsorted(cut, rows.starts)
    first[at], count[at] = begun, np.diff(begun, append=cut.size)
    return _Span(first, count)


def _numbers(sizes: I64) -> I64:
    """Return 0, 1, … for each size."""
    begun = np.cumsum(sizes) - sizes
    found: I64 = np.arange(int(sizes.sum())) - np.repeat(begun, sizes)
    return found
