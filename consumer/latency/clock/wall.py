# SPDX-License-Identifier: Apache-2.0
"""How far true time is ahead of one host's clock, as far as who disciplines that host's CLOCK_REALTIME says.

Two hosts that each say how far they may be off bound one another, without a message between them: true time
is one more clock of the fleet (fleet.py). Pure.
"""

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from consumer.latency.clock.line import F64
from consumer.latency.clock.pair import Bounds


class Wall(NamedTuple):
    """(n,) readings of one host in the order of its clock, n >= 1."""

    time: F64
    """What the host's clock showed, ns."""
    ahead: F64
    """CLOCK_REALTIME minus it, ns."""
    error: F64
    """How far CLOCK_REALTIME may be off, ns; inf = nobody says."""

    @property
    def noise(self) -> float:
        """How far chance may move the likeliest: as far as the error goes."""
        return float(self.error[np.isfinite(self.error)].max(initial=0.0))

    def value(self, time: F64) -> F64:
        """Return the likeliest at (q,) times, that of the nearest reading beyond them."""
        return np.interp(time, self.time, self.ahead)

    def over(self, edges: F64) -> Bounds:
        """Return bounds (q, 2) of the stretches between (q + 1,) times: by all readings in and next to them.

        Beyond the first and the last reading nothing is known.
        """
        first = np.searchsorted(self.time, edges[:-1], side="right") - 1
        last = np.searchsorted(self.time, edges[1:], side="left")
        known = (first >= 0) & (last < self.time.size)
        at = sliding_window_view(self.value(edges), 2)
        error = np.full(edges.size - 1, np.inf)
        for number in np.flatnonzero(known):
            some = slice(first[number], last[number] + 1)
            chord = np.interp(self.time[some], edges[number : number + 2], at[number])
            error[number] = (self.error[some] + np.abs(self.ahead[some] - chord)).max()
        return Bounds(at - error[:, None], at, at + error[:, None])
