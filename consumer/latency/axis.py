# SPDX-License-Identifier: Apache-2.0
"""One line for all flows: (flow, position) pairs become single integers with the same order.

So that one ``searchsorted`` answers for every flow at once. Coordinates of different flows never touch: at
least one free integer lies between them. Only the order of coordinates has a meaning, since positions that
would need more than 63 bits together are replaced by their ranks.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from consumer.latency.intervals import I32, I64, Index

_LARGEST = np.iinfo(np.int64).max
_ROOM = float(2**62)
_SHORT = 1 << 16


class Points(NamedTuple):
    """(n,) flow numbers in ascending order and (n,) columns of positions that rise from left to right."""

    flow: I32
    positions: tuple[I64, ...]


def order_by_flow(flow: I32, flows: int) -> Index:
    """Return the stable order of (n,) flow numbers below ``flows``, by a radix sort of 16 bits a pass."""
    if flows <= _SHORT:
        return np.argsort(flow.astype(np.uint16), kind="stable")
    low = np.argsort((flow & (_SHORT - 1)).astype(np.uint16), kind="stable")
    return low[np.argsort((flow[low] >> 16).astype(np.uint16), kind="stable")]


def coordinates(tables: Sequence[Points], flows: int) -> list[list[I64]]:
    """Return, for each table, one coordinate column for each of its position columns."""
    shift = _shifts(tables, flows)
    if shift is None:
        return _ranks(tables)
    return [[position + by for position in table.positions] for table, by in _spread(tables, shift)]


def _spread(tables: Sequence[Points], shift: I64) -> list[tuple[Points, I64]]:
    return [(table, shift[table.flow]) for table in tables]


def _shifts(tables: Sequence[Points], flows: int) -> I64 | None:
    """Return what to add to the positions of each flow, (flows,), or None where 62 bits do not suffice."""
    low = np.full(flows, _LARGEST, dtype=np.int64)
    high = np.full(flows, -1, dtype=np.int64)
    for table in tables:
        if not table.flow.size:
            continue
        starts = np.flatnonzero(np.diff(table.flow, prepend=-1))
        present = table.flow[starts]
        low[present] = np.minimum(low[present], np.minimum.reduceat(table.positions[0], starts))
        high[present] = np.maximum(high[present], np.maximum.reduceat(table.positions[-1], starts))
    used = high >= 0
    span = np.where(used, high - np.where(used, low, 0) + 2, 0)
    if float(span.sum(dtype=np.float64)) >= _ROOM:
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
