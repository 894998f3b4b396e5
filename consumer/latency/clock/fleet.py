# SPDX-License-Identifier: Apache-2.0
"""Brings the pairs of a fleet to common times, and lets them agree. Pure.

A pair's solution runs on its first host's clock. Clocks that are seconds apart and run 50 ppm unlike would
make that an error of its own (10 s * 50 ppm = 500 us), so each pair is asked at the times that its first
host's clock showed at the common time. Bounds are those of whole stretches between two common times, against
the straight line through what is likeliest at both: they hold at each moment in between, steps included.
"""

import heapq
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from consumer.latency.clock.line import F64
from consumer.latency.clock.mesh import Edges, closed, joined, likeliest
from consumer.latency.clock.pair import Bounds
from consumer.latency.intervals import I64, Bools

_REFINED = 3


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
    group: I64
    """(h,) hosts of one number are joined by pairs."""
    contradicted: Bools
    """(h, q) whether bounds of this host contradict one another; then none of its `ahead` holds."""


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
    found = [pair.over(shown[first]) for (first, _), pair in every]
    none = np.empty((0, time.size - 1, 2))
    low, at, high = (np.array([one[kind] for one in found]) if found else none for kind in range(3))
    between = sliding_window_view(shown[b] - shown[a], 2, axis=1) if found else none
    noise = np.array([pair.noise for _, pair in every])
    # What others say has its place along the tree; what messages say is not to be bent by it.
    sure = slice(len(pairs))
    half = (high - low)[sure] / 2
    edges = _edges((a[sure], b[sure]), (at - between)[sure], half, noise[sure])
    shown += np.nan_to_num(likeliest(hosts, edges))
    between = sliding_window_view(shown[b] - shown[a], 2, axis=1) if found else none
    beyond, short = (high - between).max(axis=2), (between - low).max(axis=2)
    ahead = _closed(hosts, (a, b), (beyond, short), len(pairs))
    contradicted: Bools = ahead[np.arange(hosts), np.arange(hosts)] < 0
    return Fleet(shown, ahead, joined(hosts, a, b), contradicted)


def _edges(who: tuple[I64, I64], at: F64, half: F64, noise: F64) -> Edges:
    """Turn what is said of stretches, (m, q, 2), into what is said of the times between them, (m, q + 1)."""
    unlike = np.pad(half, ((0, 0), (1, 1), (0, 0)), constant_values=np.inf)
    known = np.minimum(unlike[:, :-1, 1], unlike[:, 1:, 0])
    values = np.concatenate((at[:, :, 0], at[:, -1:, 1]), axis=1) if at.size else np.empty_like(known)
    return Edges(*who, np.where(np.isfinite(known), values, np.nan), known, noise)


def _closed(hosts: int, who: tuple[I64, I64], bounds: tuple[F64, F64], sure: int) -> F64:
    """Return the closed bounds, (h, h, q): without those beyond the first `sure` where these contradict."""
    (a, b), (beyond, short) = who, bounds
    direct = np.full((hosts, hosts, beyond.shape[1]), np.inf)
    own = np.arange(hosts)
    direct[own, own] = 0.0
    direct[a[:sure], b[:sure]], direct[b[:sure], a[:sure]] = beyond[:sure], short[:sure]
    if sure == a.size:
        return closed(direct)
    more = direct.copy()
    more[a[sure:], b[sure:]], more[b[sure:], a[sure:]] = beyond[sure:], short[sure:]
    ahead = closed(more)
    against = (ahead[own, own] < 0).any(axis=0)
    if against.any():
        ahead[:, :, against] = closed(direct[:, :, against])
    return ahead


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
