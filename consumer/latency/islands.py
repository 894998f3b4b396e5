# SPDX-License-Identifier: Apache-2.0
"""Which bytes of each flow are matched: disjoint, merged, sorted ranges, called islands.

While nothing is missing a flow has one island, which grows. A hole between two islands is where an event is
still to come. Islands below a flow's topmost one are forgotten at the horizon, so their number is bounded by
what arrives within it.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from consumer.latency.axis import places
from consumer.latency.intervals import I32, I64, Bools, Index


class Islands(NamedTuple):
    """Bytes [begin, end) of each flow, sorted, disjoint, apart. ``touched``: broker ms of the last growth."""

    flow: I32
    begin: I64
    end: I64
    touched: I64


class Located(NamedTuple):
    """Ranges with their coordinates on the common line of a tick (axis.py)."""

    islands: Islands
    low: I64
    high: I64


def none() -> Islands:
    """Return no islands."""
    zero = np.zeros(0, dtype=np.int64)
    return Islands(zero.astype(np.int32), zero, zero, zero)


def pick(islands: Islands, index: Index | Bools | slice) -> Islands:
    """Return the islands that an index, a mask or a slice picks."""
    columns: Iterable[Any] = (column[index] for column in islands)
    return Islands(*columns)


def join(parts: Sequence[Islands]) -> Islands:
    """Return the islands of parts, at least one, by ascending flows."""
    return parts[0] if len(parts) == 1 else Islands(*map(np.concatenate, zip(*parts, strict=True)))


def runs(low: I64, high: I64) -> tuple[Index, Index]:
    """Return the first and the last of each run of neighbours that touch, of (n,) ranges [low, high)."""
    inner = np.flatnonzero(low[1:] != high[:-1])
    ends = np.array([low.size - 1] if low.size else [], dtype=np.intp)
    return np.concatenate((ends[:1] * 0, inner + 1)), np.concatenate((inner, ends))


def union(first: Located, second: Located) -> Located:
    """Return the union of two sets of ranges, sorted and merged."""
    pairs: Iterable[Any] = zip(first.islands, second.islands, strict=True)
    both = [np.concatenate(pair) for pair in pairs]
    low, high = np.concatenate((first.low, second.low)), np.concatenate((first.high, second.high))
    if not low.size:
        return first
    order = np.argsort(low, kind="stable")
    low, high = low[order], high[order]
    fresh = np.ones(low.size, dtype=bool)
    fresh[1:] = low[1:] > np.maximum.accumulate(high)[:-1]
    return _gather(Located(pick(Islands(*both), order), low, high), np.flatnonzero(fresh))


def _gather(ranges: Located, starts: Index) -> Located:
    islands = ranges.islands
    return Located(
        Islands(
            islands.flow[starts],
            np.minimum.reduceat(islands.begin, starts),
            np.maximum.reduceat(islands.end, starts),
            np.maximum.reduceat(islands.touched, starts),
        ),
        np.minimum.reduceat(ranges.low, starts),
        np.maximum.reduceat(ranges.high, starts),
    )


def keep(islands: Islands, forget_before: int | I64) -> Islands:
    """Drop islands not touched since ``forget_before``, but never the topmost of a flow.

    ``forget_before`` is broker ms, one for all or (n,).
    """
    if not islands.flow.size:
        return islands
    top = np.append(islands.flow[1:] != islands.flow[:-1], True)
    held = top | (islands.touched > forget_before)
    return islands if held.all() else pick(islands, held)


def covered(matched: Located, low: I64, high: I64) -> Bools:
    """Say which of the ranges [low, high), in coordinates, lie wholly in one island."""
    if not matched.low.size:
        return np.zeros(low.size, dtype=bool)
    at = places(matched.low, low, side="right")
    return _behind(matched.high)[at] >= high


def _behind(column: I64) -> I64:
    """Return what belongs to the island before each place between islands; before the first: the least."""
    return np.concatenate(([np.iinfo(np.int64).min], column))


def needless(matched: Located, position: I64) -> Bools:
    """Say which arrivals, by ascending coordinates, nothing can ask for any more.

    An arrival inside an island serves no open byte, except the first of its island: messages that end at or
    before the island's begin may still take that one (and none do where the island starts at byte 0).
    """
    if not matched.low.size:
        return np.zeros(position.size, dtype=bool)
    at = places(matched.low, position)
    inside = _behind(matched.high)[at] >= position
    before = np.full(position.size, np.iinfo(np.int64).min, dtype=np.int64)
    before[1:] = position[:-1]
    served = (before >= _behind(matched.low)[at]) | (_behind(matched.islands.begin)[at] == 0)
    answer: Bools = inside & served
    return answer


class Left(NamedTuple):
    """(n,) holes: the range, the islands before and after (-1 = none), the hole's own coordinates."""

    owner: Index
    before: Index
    after: Index
    low: I64
    high: I64


def holes(matched: Located, low: I64, high: I64) -> Left:
    """Return what islands leave of the ranges [low, high).

    Hole k of a range lies between the end of the island before it (or the range's own begin) and the begin of
    the island after it (or the range's own end).
    """
    first = np.searchsorted(matched.high, low, side="right")
    last = np.searchsorted(matched.low, high, side="left")
    pieces = np.maximum(last - first, 0) + 1
    owner = np.repeat(np.arange(low.size), pieces)
    nth = np.arange(owner.size) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    before = np.where(nth == 0, -1, first[owner] + nth - 1)
    after = np.where(nth == pieces[owner] - 1, -1, first[owner] + nth)
    floor = _either(before, matched.high, low[owner])
    ceiling = _either(after, matched.low, high[owner])
    real = np.flatnonzero(floor < ceiling)
    return Left(owner[real], before[real], after[real], floor[real], ceiling[real])


def bounds(matched: Islands, before: Index, after: Index, begin: I64, end: I64) -> tuple[I64, I64]:
    """Return the positions of holes, given the own bounds of the range that each one lies in."""
    return _either(before, matched.end, begin), _either(after, matched.begin, end)


def _either(at: Index, values: I64, otherwise: I64) -> I64:
    if not values.size:
        return otherwise
    answer: I64 = np.where(at >= 0, values[at], otherwise)
    return answer
