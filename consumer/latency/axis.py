# SPDX-License-Identifier: Apache-2.0
"""One line for all flows: (flow, position) pairs become single integers with the same order.

So that one ``searchsorted`` answers for every flow at once. Coordinates of different flows never touch: at
least one free integer lies between them. Only the order of coordinates has a meaning, since positions that
would need more than 63 bits together are replaced by their ranks.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from consumer.latency.intervals import I32, I64, Index

_Number = TypeVar("_Number", np.int64, np.int32)

_LARGEST = np.iinfo(np.int64).max
_ROOM = 2**62
_SHORT = 1 << 16
_FEW = 8
"""Of two lists, one this many times shorter is searched for or in; lists more alike are merged."""


class Points(NamedTuple):
    """(r,) flow numbers and columns of positions, which are >= 0 and rise from left to right."""

    flow: I32
    positions: tuple[I64, ...]
    """(n,) each."""
    length: Index | None = None
    """(r,) how many rows each flow number stands for, one after the other; None: one."""

    def each(self, of_flow: NDArray[_Number]) -> NDArray[_Number]:
        """Return (n,) for each row what (r,) is given for each flow number."""
        return of_flow if self.length is None else np.repeat(of_flow, self.length)


class Pieces(NamedTuple):
    """Neighbouring rows of one flow as (r,) pieces of a table: batches bring few."""

    flow: I32
    start: Index
    length: Index

    def rows(self) -> Index:
        """Return the rows of all pieces, one piece after the other."""
        moved = self.start + self.length - np.cumsum(self.length)
        rows = np.repeat(moved, self.length)
        rows += np.arange(rows.size)
        return rows

    def pick(self, index: Index) -> Self:
        """Return the pieces that an index picks."""
        return type(self)(self.flow[index], self.start[index], self.length[index])

    def by_flow(self, flows: int) -> Self:
        """Return the pieces in the stable order of flows, which are below ``flows``."""
        return self.pick(_radix(self.flow, flows))

    def between(self, first: int, beyond: int) -> Self:
        """Return the pieces, which are in order, of the flows from ``first`` on and below ``beyond``."""
        cut = slice(*np.searchsorted(self.flow, (first, beyond)))
        return type(self)(self.flow[cut], self.start[cut], self.length[cut])


def heads_of(column: NDArray[np.integer]) -> Index:
    """Return the rows at which another flow, or whatever a column says, begins."""
    fresh = np.ones(column.size, dtype=bool)
    np.not_equal(column[1:], column[:-1], out=fresh[1:])
    return np.flatnonzero(fresh)


def pieces_of(flow: I32) -> Pieces:
    """Return the pieces of (n,) flow numbers as they come."""
    start = heads_of(flow)
    return Pieces(flow[start], start, np.diff(start, append=flow.size))


def order_by_flow(flow: I32, flows: int) -> Index:
    """Return the stable order of (n,) flow numbers below ``flows``."""
    return pieces_of(flow).by_flow(flows).rows()


def _radix(flow: I32, flows: int) -> Index:
    """Return the stable order, by a radix sort of 16 bits a pass."""
    if flows <= _SHORT:
        return np.argsort(flow.astype(np.uint16), kind="stable")
    low = np.argsort((flow & (_SHORT - 1)).astype(np.uint16), kind="stable")
    return low[np.argsort((flow[low] >> 16).astype(np.uint16), kind="stable")]


def places(line: I64, points: I64, side: Literal["left", "right"] = "left") -> Index:
    """Return what ``np.searchsorted`` does for (n,) points in a line of ascending coordinates.

    Where the points ascend too, one merge is quicker than n searches, and so are searches the other way round
    where the line is much the shorter.
    """
    if points.size * _FEW <= line.size or not (points[1:] >= points[:-1]).all():
        return np.searchsorted(line, points, side=side)
    if line.size * _FEW <= points.size:
        starts = np.searchsorted(points, line, side="right" if side == "left" else "left")
        return np.repeat(np.arange(line.size + 1), np.diff(starts, prepend=0, append=points.size))
    # The lowest bit says which of both it is, and so which one of two equals comes first.
    mine = int(side == "right")
    both = np.concatenate((points, line))
    both <<= 1
    both[: points.size] += mine
    both[points.size :] += 1 - mine
    both.sort(kind="stable")  # merges two ascending runs
    both &= 1
    place = np.flatnonzero(both == mine)
    place -= np.arange(points.size)
    return place


def coordinates(tables: Sequence[Points], flows: int) -> list[list[I64]]:
    """Return, for each table, one coordinate column for each of its position columns, all below 2^62."""
    by = rooms(tables, flows)
    if by is None:
        tables = [Points(table.each(table.flow), table.positions) for table in tables]
        shift = _shifts(tables, flows)
        if shift is None:
            return _ranks(tables)
        by = [shift[table.flow] for table in tables]
    return [
        [position + moved for position in table.positions] for table, moved in zip(tables, by, strict=True)
    ]


def move(tables: Sequence[Points], by: Sequence[I64]) -> list[list[I64]]:
    """Add (n,) to the position columns of each table, in place, and return them."""
    for table, moved in zip(tables, by, strict=True):
        for position in table.positions:
            position += moved  # noqa: PLW2901 - in place
    return [list(table.positions) for table in tables]


def rooms(tables: Sequence[Points], flows: int) -> list[I64] | None:
    """Return (n,) for each table what its positions lack to be coordinates, if each flow has equal room.

    That needs the last columns only. None is returned where 62 bits do not suffice.
    """
    filled = [table for table in tables if table.flow.size]
    room = 2 + max((int(table.positions[-1].max()) for table in filled), default=0)
    first = min((int(table.flow.min()) for table in filled), default=0)
    if room * (flows - first) >= _ROOM:
        return None
    return [table.each(np.multiply(table.flow - first, room, dtype=np.int64)) for table in tables]


def _shifts(tables: Sequence[Points], flows: int) -> I64 | None:
    """Return what to add to the positions of each flow, (flows,), or None where 62 bits do not suffice."""
    low = np.full(flows, _LARGEST, dtype=np.int64)
    high = np.full(flows, -1, dtype=np.int64)
    for table in tables:
        if not table.flow.size:
            continue
        order = order_by_flow(table.flow, flows)
        flow = table.flow[order]
        starts = np.flatnonzero(np.diff(flow, prepend=-1))
        present = flow[starts]
        low[present] = np.minimum(low[present], np.minimum.reduceat(table.positions[0][order], starts))
        high[present] = np.maximum(high[present], np.maximum.reduceat(table.positions[-1][order], starts))
    used = high >= 0
    span = np.where(used, high - np.where(used, low, 0) + 2, 0)
    if span.sum(dtype=np.float64) >= _ROOM:
        return None
    shift: I64 = np.cumsum(span) - span - np.where(used, low, 0)
    return shift


def _ranks(tables: Sequence[Points]) -> list[list[I64]]:
    flow = np.concatenate([table.flow for table in tables for _ in table.positions])
    position = np.concatenate([column for table in tables for column in table.positions])
    order = np.lexsort((position, flow))
    moved = (np.diff(position[order], prepend=-1) != 0) | (np.diff(flow[order], prepend=-1) != 0)
    rank = np.empty(order.size, dtype=np.int64)
    # One more at each new flow, so that no coordinate of one flow is the successor of another's.
    rank[order] = np.cumsum(moved.astype(np.int64) + (np.diff(flow[order], prepend=-1) != 0))
    sizes = [column.size for table in tables for column in table.positions]
    columns = iter(np.split(rank, np.cumsum(sizes)[:-1]))
    return [[next(columns) for _ in table.positions] for table in tables]
