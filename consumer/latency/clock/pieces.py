# SPDX-License-Identifier: Apache-2.0
"""Cuts a window where no single straight line tells what one clock did against the other. Pure.

A cut is made where the messages prove it (no line fits at all), and where two lines have so much more room
than one that chance does not explain it: a step smaller than the round trip leaves room for a false line,
but takes half of itself away from it. A step is never smoothed away; a change of rate (a slew) is cut
likewise. And a cut is made where parts of the window have more room than the whole: what goes and comes back
bends any two lines as much as one.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from consumer.latency.clock.line import F64, STEEPEST, Line, Points, fit

CHANCE = 9.0
"""Room that two lines may win by chance, in mean distances of a point from its floor per point at that side.
Of 20,000 windows of 60 s with exponential jitter and no step, 4 were cut (tests/consumer/latency/clock)."""
LEAST_ROOM_NS = 500.0
"""What is won must be more than this, whatever the jitter: stamps themselves take time."""
_PARTS = (16, 8, 4)
"""Of a piece, whose room is looked at."""
_NEAR = 4
"""One point in so many is near the nearest."""
FEW = 3
"""Points a side must have, above and below, to be cut off for more room; a proof needs one of each."""


class Piece(NamedTuple):
    """A stretch of a window within which one line holds."""

    begin: float
    end: float
    """Times of the first and of the last point, ns."""
    line: Line
    above: Points
    below: Points
    noise: float
    """How far chance may move the line here, ns."""

    def unseen(self, time: F64, *, first: bool, last: bool) -> F64:
        """Return (q,) by how much the truth may leave the line there by chance, ns; inf at an open end.

        More is cut for, or told by the points around (lasting.py). There is more of it the fewer points the
        smaller side has.
        `first` and `last` say whether nothing is known before and after this piece.
        """
        noise = np.zeros(time.size)
        few = np.zeros(time.size, dtype=bool)
        for points in (self.above, self.below):
            before = np.searchsorted(points.time, time, side="right")
            after = points.time.size - before
            few |= (points.time.size < 2 * FEW) | (first & (before < FEW)) | (last & (after < FEW))
            noise += scatter(self.line, points) / np.maximum(np.minimum(before, after), 1)
        return np.where(few, np.inf, np.maximum(LEAST_ROOM_NS, CHANCE * noise))

    def settled(self) -> tuple[float, float]:
        """Return the times from which, and up to which, FEW points of either kind speak for the line."""
        kinds = (self.above.time, self.below.time)
        return (
            max(float(time[min(FEW, time.size) - 1]) for time in kinds),
            min(float(time[-min(FEW, time.size)]) for time in kinds),
        )


def pieces(
    above: Points, below: Points, steepest: tuple[float, float] = (-STEEPEST, STEEPEST)
) -> list[Piece]:
    """Return the pieces of a window in the order of time; a part that only one side spoke in is in none.

    Args:
        above: (n,) upper bounds of the difference of the clocks.
        below: (m,) lower bounds of it.
        steepest: the least and the greatest slope that is believed.
    """
    found: list[Piece] = []
    for piece in _parted(above, below, steepest):
        while found and (both := _together(found[-1], piece, steepest)) is not None:
            found.pop()
            piece = both  # noqa: PLW2901 - it has grown
        found.append(piece)
    return found


def _parted(above: Points, below: Points, steepest: tuple[float, float]) -> list[Piece]:
    if not above.time.size or not below.time.size:
        return []
    whole = _piece(above, below, steepest)
    at = _cut(whole, steepest)
    if at is None:
        return [whole] if whole.line.room >= 0 else []
    before, after = _parts(above, below, at)
    return _parted(*before, steepest) + _parted(*after, steepest)


def _piece(above: Points, below: Points, steepest: tuple[float, float]) -> Piece:
    line = fit(above, below, steepest)
    begin, end = min(above.time[0], below.time[0]), max(above.time[-1], below.time[-1])
    return Piece(begin, end, line, above, below, _noise(line, above, below))


def _together(one: Piece, other: Piece, steepest: tuple[float, float]) -> Piece | None:
    """Return two neighbours as one where that takes no more room than chance would.

    What two bends are cut for, each half of it, may first be cut between them. A bend is not put together.
    """
    whole = _piece(_end_to_end(one.above, other.above), _end_to_end(one.below, other.below), steepest)
    lost = min(one.line.room, other.line.room) - whole.line.room
    chance = max(LEAST_ROOM_NS, one.noise + other.noise)
    return whole if whole.line.room >= 0 and lost <= chance and not _uneven(whole) else None


def _end_to_end(one: Points, other: Points) -> Points:
    return Points(np.concatenate((one.time, other.time)), np.concatenate((one.value, other.value)))


def _cut(whole: Piece, steepest: tuple[float, float]) -> float | None:
    """Return the time of the best cut, None where one line will do."""
    above, below, broken = whole.above, whole.below, whole.line.room < 0
    times = np.union1d(above.time, below.time)[1:]
    if not broken:
        times = times[_enough(above, times) & _enough(below, times)]
    if not times.size:
        return None
    at = _balance(above, below, times, steepest)
    before, after = _parts(above, below, at)
    if broken:
        return at
    lines = fit(*before, steepest), fit(*after, steepest)
    won = min(lines[0].room, lines[1].room) - whole.line.room
    chance = _noise(lines[0], *before) + _noise(lines[1], *after)
    return at if won > max(LEAST_ROOM_NS, chance) or _uneven(whole) else None


def _uneven(whole: Piece) -> bool:
    """Say whether somewhere along the line there is more room than chance explains: then it bends elsewhere.

    What goes and comes back takes room from one line and from any two alike.
    """
    sides = [
        (side.time, np.abs(side.value - whole.line.value(side.time))) for side in (whole.above, whole.below)
    ]
    return any(_roomier(whole, sides, parts) for parts in _PARTS)


def _roomier(whole: Piece, sides: list[tuple[F64, F64]], parts: int) -> bool:
    """Say whether any of so many parts has more room than the whole and than chance explains.

    By chance the nearest point is as much nearer or farther as the mean distance per point; or, where few
    points come near (delays that hardly ever are the least), as the next ones are from it.
    """
    edges = np.linspace(whole.begin, whole.end, parts + 1)[1:-1]
    starts = [np.concatenate(([0], np.searchsorted(time, edges))) for time, _ in sides]
    counts = [np.diff(first, append=time.size) for first, (time, _) in zip(starts, sides, strict=True)]
    enough = np.flatnonzero((np.array(counts) >= FEW).all(axis=0))
    if not enough.size:
        return False
    room, noise = np.zeros(enough.size), np.zeros(enough.size)
    for (_, distance), first, count in zip(sides, starts, counts, strict=True):
        some = np.minimum(first, distance.size - 1)
        least = np.minimum.reduceat(distance, some)[enough]
        room += least / 2
        noise += (np.add.reduceat(distance, some)[enough] / count[enough] - least) / count[enough]
    chance = np.maximum(LEAST_ROOM_NS, CHANCE * noise)
    for part in np.flatnonzero(room - whole.line.room > chance).tolist():
        at = enough[part]
        near = [
            _next_ones(distance[first[at] : first[at] + count[at]])
            for (_, distance), first, count in zip(sides, starts, counts, strict=True)
        ]
        if room[part] - whole.line.room > CHANCE * sum(near):
            return True
    return False


def _next_ones(distance: F64) -> float:
    """Return how much farther the next points are than the nearest one, for each of them."""
    near = max(distance.size // _NEAR, FEW - 1)
    first = np.partition(distance, near)
    return float(first[near] - first[: near + 1].min()) / near


def _balance(above: Points, below: Points, times: F64, steepest: tuple[float, float]) -> float:
    """Return the time at which the tighter of both parts has the most room.

    What is before loses room as it grows, what is after wins it, so the best is where they meet: bisected.
    """

    @cache
    def rooms(i: int) -> tuple[float, float]:
        before, after = _parts(above, below, times[i])
        return _room(*before, steepest), _room(*after, steepest)

    low, high = 0, times.size - 1
    while low < high:
        middle = (low + high) // 2
        before, after = rooms(middle)
        if before > after:
            low = middle + 1
        else:
            high = middle
    best = max(range(max(0, low - 1), low + 1), key=lambda i: min(rooms(i)))
    return float(times[best])


def _room(above: Points, below: Points, steepest: tuple[float, float]) -> float:
    if not above.time.size or not below.time.size:
        return float("inf")
    return fit(above, below, steepest).room


def _noise(line: Line, above: Points, below: Points) -> float:
    return CHANCE * (scatter(line, above) / above.time.size + scatter(line, below) / below.time.size)


def scatter(line: Line, points: Points) -> float:
    """Return the mean distance of points from the one nearest to the line."""
    distance = np.abs(points.value - line.value(points.time))
    return float(distance.mean() - distance.min())


def _enough(points: Points, times: F64) -> "np.typing.NDArray[np.bool_]":
    before = np.searchsorted(points.time, times)
    return (before >= FEW) & (points.time.size - before >= FEW)


def _parts(above: Points, below: Points, at: float) -> tuple[tuple[Points, Points], tuple[Points, Points]]:
    i, j = np.searchsorted(above.time, at), np.searchsorted(below.time, at)
    return (
        (Points(above.time[:i], above.value[:i]), Points(below.time[:j], below.value[:j])),
        (Points(above.time[i:], above.value[i:]), Points(below.time[j:], below.value[j:])),
    )
