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
    """One line for the moments of all ends: ``shift[end] + 2 * (time - low[end])`` and 1 more for a send."""

    low: I64
    high: I64
    shift: I64

    def of(self, end: I32, time: I64) -> I64:
        """Return (n,) moments; what is not between an end's first and last call lies next to them."""
        low = self.low[end]
        place: I64 = np.clip(time, low, self.high[end] + 1) - low
        place <<= 1
        place += self.shift[end]
        return place


class Merged(NamedTuple):
    """The calls of all ends, by end and, of one end, in order of time."""

    sent: Bools
    """(n,) It is a send."""
    reads: Index
    """The order of the reads: (reads,) rows."""
    sends: Index
    starts: Index
    """Where each end's first call stands."""
    line: Line | None
    """None where times are too far apart for one."""


def merge(seen: Seen, ends: int) -> Merged:
    """Put calls in order; at one instant the read comes first. End numbers are below ``ends``."""
    reads, sends = in_order(seen.reads, ends), in_order(seen.sends, ends)
    columns = [
        (calls.end[order], calls.time[order]) for calls, order in ((seen.reads, reads), (seen.sends, sends))
    ]
    line, counts = _line(columns, ends)
    present = counts[counts > 0]
    starts = np.cumsum(present) - present
    if line is None:
        end, time = (np.concatenate(parts) for parts in zip(*columns, strict=True))
        sent = np.arange(end.size) >= reads.size
        return Merged(sent[np.lexsort((sent, time, end))], reads, sends, starts, None)
    both = np.concatenate([time for _, time in columns])
    both <<= 1
    base = line.shift - 2 * line.low
    both[: reads.size] += base[columns[0][0]]
    both[reads.size :] += (base + 1)[columns[1][0]]
    both.sort(kind="stable")  # merges two ascending runs
    both &= 1
    return Merged(both.astype(bool), reads, sends, starts, line)


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


def _line(columns: list[tuple[I32, I64]], ends: int) -> tuple[Line | None, I64]:
    """Return the line of calls that are in order, and how many each end has."""
    low = np.full(ends, np.iinfo(np.int64).max)
    high = np.full(ends, -1, dtype=np.int64)
    counts = np.zeros(ends, dtype=np.int64)
    for end, time in columns:
        if not end.size:
            continue
        first = heads_of(end)
        last = np.append(first[1:], end.size) - 1
        own = end[first]
        low[own] = np.minimum(low[own], time[first])
        high[own] = np.maximum(high[own], time[last])
        counts[own] += last - first + 1
    used = counts > 0
    low = np.where(used, low, 0)
    span = np.where(used, high - low + 2, 0)
    if 2 * span.sum(dtype=np.float64) >= _ROOM:
        return None, counts
    return Line(low, np.where(used, high, 0), 2 * (np.cumsum(span) - span)), counts


def heads_of(end: I32) -> Index:
    """Return the rows at which another end begins."""
    fresh = np.ones(end.size, dtype=bool)
    np.not_equal(end[1:], end[:-1], out=fresh[1:])
    return np.flatnonzero(fresh)
