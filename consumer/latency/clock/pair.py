# SPDX-License-Identifier: Apache-2.0
"""How far the clock of host B is ahead of A's over a window, with bounds at any time. Pure.

Within a piece the truth is taken to be a line that fits (its slope lies between `least_slope` and
`most_slope`) plus a wander of at most WANDER. So each message bounds it at other times as well, ever more
loosely; the tightest of all those is the bound, but none is tighter than what the messages around a time
say (lasting.py), so that what bends unseen within a piece is held as well. Between two pieces, and until the
later one is settled, both apply at their loosest: there the truth is on its way from one line to the other.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from consumer.latency.clock.lasting import lasting
from consumer.latency.clock.line import F64, STEEPEST, Points
from consumer.latency.clock.pieces import CHANCE, Piece, pieces

WANDER = 0.2e-6
"""How fast a crystal's rate may differ from a straight line's within a window, dimensionless."""
BIN_NS = 250e6
"""Of each such stretch of time only the tightest message either way is used."""


class Change(NamedTuple):
    """Between two pieces the clocks changed against one another."""

    after: float
    before: float
    """It happened between these two times, ns."""
    jump: float
    """By how much B's clock went ahead of A's at once, ns."""
    rate: float
    """By how much its rate changed, dimensionless."""
    noise: float
    """How much of `jump` chance explains, ns."""

    @property
    def step(self) -> bool:
        """Whether it is a step rather than only a change of rate."""
        return abs(self.jump) > self.noise


class Bounds(NamedTuple):
    """(q,) each, ns: B's clock minus A's lies within [low, high]; `at` is the likeliest."""

    low: F64
    at: F64
    high: F64


class Pair(NamedTuple):
    """The solution of one window."""

    pieces: list[Piece]

    @property
    def changes(self) -> list[Change]:
        """What happened between the pieces."""
        return [_change(a, b) for a, b in zip(self.pieces, self.pieces[1:], strict=False)]

    def bounds(self, time: F64) -> Bounds:
        """Return the bounds at (q,) times on A's clock; where nothing is known infinite, and `at` nan."""
        low, high = np.full(time.size, np.inf), np.full(time.size, -np.inf)
        at = np.full(time.size, np.nan)
        for number, (begin, end) in enumerate(self._reach()):
            inside = (time >= begin) & (time <= end)
            one = self._within(number, time[inside])
            low[inside] = np.minimum(low[inside], one.low)
            high[inside] = np.maximum(high[inside], one.high)
            nearest = inside & (np.isnan(at) | (time >= self.pieces[number].begin))
            at[nearest] = self.pieces[number].line.value(time[nearest])
        unknown = ~(np.isfinite(low) & np.isfinite(high))
        low[unknown], high[unknown], at[unknown] = -np.inf, np.inf, np.nan
        return Bounds(low, np.clip(at, low, high), high)

    def over(self, edges: F64) -> Bounds:
        """Return bounds (q, 2) of the q stretches between (q + 1,) rising times on A's clock.

        Each is given at the stretch's begin and end, and holds everywhere between them on the straight line.
        """
        shape = (edges.size - 1, 2)
        low, high = np.full(shape, np.inf), np.full(shape, -np.inf)
        for number, (begin, end) in enumerate(self._reach()):
            touched = np.flatnonzero((edges[1:] >= begin) & (edges[:-1] <= end))
            if not touched.size:
                continue
            some = slice(int(touched[0]), int(touched[-1]) + 1)
            time = edges[some.start : some.stop + 1]
            below, above = self._distances(number, time, stretches=True)
            centre = sliding_window_view(self.pieces[number].line.value(time), 2)
            low[some] = np.minimum(low[some], centre - below[:, None])
            high[some] = np.maximum(high[some], centre + above[:, None])
        unknown = ~(np.isfinite(low) & np.isfinite(high)).all(axis=1)
        low[unknown], high[unknown] = -np.inf, np.inf
        value = np.clip(sliding_window_view(self.value(edges), 2), low, high)
        return Bounds(low, value, high)

    def value(self, time: F64) -> F64:
        """Return the likeliest at (q,) times on A's clock; where nothing is known, by the nearest piece."""
        begins = np.array([piece.begin for piece in self.pieces])
        number = np.maximum(np.searchsorted(begins, time, side="right") - 1, 0)
        lines = np.array([piece.line.value(time) for piece in self.pieces])
        values: F64 = lines[number, np.arange(time.size)]
        return values

    @property
    def noise(self) -> float:
        """How far chance may move the likeliest, one sigma, ns."""
        return max(piece.noise for piece in self.pieces) / CHANCE

    def _within(self, number: int, time: F64) -> Bounds:
        below, above = self._distances(number, time, stretches=False)
        centre = self.pieces[number].line.value(time)
        return Bounds(centre - below, centre, centre + above)

    def _distances(self, number: int, time: F64, *, stretches: bool) -> tuple[F64, F64]:
        """Return how far the truth may be below and above a piece's line, then or in between."""
        piece = self.pieces[number]
        line = piece.line
        faster = line.most_slope - line.slope + WANDER
        slower = line.slope - line.least_slope + WANDER
        ends = {"first": number == 0, "last": number == len(self.pieces) - 1}
        unseen = piece.unseen(time, **ends)
        least = partial(_loosened, piece, time, stretches=stretches)
        above, below = (
            least(points, (unseen, piece.unseen(points.time, **ends)), rates)
            for points, rates in ((piece.above, (faster, slower)), (piece.below, (slower, faster)))
        )
        return below, above

    def _reach(self) -> list[tuple[float, float]]:
        """Return where each piece may hold: until its neighbour speaks against it and is settled."""
        if not self.pieces:
            return []
        neighbours = list(zip(self.pieces, self.pieces[1:], strict=False))
        ends = [max(_first_against(b, a), b.settled()[0]) for a, b in neighbours] + [np.inf]
        begins = [-np.inf] + [min(_last_against(a, b), a.settled()[1]) for a, b in neighbours]
        return list(zip(begins, ends, strict=True))


def solve(
    above: Points, below: Points, *, slope: float = 0.0, steepest: tuple[float, float] = (-STEEPEST, STEEPEST)
) -> Pair:
    """Return what one window says.

    Args:
        above: (n,) times on A's clock at which messages to B were sent, and their arrival on B's minus that.
        below: (m,) times on A's clock at which messages from B arrived, and their sending on B's minus that.
        slope: of B's clock against A's in the window before, so that stretches are compared without it.
        steepest: the least and the greatest slope that is believed.
    """
    return Pair(pieces(tightest(above, slope, 1.0), tightest(below, slope, -1.0), steepest))


def tightest(points: Points, slope: float, sign: float) -> Points:
    """Return of each stretch of BIN_NS the point with the least value (sign 1) or the greatest (-1)."""
    if not points.time.size:
        return points
    starts = np.flatnonzero(np.diff(np.floor_divide(points.time, BIN_NS), prepend=np.nan))
    value = sign * (points.value - slope * points.time)
    least = np.minimum.reduceat(value, starts)
    found = np.flatnonzero(value == np.repeat(least, np.diff(starts, append=value.size)))
    first = found[np.searchsorted(found, starts)]
    return Points(points.time[first], points.value[first])


def _loosened(
    piece: Piece,
    time: F64,
    points: Points,
    unseen: tuple[F64, F64],
    rates: tuple[float, float],
    *,
    stretches: bool,
) -> F64:
    """Return (q,) the least distance from the line that points leave: all of them, and those around a time.

    Args:
        piece: whose line it is.
        time: (q,) times asked for.
        points: (n,) above the line, or below it.
        unseen: (q,) and (n,) the most that chance hides, there and at the points. With such a change between,
            a bound is wrong by it less the message's own delay, which may be next to nothing.
        rates: how fast the truth may leave the line towards the points, after a point and before it.
        stretches: return (q - 1,) instead, what holds everywhere between two of the times.
    """
    distance = np.abs(points.value - piece.line.value(points.time))
    since = time[:, None] - points.time
    drift = np.maximum(rates[0] * since, -rates[1] * since)
    hidden, begin, end = unseen[0], time, time
    if stretches:
        # Both are greatest at an end: the one is a valley, the other falls and then rises.
        drift, hidden = np.maximum(drift[:-1], drift[1:]), np.maximum(hidden[:-1], hidden[1:])
        begin, end = time[:-1], time[1:]
    drift += distance
    drift += np.maximum(hidden[:, None], unseen[1])
    least: F64 = np.maximum(drift.min(axis=1), lasting(points, distance).over(begin, end, rates))
    return least


def _first_against(speaker: Piece, other: Piece) -> float:
    against = _against(speaker, other)
    return float(against.min()) if against.size else speaker.end


def _last_against(speaker: Piece, other: Piece) -> float:
    against = _against(speaker, other)
    return float(against.max()) if against.size else speaker.begin


def _against(speaker: Piece, other: Piece) -> F64:
    """Return the times of the points of one piece that the other's line leaves no room for."""
    line = other.line
    room = line.room - other.noise
    above = speaker.above.value - line.value(speaker.above.time) < room
    below = line.value(speaker.below.time) - speaker.below.value < room
    return np.concatenate((speaker.above.time[above], speaker.below.time[below]))


def _change(a: Piece, b: Piece) -> Change:
    middle = np.array([(a.end + b.begin) / 2])
    jump = float(b.line.value(middle)[0] - a.line.value(middle)[0])
    return Change(a.end, b.begin, jump, b.line.slope - a.line.slope, a.noise + b.noise)
