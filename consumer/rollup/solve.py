# SPDX-License-Identifier: Apache-2.0
"""Solves the clocks of one window, and turns stamps of two clocks into latencies with bounds. Pure.

The truth lies within ``latency`` ± ``bound`` as long as what docs/clocks.md takes for granted holds. Where no
bound is known there is no latency either: -1. Two clocks need not have talked with one another, only through
others, or with hosts that say how far their CLOCK_REALTIME may be off.
"""

from functools import cached_property
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from consumer.latency.clock.line import F64, Points
from consumer.latency.clock.pair import Pair, solve
from consumer.latency.intervals import I64
from consumer.rollup.inputs import Inputs, read
from consumer.rollup.solution import Window, table
from consumer.rollup.together import AROUND_NS, Together, View

CRYSTAL = 100e-6
"""How far a clock's rate may be off true time: a latency is no better than that share of itself."""
UNKNOWN = -1


class Corrected(NamedTuple):
    """(n,) ns each."""

    latency: I64
    """Received minus sent on one clock; 0 where it is not known."""
    bound: I64
    """The truth is within ``latency`` ± ``bound``; -1 = not known."""


class Solved:
    """The clocks of one window."""

    def __init__(self, window: Window, given: Inputs, pairs: dict[tuple[int, int], Pair]) -> None:
        self._window, self._given, self._pairs = window, given, pairs
        self._together = Together(given.clocks, pairs, window.window_ns)

    @cached_property
    def rows(self) -> pa.Table:
        """Return a row of kind ``clock_solution`` for each two clocks with messages between them."""
        return table(self._window, self._given, self._pairs, self._together)

    def correct(
        self,
        sender_boot: pa.Array | pa.ChunkedArray,
        receiver_boot: pa.Array | pa.ChunkedArray,
        sent_monotonic: I64,
        received_monotonic: I64,
    ) -> Corrected:
        """Return the latencies of (n,) messages.

        Args:
            sender_boot: (n,) texts, dictionary or not; null = not known.
            receiver_boot: likewise.
            sent_monotonic: (n,) int64 ns, CLOCK_MONOTONIC of the sender.
            received_monotonic: (n,) int64 ns, CLOCK_MONOTONIC of the receiver.
        """
        latency, bound = np.zeros(sent_monotonic.size, np.int64), np.full(sent_monotonic.size, UNKNOWN)
        sender, receiver = _text(sender_boot), _text(receiver_boot)
        same = np.asarray(pc.fill_null(pc.equal(sender, receiver), fill_value=False))
        latency[same], bound[same] = (received_monotonic - sent_monotonic)[same], 0
        one, other = (self._numbers(boots) for boots in (sender, receiver))
        rest = np.flatnonzero(~same & (one >= 0) & (other >= 0))
        code = one[rest] * len(self._given.clocks) + other[rest]
        order = np.argsort(code, kind="stable")
        rest, code = rest[order], code[order]
        for rows in np.split(rest, np.flatnonzero(np.diff(code)) + 1) if rest.size else []:
            who = int(one[rows[0]]), int(other[rows[0]])
            latency[rows], bound[rows] = self._between(who, sent_monotonic[rows], received_monotonic[rows])
        return Corrected(latency, bound)

    def _numbers(self, boots: pa.Array | pa.ChunkedArray) -> I64:
        """Return (n,) the number of each boot's clock, -1 where it is not known."""
        known = pa.array([clock.boot for clock in self._given.clocks], pa.string())
        found = pc.fill_null(pc.index_in(boots, known), UNKNOWN)
        return np.asarray(found, dtype=np.int64)

    def _between(self, who: tuple[int, int], sent: I64, received: I64) -> tuple[I64, I64]:
        """Return latency and bound of messages from one clock to another.

        The clocks are compared at the moment of receiving and at that of sending. Both say the same unless
        one of the clocks stepped in between; then either may be right, and the bound holds both.
        """
        view = self._together.view(*who)
        sent_at, unsure = self._given.clocks[who[0]].times(sent)
        received_at, unsure_too = self._given.clocks[who[1]].times(received)
        late, wide = _apart(view, received_at, view.b)
        early, wide_too = _apart(view, sent_at, view.a)
        at_receiving, at_sending = received_at - sent_at - late, received_at - sent_at - early
        bound = np.maximum(wide, np.abs(at_receiving - at_sending) + wide_too)
        bound += unsure + unsure_too + CRYSTAL * np.abs(at_receiving) + 1
        known = np.isfinite(bound) & (np.abs(at_receiving) < 2**62)
        return (
            np.rint(np.where(known, at_receiving, 0)).astype(np.int64),
            np.where(known, np.ceil(np.where(known, bound, 0)), UNKNOWN).astype(np.int64),
        )


def _apart(view: View, time: F64, clock: int) -> tuple[F64, F64]:
    """Return how far b's clock is ahead of a's at (n,) times of one of both, and how sure that is."""
    fleet, a, b = view
    axis = np.maximum.accumulate(fleet.shown[clock])
    stretch = np.searchsorted(axis, time, side="right") - 1
    known = (stretch >= 0) & (stretch < axis.size - 1)
    stretch = np.where(known, stretch, 0)
    ahead = np.interp(time, axis, fleet.shown[b] - fleet.shown[a])
    high, low = fleet.ahead[a, b, stretch], -fleet.ahead[b, a, stretch]
    known &= ~fleet.contradicted[a, b, stretch] & np.isfinite(high) & np.isfinite(low)
    high, low = np.where(known, high, 0), np.where(known, low, 0)
    shift = np.clip(0, low, high)
    wide = np.where(known, np.maximum(high - shift, shift - low), np.inf)
    return ahead + shift, wide


def solve_window(begin_ns: int, window_ns: int, clock: pa.Table, reading: pa.Table) -> Solved:
    """Return the clocks of the window [begin_ns, begin_ns + window_ns) of CLOCK_REALTIME.

    Args:
        begin_ns: ns.
        window_ns: ns.
        clock: rows of that kind, ``at_ns`` from a minute before the window to a minute after it.
        reading: likewise.
    """
    given = read(begin_ns, clock, reading)
    pairs = {}
    for (a, b), there in given.heard.items():
        if a < b and (b, a) in given.heard:
            sides = there.above(), given.heard[b, a].below()
            above, below = (_around(points, window_ns) for points in sides)
            if above.time.size and below.time.size:  # else they say nothing, and contradict nothing
                pairs[a, b] = solve(above, below)
    return Solved(Window(begin_ns, window_ns), given, pairs)


def _text(boots: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    return boots.cast(pa.string())


def _around(points: Points, window_ns: int) -> Points:
    begin, end = np.searchsorted(points.time, (-AROUND_NS, window_ns + AROUND_NS))
    return Points(points.time[begin:end], points.value[begin:end])
