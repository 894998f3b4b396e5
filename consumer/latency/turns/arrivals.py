# SPDX-License-Identifier: Apache-2.0
"""What had come to an end before a moment: the position of its last arrival."""

import numpy as np

from consumer.latency.axis import places
from consumer.latency.intervals import I32, I64
from consumer.latency.turns.merge import Ordered


class Arrivals:
    """Arrivals at ends, in order, after those of earlier stretches."""

    def __init__(self, rows: Ordered, stop: I64, before: I64) -> None:
        self._rows = rows
        self._stop = stop
        """(n,) Of the rows, in order."""
        self._end = rows.spread(rows.ends)
        self._before = before
        self._moments = stop[:0]

    def lie(self, moments: I64) -> None:
        """Learn the (n,) moments of the arrivals, on the line on which ``before`` is asked."""
        self._moments = moments

    def before(self, end: I32, moment: I64) -> I64:
        """Return the position of each end's last arrival up to (n,) moments."""
        if not self._end.size:
            return self._before[end]
        at = places(self._moments, moment, side="right")
        at -= 1
        found = np.maximum(at, 0)
        known = self._end[found] == end
        known &= at >= 0
        stop = self._stop[found]
        if not known.all():
            other = np.flatnonzero(~known)
            stop[other] = self._before[end[other]]
        return stop

    def last(self) -> I64:
        """Return the position of each end's last arrival, of these and those before."""
        answer = self._before.copy()
        answer[self._rows.ends] = self._stop[self._rows.lasts]
        return answer
