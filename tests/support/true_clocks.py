# SPDX-License-Identifier: Apache-2.0
"""How far two guests' clocks really are apart, from looks at both at once (support/inside.py). Pure."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from support.inside import Look

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


class Difference:
    """CLOCK_MONOTONIC of the other guest against that of the first, between the first look and the last."""

    def __init__(self, looks: Sequence[Look]) -> None:
        """Take looks in the order of time."""
        before, after, there = (
            np.array([look[name] for look in looks], np.int64)
            for name in map(Look._fields.index, ("before", "after", "there"))
        )
        self._base = int(there[0])
        self._there = (there - self._base).astype(np.float64)
        self.width: F64 = (after - before) / 2.0
        """(n,) ns: how far each look may be off."""
        self._behind = (before - there) + self.width
        gaps = np.diff(self._there)
        slopes = np.diff(self._behind) / gaps
        around = np.abs(np.diff(slopes, prepend=slopes[0]))
        around = np.maximum(around, np.append(around[1:], 0))
        self._bend = gaps * around / 4

    def on_first(self, there: I64) -> tuple[F64, F64]:
        """Return what the first guest's clock showed when the other's showed ``there``, and how sure that is.

        Between two looks the clocks are taken to go straight, or to change their rate once: such a bend is
        off the straight line by at most a quarter of the change times the time between the looks.

        Args:
            there: (n,) ns.

        Returns:
            (n,) ns after the other's first look, and (n,) ns. See `since`.
        """
        time = self.since(there)
        return time + np.interp(time, self._there, self._behind), self._unsure(time, self._there)

    def ahead(self, first: I64) -> tuple[F64, F64]:
        """Return how far the other's clock was ahead when the first's showed ``first``, and how sure that is.

        Args:
            first: (n,) ns.

        Returns:
            (n,) ns, and (n,) ns.
        """
        time, axis = self.since(first), self._there + self._behind
        return -np.interp(time, axis, self._behind), self._unsure(time, axis)

    def _unsure(self, time: F64, axis: F64) -> F64:
        assert ((axis[0] <= time) & (time <= axis[-1])).all(), "no looks around it"
        gap = np.clip(np.searchsorted(axis, time, side="right") - 1, 0, self._bend.size - 1)
        unsure: F64 = np.maximum(self.width[gap], self.width[gap + 1]) + self._bend[gap]
        return unsure

    def since(self, time: I64) -> F64:
        """Return (n,) times of either clock on the scale of `on_first`."""
        return (time - self._base).astype(np.float64)
