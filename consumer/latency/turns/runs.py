# SPDX-License-Identifier: Apache-2.0
"""Runs: calls of one end, in order of time, that move the same way with none of the other way between.

An end's runs alternate: requests (*asks*), responses, requests … A run is kept as what is needed of its first
and its last call, so runs of two stretches of time can be joined and it does not matter where they were cut.
"""

from typing import NamedTuple

import numpy as np

from consumer.latency.axis import order_by_flow
from consumer.latency.intervals import I32, I64, Bools, Index
from consumer.latency.turns.tables import ARRIVED, SENT, Moves, take
from consumer.latency.turns.tables import join as stacked


class Runs(NamedTuple):
    """(n,) runs, by end and, of one end, in order of time."""

    end: I32
    asks: Bools
    begin: I64
    """Position of the first call."""
    first: I64
    """Time of the first call."""
    stop: I64
    """Position behind the last call."""
    last: I64
    """Time of the last call."""
    until: I64
    """When the last call ended."""
    pause: I64
    """The longest time between two calls on neighbouring bytes, ns."""
    arrived: I64
    """Bytes of the inbound direction known to be in the kernel at the first call."""
    offset: I64
    first_process: I32
    last_process: I32
    born: I64
    """Of the first call's record."""


def no_runs() -> Runs:
    """Return a table of no rows."""
    wide, narrow = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int32)
    asks = np.zeros(0, dtype=bool)
    return Runs(narrow, asks, wide, wide, wide, wide, wide, wide, wide, wide, narrow, narrow, wide)


def in_order(moves: Moves, ends: int) -> Index:
    """Return the order by (end, time, kind, position); end numbers are below ``ends``."""
    key = (moves.time.astype(np.uint64) << np.uint64(2)) | moves.kind.astype(np.uint64)
    by_time = np.argsort(key, kind="stable")
    order = by_time[order_by_flow(moves.end[by_time], ends)]
    end, key, begin = moves.end[order], key[order], moves.begin[order]
    if not ((begin[1:] < begin[:-1]) & (key[1:] == key[:-1]) & (end[1:] == end[:-1])).any():
        return order
    return order[np.lexsort((begin, key, end))]


def runs_of(moves: Moves, client: Bools, arrived: I64) -> tuple[Runs, I64]:
    """Return the runs of moves, and ``arrived``, (ends,), brought up to date.

    ``client`` (ends,) says which ends ask; ``arrived`` is, for each end, what had come before these moves.
    """
    order = in_order(moves, client.size)
    end, kind = moves.end[order], moves.kind[order]
    calls = np.flatnonzero(kind != ARRIVED)
    if not calls.size:
        return no_runs(), _last_arrived(moves, order, arrived)
    rows, own = order[calls], end[calls]
    asks = (kind[calls] == SENT) == client[own]
    fresh = np.ones(calls.size, dtype=bool)
    fresh[1:] = (own[1:] != own[:-1]) | (asks[1:] != asks[:-1])
    first = np.flatnonzero(fresh)
    last = np.append(first[1:], calls.size) - 1
    head, tail = rows[first], rows[last]
    return Runs(
        own[first],
        asks[first],
        moves.begin[head],
        moves.time[head],
        moves.stop[tail],
        moves.time[tail],
        moves.until[tail],
        _pauses(moves, rows, fresh, first),
        _arrived_at(moves, order, calls[first], arrived),
        moves.offset[head],
        moves.process[head],
        moves.process[tail],
        moves.born[head],
    ), _last_arrived(moves, order, arrived)


def _pauses(moves: Moves, rows: Index, fresh: Bools, first: Index) -> I64:
    """Return the longest pause of each run; a hole between two calls is none."""
    inner = np.flatnonzero(~fresh)
    pause = np.zeros(first.size, dtype=np.int64)
    if not inner.size:
        return pause
    later, earlier = rows[inner], rows[inner - 1]
    gap = np.maximum(moves.time[later] - moves.until[earlier], 0)
    gap[moves.begin[later] != moves.stop[earlier]] = 0
    run = np.searchsorted(first, inner, side="right") - 1
    starts = np.flatnonzero(np.diff(run, prepend=-1))
    pause[run[starts]] = np.maximum.reduceat(gap, starts)
    return pause


def _arrived_at(moves: Moves, order: Index, places: Index, arrived: I64) -> I64:
    """Return the position of the last arrival of the same end before each place of the order."""
    came = moves.kind[order] == ARRIVED
    own = moves.end[order[places]]
    if not came.any():
        return arrived[own]
    newest = np.maximum.accumulate(np.where(came, np.arange(order.size), -1))[places]
    row = order[np.maximum(newest, 0)]
    here = (newest >= 0) & (moves.end[row] == own)
    return np.where(here, moves.stop[row], arrived[own])


def _last_arrived(moves: Moves, order: Index, arrived: I64) -> I64:
    rows = order[moves.kind[order] == ARRIVED]
    if not rows.size:
        return arrived
    end = moves.end[rows]
    final = np.append(end[1:] != end[:-1], True)
    answer = arrived.copy()
    answer[end[final]] = moves.stop[rows[final]]
    return answer


def joined(earlier: Runs, later: Runs, ends: int) -> Runs:
    """Return the runs of both; where an end goes on the same way, its last and its first are made one."""
    both = stacked(earlier, later)
    if not both.end.size:
        return both
    both = take(both, order_by_flow(both.end, ends))
    same = (both.end[1:] == both.end[:-1]) & (both.asks[1:] == both.asks[:-1])
    at = np.flatnonzero(same)
    if not at.size:
        return both
    between = np.maximum(both.first[at + 1] - both.until[at], 0)
    between[both.begin[at + 1] != both.stop[at]] = 0
    both.pause[at + 1] = np.maximum(np.maximum(both.pause[at], both.pause[at + 1]), between)
    for column in (both.begin, both.first, both.arrived, both.offset, both.first_process, both.born):
        column[at + 1] = column[at]
    return take(both, np.append(~same, True))


def tails(runs: Runs) -> Bools:
    """Say which runs can still be of use: the last response, and the one or two runs around it."""
    end, size = runs.end, runs.end.size
    final = np.flatnonzero(np.append(end[1:] != end[:-1], True)) if size else np.zeros(0, dtype=np.intp)
    kept = np.zeros(size, dtype=bool)
    kept[final] = True
    for back in (1, 2):
        at = final - back
        at = at[(at >= 0) & (end[np.maximum(at, 0)] == end[final]) & ((back == 1) | ~runs.asks[final])]
        kept[at] = True
    return kept
