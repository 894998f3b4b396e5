# SPDX-License-Identifier: Apache-2.0
"""How far the truth may have left a line for a while, though one line fits all messages. Pure.

Where the room is large for it (slow ways, few messages), a clock may be slewed and the line still fits: the
tightest message of the whole piece would then exclude the truth elsewhere. So a message speaks for other
times only as far as those around them say the same. Taken for granted is that a change lasts: whatever time
is asked for, there is a run of MESSAGES one way around it, LASTS_NS long, over which the truth is no
further from the line than then. Each of them bounds it; which run that is nobody knows, so the loosest of all
runs around a time is what holds. No chance is in it: a step or a slew that no cut was made for is covered.
"""

from typing import NamedTuple

import numpy as np

from consumer.latency.clock.line import F64, Points
from consumer.latency.intervals import I64

MESSAGES = 3
"""One way, that a change lasts for at least."""
LASTS_NS = 3e9
"""So long it lasts at least: hosts are slewed for longer than that, and not at once back again."""


class Lasting(NamedTuple):
    """Runs of messages one way, (n,) in the order of time; neighbours with one tightest message are one."""

    begin: F64
    """What is bounded lies behind this time, that of the last message before the run; -inf = none is."""
    end: F64
    """And before this one; inf = there is no later message."""
    time: F64
    """Of the tightest message of the run, ns."""
    distance: F64
    """And how far it is from the line, ns."""

    def over(self, begin: F64, end: F64, rates: tuple[float, float]) -> F64:
        """Return (q,) the most that the truth may be off the line within stretches, ns.

        Args:
            begin: (q,) times at which stretches begin, ns.
            end: (q,) times at which they end; the same for the moment alone.
            rates: how fast the truth may leave the line towards the messages, after one and before it.
        """
        since, until = (time[:, None] - self.time for time in (begin, end))
        far = np.maximum(np.maximum(rates[0] * since, -rates[1] * since), -rates[1] * until)
        np.maximum(far, rates[0] * until, out=far)
        far += self.distance
        far[(self.begin > end[:, None]) | (self.end < begin[:, None])] = -np.inf
        most: F64 = far.max(axis=1)
        return most


def lasting(points: Points, distance: F64) -> Lasting:
    """Return the shortest runs of one or more messages in the order of time.

    At either end of a piece another one begins, of which nobody knows when: runs there may be of fewer.

    Args:
        points: (n,) one way.
        distance: (n,) how far each is from the line, ns.
    """
    size = points.time.size
    before = np.concatenate(([-np.inf], points.time[:-1]))
    behind = np.append(points.time[1:], np.inf)
    first = np.arange(size)
    last = np.maximum(first + MESSAGES - 1, np.searchsorted(behind, before + LASTS_NS))
    fewer = np.arange(min(MESSAGES - 1, size))
    first, last = np.concatenate((np.zeros_like(fewer), first)), np.concatenate((fewer, last))
    last = np.minimum(last, size - 1)
    tightest = _tightest(distance, first, last)
    change = np.flatnonzero(np.diff(tightest))
    starts, ends = np.concatenate(([0], change + 1)), np.append(change, first.size - 1)
    some = tightest[starts]
    return Lasting(before[first[starts]], behind[last[ends]], points.time[some], distance[some])


def _tightest(distance: F64, first: I64, last: I64) -> I64:
    """Return (m,) the place of the least distance from `first` to `last`, of like ones the first."""
    order = np.argsort(distance, kind="stable")
    rank = np.empty(distance.size + 1, dtype=np.int64)
    rank[order] = np.arange(distance.size)
    rank[-1] = distance.size
    least = np.minimum.reduceat(rank, np.stack((first, last + 1), axis=1).ravel())[::2]
    found: I64 = order[least]
    return found
