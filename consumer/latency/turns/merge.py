# SPDX-License-Identifier: Apache-2.0
"""The calls of ends in order of time: reads and sends are in order by themselves, so they are merged.

Agents tell what one end read, and what it sent, in order. A sort by end moves whole runs of rows and one
merge of two ascending columns does the rest; columns that are not in order are sorted first.
"""

from typing import NamedTuple

import numpy as np

from consumer.latency.axis import order_by_flow
from consumer.latency.intervals import I32, I64, Bools, Index
from consumer.latency.turns.tables import Arrived, Calls, Seen

_ROOM = 2**61


class Line(NamedTuple):
    """One line for the moments of all ends: ``base[end] + 2 * time``, and 1 more for a send."""

    base: I64

    def of(self, end: I32, time: I64) -> I64:
        """Return (n,) moments of what was merged, or lies between."""
        place: I64 = time << 1
        place += self.base[end]
        return place


class Merged(NamedTuple):
    """The calls of all ends, by end and, of one end, in order of time."""

    sent: Bools
    """(n,) It is a send."""
    orders: tuple[Index, Index, Index]
    """The rows of reads, of sends and of arrivals, in order."""
    starts: Index
    """Where each end's first call stands."""
    line: Line | None
    """None where times are too far apart for one."""


class _Column(NamedTuple):
    """(n,) ends and times of one kind, in order, and where each end's begin."""

    end: I32
    time: I64
    first: Index


def merge(seen: Seen, ends: int) -> Merged:
    """Put calls in order; at one instant the read comes first. End numbers are below ``ends``."""
    tables: tuple[Calls | Arrived, ...] = (seen.reads, seen.sends, seen.arrived)
    orders = [in_order(table, ends) for table in tables]
    columns = []
    for table, order in zip(tables, orders, strict=True):
        end = table.end[order]
        columns.append(_Column(end, table.time[order], heads_of(end)))
    reads, sends, _ = columns
    counts = np.zeros(ends, dtype=np.int64)
    for calls in (reads, sends):
        counts[calls.end[calls.first]] += np.diff(calls.first, append=calls.end.size)
    present = counts[counts > 0]
    starts = np.cumsum(present) - present
    line = _line(columns, ends)
    if line is None:
        end, time = np.concatenate((reads.end, sends.end)), np.concatenate((reads.time, sends.time))
        sent = np.arange(end.size) >= reads.end.size
        return Merged(sent[np.lexsort((sent, time, end))], (orders[0], orders[1], orders[2]), starts, None)
    both = np.concatenate((reads.time, sends.time))
    both <<= 1
    both[: reads.end.size] += line.base[reads.end]
    both[reads.end.size :] += (line.base + 1)[sends.end]
    both.sort(kind="stable")  # merges two ascending runs
    both &= 1
    return Merged(both.astype(bool), (orders[0], orders[1], orders[2]), starts, line)


def in_order(table: Calls | Arrived, ends: int) -> Index:
    """Return the order by (end, time, position)."""
    order = order_by_flow(table.end, ends)
    end, time = table.end[order], table.time[order]
    at = np.flatnonzero((time[1:] <= time[:-1]) & (end[1:] == end[:-1]))
    if not at.size:
        return order
    tied = (time[at + 1] == time[at]) & (table.stop[order[at + 1]] >= table.stop[order[at]])
    if tied.all():
        return order
    return np.lexsort((table.stop, table.time, table.end))


def _line(columns: list[_Column], ends: int) -> Line | None:
    """Return the line of what is in order."""
    low = np.full(ends, np.iinfo(np.int64).max)
    high = np.full(ends, -1, dtype=np.int64)
    for end, time, first in columns:
        own = end[first]
        low[own] = np.minimum(low[own], time[first])
        high[own] = np.maximum(high[own], time[np.append(first, end.size)[1:] - 1])
    used = high >= 0
    low = np.where(used, low, 0)
    span = np.where(used, high - low + 2, 0)
    if 2 * span.sum(dtype=np.float64) >= _ROOM:
        return None
    return Line(2 * (np.cumsum(span) - span - low))


def heads_of(end: I32) -> Index:
    """Return the rows at which another end begins."""
    fresh = np.ones(end.size, dtype=bool)
    np.not_equal(end[1:], end[:-1], out=fresh[1:])
    return np.flatnonzero(fresh)
