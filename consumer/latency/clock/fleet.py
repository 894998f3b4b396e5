# SPDX-License-Identifier: Apache-2.0
"""Brings the pairs of a fleet to common times, and lets them agree. Pure.

A pair's solution runs on its first host's clock. Clocks that are seconds apart and run 50 ppm unlike would
make that an error of its own (10 s * 50 ppm = 500 us), so each pair is asked at the times that its first
host's clock showed at the common time. Bounds are those of whole stretches between two common times, against
the straight line through what is likeliest at both: they hold at each moment in between, steps included.
"""

import heapq
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from consumer.latency.clock.line import F64, STEEPEST
from consumer.latency.clock.mesh import Edges, closed, joined, likeliest
from consumer.latency.clock.pair import Bounds
from consumer.latency.intervals import I64, Bools

_REFINED = 3
_ASKED = 4
"""Rounds of agreement at most. Beside a step of the clock that the tree starts from, times along the tree are
off by as much as the step, and what pairs say has a slope."""
_FAR_NS = 10_000.0
"""Pairs are asked anew where times moved further. At the fastest a clock gains 6 ns on another meanwhile."""
ROUNDING_NS = 1.0


class Between(Protocol):
    """How far one clock is ahead of another (pair.py has the one from messages)."""

    @property
    def noise(self) -> float:
        """How far chance may move the likeliest, one sigma, ns."""

    def value(self, time: F64) -> F64:
        """Return the likeliest at (q,) times on the first clock, a guess where nothing is known."""

    def over(self, edges: F64) -> Bounds:
        """Return bounds (q, 2) of the stretches between (q + 1,) times; infinite where nothing is known."""


Pairs = Mapping[tuple[int, int], Between]
"""(a, b) -> how far b's clock is ahead of a's, on a's clock; each pair in one order only."""


class Fleet(NamedTuple):
    """The clocks of (h,) hosts over q stretches of time."""

    shown: F64
    """(h, q + 1) ns that each clock shows, likeliest, where its group's first one shows the common times."""
    ahead: F64
    """(h, h, q) [x, y]: the most that y's clock can be ahead of x's beyond what is shown; inf = not known."""
    contradicted: Bools
    """(h, h, q) whether messages of two are at odds with those of the others; then `ahead` says nothing."""
    group: I64
    """(h,) hosts of one number are joined by pairs."""


def solve_fleet(hosts: int, pairs: Pairs, time: F64, told: Pairs | None = None) -> Fleet:
    """Return the clocks of (h,) hosts at (q + 1,) rising times, ns on the clock of the first of each group.

    Args:
        hosts: how many, numbered from 0.
        pairs: what messages say.
        time: ns.
        told: what others say, believed only where it contradicts neither itself nor messages.
    """
    every = [*pairs.items(), *(told or {}).items()]
    a, b = (np.array([who[side] for who, _ in every], dtype=np.int64) for side in (0, 1))
    shown = show(hosts, pairs, time, told)
    noise = np.array([pair.noise for _, pair in every])
    # What others say has its place along the tree; what messages say is not to be bent by it.
    sure = slice(len(pairs))
    said, since = _over(every, shown), np.zeros((len(every), shown.shape[1]))
    for _ in range(_ASKED):
        half = (said.high - said.low)[sure] / 2
        edges = _edges((a[sure], b[sure]), (said.at - _between(a, b, shown))[sure], half, noise[sure])
        moved = np.nan_to_num(likeliest(hosts, edges))
        shown += moved
        since += moved[a]
        if not _asked_anew([pair for _, pair in every], shown[a], since, said):
            break
    # What was said of another time is off by how much one clock gained on the other since.
    loose, between = STEEPEST * np.abs(sliding_window_view(since, 2, axis=1)), _between(a, b, shown)
    beyond, short = ((side + loose).max(axis=2) for side in (said.high - between, between - said.low))
    rest = slice(len(pairs), None)
    sides = (_Direct(a[some], b[some], beyond[some], short[some]) for some in (sure, rest))
    return Fleet(shown, *_closed(hosts, *sides), joined(hosts, a, b))


def _over(every: list[tuple[tuple[int, int], Between]], shown: F64) -> Bounds:
    """Return what all (m,) pairs say of the stretches, (m, q, 2) each, asked at what the first shows."""
    found = [pair.over(shown[first]) for (first, _), pair in every]
    none = np.empty((0, shown.shape[1] - 1, 2))
    return Bounds(*(np.array([one[kind] for one in found]) if found else none for kind in range(3)))


def _asked_anew(pairs: Sequence[Between], shown: F64, since: F64, said: Bounds) -> bool:
    """Ask those of (m,) pairs anew whose times moved far, by ``since`` (m, q + 1) ns; say if any."""
    far = np.flatnonzero(np.abs(since).max(axis=1, initial=0.0) > _FAR_NS)
    for number in far.tolist():
        for column, anew in zip(said, pairs[number].over(shown[number]), strict=True):
            column[number] = anew
    since[far] = 0.0
    return bool(far.size)


def _between(a: I64, b: I64, shown: F64) -> F64:
    """Return how far (m,) clocks b are shown ahead of a at begin and end of stretches, (m, q, 2)."""
    apart: F64 = sliding_window_view(shown[b] - shown[a], 2, axis=1)
    return apart


def _edges(who: tuple[I64, I64], at: F64, half: F64, noise: F64) -> Edges:
    """Turn what is said of stretches, (m, q, 2), into what is said of the times between them, (m, q + 1)."""
    unlike = np.pad(half, ((0, 0), (1, 1), (0, 0)), constant_values=np.inf)
    known = np.minimum(unlike[:, :-1, 1], unlike[:, 1:, 0])
    values = np.concatenate((at[:, :, 0], at[:, -1:, 1]), axis=1) if at.size else np.empty_like(known)
    return Edges(*who, np.where(np.isfinite(known), values, np.nan), known, noise)


class _Direct(NamedTuple):
    """What (m,) pairs alone say of q stretches: how far b may be ahead beyond what is shown, and a."""

    a: I64
    b: I64
    beyond: F64
    short: F64

    def matrix(self, hosts: int) -> F64:
        found = np.full((hosts, hosts, self.beyond.shape[1]), np.inf)
        found[np.arange(hosts), np.arange(hosts)] = 0.0
        np.minimum.at(found, (self.a, self.b), self.beyond)
        np.minimum.at(found, (self.b, self.a), self.short)
        return found


def _closed(hosts: int, sure: _Direct, told: _Direct) -> tuple[F64, Bools]:
    """Return the closed bounds, (h, h, q), and of which pairs they say nothing.

    Where messages contradict one another, those pairs are left out whose bounds exclude what is likeliest of
    all: then no path comes back below zero any more. What others say is left out altogether where it
    contradicts what is left.
    """
    direct = sure.matrix(hosts)
    ahead = closed(direct)
    bad: Bools = np.zeros(direct.shape, dtype=bool)
    against = _contradict(ahead)
    if against.any():
        bad[:, :, against] = direct[:, :, against] < 0
        np.logical_or(bad, bad.swapaxes(0, 1).copy(), out=bad)
        direct[bad] = np.inf
        ahead[:, :, against] = closed(direct[:, :, against])
    if told.a.size:
        more = closed(np.minimum(direct, told.matrix(hosts)))
        believed = ~_contradict(more)
        ahead[:, :, believed] = more[:, :, believed]
    return ahead, bad


def _contradict(ahead: F64) -> Bools:
    """Say in which stretches a path comes back below zero, but for rounding."""
    own = np.arange(ahead.shape[0])
    found: Bools = np.asarray((ahead[own, own] < -ROUNDING_NS).any(axis=0))
    return found


def show(hosts: int, pairs: Pairs, time: F64, told: Pairs | None = None) -> F64:
    """Return (h, q): what each host's clock shows at the common times, along a tree of pairs.

    A group's first host, whose clock the common times are on, is the one with most pairs.
    """
    near: list[list[tuple[int, int, Between, bool]]] = [[] for _ in range(hosts)]
    for rank, some in enumerate((pairs, told or {})):
        for (a, b), pair in some.items():
            near[a].append((rank, b, pair, True))
            near[b].append((rank, a, pair, False))
    shown: F64 = np.tile(time, (hosts, 1))
    seen = np.zeros(hosts, dtype=bool)
    for root in sorted(range(hosts), key=lambda host: -len(near[host])):
        waiting = [(0, 0, root)]
        ways: list[tuple[int, Between, bool]] = [(-1, _SAME, True)]
        while waiting:
            _, way, here = heapq.heappop(waiting)
            if seen[here]:
                continue
            seen[here] = True
            before, pair, forward = ways[way]
            if before >= 0:
                shown[here] = _across(pair, shown[before], forward=forward)
            for rank, there, pair, forward in near[here]:
                if not seen[there]:
                    heapq.heappush(waiting, (rank, len(ways), there))
                    ways.append((here, pair, forward))
    return shown


class _Same:
    """One clock and itself."""

    noise = 0.0

    def value(self, time: F64) -> F64:
        return np.zeros_like(time)

    def over(self, edges: F64) -> Bounds:
        none = np.zeros((edges.size - 1, 2))
        return Bounds(none, none, none)


_SAME = _Same()


def _across(pair: Between, shown: F64, *, forward: bool) -> F64:
    """Return what the other clock shows; against the pair's order by a few rounds, as slopes are small."""
    if forward:
        return shown + pair.value(shown)
    first = shown
    for _ in range(_REFINED):
        first = shown - pair.value(first)
    return first
