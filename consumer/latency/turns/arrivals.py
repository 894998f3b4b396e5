# SPDX-License-Identifier: Apache-2.0
"""What had come to an end before a moment: the position of its last arrival."""

import numpy as np

from consumer.latency.axis import places
from consumer.latency.intervals import I32, I64
from consumer.latency.turns.merge import Merged
from consumer.latency.turns.tables import Arrived


class Arrivals:
    """Arrivals at ends, in order, after those of earlier stretches."""

    def __init__(self, came: Arrived, merged: Merged, before: I64) -> None:
        order, line = merged.orders[2], merged.line
        self._end: I32 = came.end[order]
        self._stop: I64 = came.stop[order]
        self._time: I64 = came.time[order]
        self._before = before
        self._line = line
        self._moments = None if line is None else line.of(self._end, self._time)

    def before(self, end: I32, time: I64) -> I64:
        """Return the position of each end's last arrival up to a time; (n,) ends rise, and times of one."""
        if not self._end.size:
            return self._before[end]
        if self._line is None or self._moments is None:
            return self._one_by_one(end, time)
        at = places(self._moments, self._line.of(end, time), side="right") - 1
        found = np.maximum(at, 0)
        return np.where((at >= 0) & (self._end[found] == end), self._stop[found], self._before[end])

    def _one_by_one(self, end: I32, time: I64) -> I64:
        """Return the same where no line can be had."""
        answer = self._before[end]
        low, high = (np.searchsorted(self._end, end, side=side) for side in ("left", "right"))
        for row in range(end.size):
            at = int(np.searchsorted(self._time[low[row] : high[row]], time[row], side="right"))
            if at:
                answer[row] = self._stop[low[row] + at - 1]
        return answer

    def last(self) -> I64:
        """Return the position of each end's last arrival, of these and those before."""
        if not self._end.size:
            return self._before
        final = np.append(self._end[1:] != self._end[:-1], True)
        answer = self._before.copy()
        answer[self._end[final]] = self._stop[final]
        return answer
