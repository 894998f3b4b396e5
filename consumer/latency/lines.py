# SPDX-License-Identifier: Apache-2.0
"""All that waits, put in the order of flows and positions, a part of the flows at a time.

No flow has to do with another one, so a tick may be made in parts. A part is what fits in the processor's
cache with all that is made of it; how a tick is cut changes no answer.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeVar

import numpy as np

from consumer.latency.axis import Pieces, Points, coordinates, move, pieces_of, rooms
from consumer.latency.intervals import I64, Arrivals, Bools, Index, Receives, Sends
from consumer.latency.islands import Islands, Located, pick

_PART = 1 << 17
"""Rows of all tables in one part, or one flow where that has more."""


class Line(NamedTuple):
    """One table on the common line, in ascending order of ``high``; ``order`` leads back to its rows."""

    order: Index
    low: I64
    high: I64


class Ends(NamedTuple):
    """The ends of sends on the line, ascending; where one begins is asked of few."""

    order: Index
    high: I64
    shift: I64
    """What makes the begin of a row its coordinate."""


class Lines(NamedTuple):
    """What waits in some of the flows."""

    sends: Ends
    receives: Line
    arrivals: Line
    islands: Located


class Part(NamedTuple):
    """The flows below ``beyond`` that no part before has: the pieces of each table, and the islands."""

    beyond: int
    sends: Pieces
    receives: Pieces
    arrivals: Pieces
    islands: Islands


def parts(
    sends: Sends, receives: Receives, arrivals: Arrivals, islands: Islands, flows: int
) -> Iterator[Part]:
    """Cut what waits into parts by ascending flows, one at least; flow numbers are below ``flows``."""
    pieces = [pieces_of(table.flow).by_flow(flows) for table in (sends, receives, arrivals)]
    for first, beyond in pairwise(_cuts(pieces, flows)):
        known = pick(islands, slice(*np.searchsorted(islands.flow, (first, beyond))))
        mine = [one.between(first, beyond) for one in pieces]
        yield Part(beyond, mine[0], mine[1], mine[2], known)


def locate(part: Part, sends: Sends, receives: Receives, arrivals: Arrivals) -> Lines:
    """Return the lines of a part of these tables."""
    rows = [pieces.rows() for pieces in (part.sends, part.receives, part.arrivals)]
    known = part.islands
    points = [
        Points(part.sends.flow, (sends.end[rows[0]],), part.sends.length),
        Points(part.receives.flow, (receives.begin[rows[1]], receives.end[rows[1]]), part.receives.length),
        Points(part.arrivals.flow, (arrivals.end[rows[2]],), part.arrivals.length),
        Points(known.flow, (known.begin.copy(), known.end.copy())),
    ]
    by = rooms(points, part.beyond)
    if by is None:
        begin = sends.begin[rows[0]]
        points[0] = points[0]._replace(positions=(begin, *points[0].positions))
        placed = coordinates(points, part.beyond)
        shift = placed[0][0] - begin
    else:
        placed, shift = move(points, by), by[0]
    return Lines(
        _ascending(Ends(rows[0], placed[0][-1], shift)),
        _ascending(Line(rows[1], *placed[1])),
        _earliest(_ascending(Line(rows[2], placed[2][0], placed[2][0])), arrivals),
        Located(known, *placed[3]),
    )


def _cuts(pieces: Sequence[Pieces], flows: int) -> list[int]:
    """Return the flows at which parts begin, and ``flows``."""
    rows = sum(int(one.length.sum()) for one in pieces)
    wanted = rows // _PART + 1
    if wanted == 1:
        return [0, flows]
    below = np.cumsum(sum(np.bincount(one.flow, weights=one.length, minlength=flows) for one in pieces))
    inner = np.searchsorted(below, rows * np.arange(1, wanted) / wanted) + 1
    cuts: list[int] = np.unique([0, *inner, flows]).tolist()
    return cuts


_Some = TypeVar("_Some", Line, Ends)


def _ascending(line: _Some) -> _Some:
    if (line.high[1:] >= line.high[:-1]).all():
        return line
    return _picked(line, np.argsort(line.high, kind="stable"))


def _picked(line: _Some, index: Index | Bools) -> _Some:
    return type(line)(*(column[index] for column in line))


def _earliest(line: Line, arrivals: Arrivals) -> Line:
    """Leave out arrivals that one of a higher position came before: no message takes them."""
    stamp = arrivals.time[line.order]
    falls = np.flatnonzero(stamp[1:] < stamp[:-1])
    flow = arrivals.flow
    if not (flow[line.order[falls]] == flow[line.order[falls + 1]]).any():
        return line
    rank = np.empty(stamp.size, dtype=np.int64)
    rank[np.lexsort((stamp, flow[line.order]))] = np.arange(stamp.size)
    best = np.minimum.accumulate(rank[::-1])[::-1]
    return _picked(line, rank == best)
