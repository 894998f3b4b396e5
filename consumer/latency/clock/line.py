# SPDX-License-Identifier: Apache-2.0
"""The straight line with the most room between points above it and points below it. Pure, exact.

The room D(b) = min(y - b t) above - max(y - b t) below is concave and piecewise linear in the slope b, and
bends only at slopes of edges of the two hulls. So its greatest value, and the slopes at which it is not
negative, are found by looking at those slopes alone: what a linear program would find, without one.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
STEEPEST = 600e-6
"""No clock runs off faster: 500 ppm is the most that a kernel slews, beside 100 ppm of a bad crystal."""

_PASSES = 4
"""Each leaves about half of a noisy row, at the cost of a few corners' worth of Python."""
_SHORT = 12
"""Fewer points get no pass."""


class Points(NamedTuple):
    """(n,) times in rising order and (n,) values, ns both."""

    time: F64
    value: F64


class Line(NamedTuple):
    """value = `at` + `slope` * (time - `origin`), and what else would fit."""

    origin: float
    at: float
    slope: float
    """Dimensionless: 1e-6 is 1 ppm."""
    room: float
    """Half the distance between above and below along the line, ns; negative where no line fits."""
    least_slope: float
    most_slope: float
    """Slopes of all lines that fit, within ±STEEPEST; both `slope` where none does."""

    def value(self, time: F64) -> F64:
        """Return (n,) values at (n,) times."""
        return self.at + self.slope * (time - self.origin)


def hull(points: Points, *, lower: bool) -> Points:
    """Return the corners of the lower or of the upper hull, from left to right."""
    sign = 1.0 if lower else -1.0
    points = _likely(points, sign)
    times, values = points.time.tolist(), points.value.tolist()
    kept: list[int] = []
    for i, (t, y) in enumerate(zip(times, values, strict=True)):
        while len(kept) > 1:
            a, b = kept[-2], kept[-1]
            if (values[b] - values[a]) * (t - times[a]) < (y - values[a]) * (times[b] - times[a]):
                break
            kept.pop()
        if kept and times[kept[-1]] == t:
            if values[kept[-1]] <= y:
                continue
            kept.pop()
        kept.append(i)
    return Points(points.time[kept], sign * points.value[kept])


def _likely(points: Points, sign: float) -> Points:
    """Return times and `sign * value`, less points over the chord of their neighbours: none is a corner."""
    time, value = points.time, sign * points.value
    for _ in range(_PASSES):
        if time.size < _SHORT:
            break
        run, rise = time[1:] - time[:-1], value[1:] - value[:-1]
        keep = np.ones(time.size, dtype=bool)
        np.less_equal(rise[:-1] * run[1:], rise[1:] * run[:-1], out=keep[1:-1])
        time, value = time[keep], value[keep]
    return Points(time, value)


def fit(above: Points, below: Points, steepest: tuple[float, float] = (-STEEPEST, STEEPEST)) -> Line:
    """Return the line under all points `above` and over all points `below` with the most room to both.

    Args:
        above: at least one point.
        below: at least one point.
        steepest: the least and the greatest slope that is believed.
    """
    origin = float(above.time[0] + below.time[0]) / 2
    upper = hull(Points(above.time - origin, above.value), lower=True)
    lower = hull(Points(below.time - origin, below.value), lower=False)
    slopes = np.concatenate((_edges(upper), _edges(lower), steepest))
    slopes = np.unique(np.clip(slopes, *steepest))
    top = (upper.value - slopes[:, None] * upper.time).min(axis=1)
    bottom = (lower.value - slopes[:, None] * lower.time).max(axis=1)
    room = top - bottom
    best = _middle_of_best(room)
    slope, at, most = (float(_between(column, best)) for column in (slopes, (top + bottom) / 2, room))
    least_slope, most_slope = _fitting(slopes, room) if most >= 0 else (slope, slope)
    return Line(origin, at, slope, most / 2, least_slope, most_slope)


def _edges(corners: Points) -> F64:
    return np.diff(corners.value) / np.diff(corners.time)


def _middle_of_best(room: F64) -> float:
    """Return where the greatest room is, as a place among the slopes: the middle where several are alike."""
    best = np.flatnonzero(room == room.max())
    return float(best[0] + best[-1]) / 2


def _between(column: F64, place: float) -> float:
    low = int(place)
    high = min(low + 1, column.size - 1)
    return float(column[low] + (column[high] - column[low]) * (place - low))


def _fitting(slopes: F64, room: F64) -> tuple[float, float]:
    """Return the least and the greatest slope with room >= 0, between the slopes looked at too."""
    fits = np.flatnonzero(room >= 0)
    return _crossing(slopes, room, fits[0], fits[0] - 1), _crossing(slopes, room, fits[-1], fits[-1] + 1)


def _crossing(slopes: F64, room: F64, inside: int, outside: int) -> float:
    if not 0 <= outside < slopes.size:
        return float(slopes[inside])
    share = room[inside] / (room[inside] - room[outside])
    return float(slopes[inside] + share * (slopes[outside] - slopes[inside]))
