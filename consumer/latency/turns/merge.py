# SPDX-License-Identifier: Apache-2.0
"""The calls of ends in order of time, and one line for the moments of all of them.

Agents tell what one end read, and what it sent, in order. So a table is put in order by moving whole runs of
rows, and two tables by one merge of ascending columns; what is not in order is sorted first.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from consumer.latency.axis import Pieces, heads_of
from consumer.latency.intervals import I32, I64, Bools, Index
from consumer.latency.turns.tables import Arrived, Calls

_ROOM = 2**61


class Ordered(NamedTuple):
    """(n,) rows of some ends, by end and, of one end, in order of (time, position)."""

    order: Index
    """Where each row stands in its table."""
    time: I64
    ends: I32
    """(e,) The ends, ascending."""
    starts: Index
    """(e,) Where each end's rows begin."""
    sizes: I64
    """(e,) How many it has."""

    @property
    def lasts(self) -> Index:
        """(e,) Where each end's last row stands."""
        return self.starts + self.sizes - 1

    def spread(self, of_end: I64 | I32) -> I64:
        """Return for each row the value of its end, given (e,) values."""
        found: I64 = np.repeat(of_end, self.sizes)
        return found


def ordered(table: Calls | Arrived, pieces: Pieces, wanted: Bools) -> Ordered:
    """Put the rows of wanted ends in order; ``wanted`` is by end number, as ``pieces`` of the table are."""
    chosen = pieces.pick(np.flatnonzero(wanted[pieces.flow])).by_flow(wanted.size)
    order, end = chosen.rows(), chosen.flow
    first = heads_of(end)
    starts = (np.cumsum(chosen.length) - chosen.length)[first]
    sizes = np.diff(starts, append=order.size)
    time = table.time[order]
    behind = time[1:] <= time[:-1]
    behind[starts[1:] - 1] = False
    if behind.any() and not _tied(table, order, time, np.flatnonzero(behind)):
        column = np.repeat(end[first], sizes)
        again = np.lexsort((table.stop[order], time, column))
        order, time = order[again], time[again]
    return Ordered(order, time, end[first], starts, sizes)


def _tied(table: Calls | Arrived, order: Index, time: I64, at: Index) -> bool:
    """Say whether the rows after these are of the same time, and not before them in the stream."""
    tied = (time[at + 1] == time[at]) & (table.stop[order[at + 1]] >= table.stop[order[at]])
    return bool(tied.all())


def moments(tables: Sequence[Ordered], ends: int) -> I64:
    """Return for the rows of each table, one behind the other, even numbers in the order of (end, time)."""
    low = np.full(ends, np.iinfo(np.int64).max)
    high = np.full(ends, -1, dtype=np.int64)
    for table in tables:
        own = table.ends
        low[own] = np.minimum(low[own], table.time[table.starts])
        high[own] = np.maximum(high[own], table.time[table.lasts])
    used = high >= 0
    low = np.where(used, low, 0)
    span = np.where(used, high - low + 2, 0)
    if 2 * span.sum(dtype=np.float64) >= _ROOM:
        return _ranks(tables)
    base = 2 * (np.cumsum(span) - span - low)
    found = np.empty(sum(table.time.size for table in tables), dtype=np.int64)
    begin = 0
    for table in tables:
        moment = found[begin : begin + table.time.size]
        np.left_shift(table.time, 1, out=moment)
        moment += table.spread(base[table.ends])
        begin += table.time.size
    return found


def _ranks(tables: Sequence[Ordered]) -> I64:
    """Return the same as one array, where times are too far apart for sums."""
    end = np.concatenate([table.spread(table.ends) for table in tables])
    time = np.concatenate([table.time for table in tables])
    order = np.lexsort((time, end))
    fresh = np.ones(end.size, dtype=bool)
    fresh[1:] = (np.diff(end[order]) != 0) | (np.diff(time[order]) != 0)
    rank = np.empty(end.size, dtype=np.int64)
    rank[order] = 2 * np.cumsum(fresh)
    return rank


def before(both: I64, odd: bool) -> Index:  # noqa: FBT001 - of the two, the answers
    """Return how many asks come before each answer, whose moments are the ``odd`` ones or the others.

    ``both`` are those of the asks, ascending, then of the answers, ascending; they are changed.
    """
    both.sort(kind="stable")  # merges two ascending runs
    both &= 1
    place = np.flatnonzero(both) if odd else np.flatnonzero(both == 0)
    place -= np.arange(place.size)
    return place
