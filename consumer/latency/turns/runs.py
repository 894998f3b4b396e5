# SPDX-License-Identifier: Apache-2.0
"""Runs: calls of one end, in order of time, that move the same way with none of the other way between.

An end's runs alternate: requests (*asks*), responses, requests … A run is kept as what is needed of its first
and its last call, so runs of two stretches of time can be joined and it does not matter where they were cut.
"""

from typing import NamedTuple

import numpy as np

from consumer.latency.axis import order_by_flow
from consumer.latency.intervals import I32, I64, Bools
from consumer.latency.turns.tables import join as stacked
from consumer.latency.turns.tables import take


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
    """Bytes of the inbound direction known to be in the kernel at the first call; told of responses only."""
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


class Joined(NamedTuple):
    """Runs of two stretches as one, and which of them ``find`` is to look at as requests."""

    runs: Runs
    wanted: Bools


def joined(earlier: Runs, later: Runs, first: Bools, ends: int) -> Joined:
    """Return the runs of both; where an end goes on the same way, its last and its first are made one.

    Wanted are those of which a part is earlier, and each end's ``first`` of the later ones.
    """
    wanted = np.concatenate((np.ones(earlier.end.size, dtype=bool), first))
    both = stacked(earlier, later)
    if not both.end.size:
        return Joined(both, wanted)
    order = order_by_flow(both.end, ends)
    both, wanted = take(both, order), wanted[order]
    same = (both.end[1:] == both.end[:-1]) & (both.asks[1:] == both.asks[:-1])
    at = np.flatnonzero(same)
    if not at.size:
        return Joined(both, wanted)
    between = np.maximum(both.first[at + 1] - both.until[at], 0)
    between[both.begin[at + 1] != both.stop[at]] = 0
    both.pause[at + 1] = np.maximum(np.maximum(both.pause[at], both.pause[at + 1]), between)
    for column in (both.begin, both.first, both.arrived, both.offset, both.first_process, both.born):
        column[at + 1] = column[at]
    kept = np.append(~same, True)
    return Joined(take(both, kept), wanted[kept])


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
