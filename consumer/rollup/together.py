# SPDX-License-Identifier: Apache-2.0
"""Which clocks of a window are solved together: those joined by messages, unless they are too many. Pure.

Work and memory grow with the cube and the square of the clocks that are solved together. Of more than
``MOST`` each two are looked at alone: what they say of one another, and what is said of their CLOCK_REALTIME.
So are two that no chain of messages joins.
"""

from itertools import combinations
from typing import NamedTuple

import numpy as np

from consumer.latency.clock.fleet import Fleet, Pairs, show, solve_fleet
from consumer.latency.clock.line import F64
from consumer.latency.clock.mesh import joined
from consumer.latency.clock.pair import Pair
from consumer.rollup.inputs import Clock

MOST = 128
STRETCH_NS = 2e9
"""Within each such stretch of time bounds are the same."""
AROUND_NS = 45e9
"""Messages so far before and after the window still speak for it: without them nothing shows a step."""
BEFORE_NS, BEHIND_NS = 4e9, 20e9
"""Latencies of messages sent in the window end behind it."""


class View(NamedTuple):
    """Two clocks in the fleet that they are solved in."""

    fleet: Fleet
    a: int
    b: int


class Together:
    """The clocks of one window; solves what is asked for when it is."""

    def __init__(self, clocks: list[Clock], pairs: dict[tuple[int, int], Pair], window_ns: int) -> None:
        self._clocks, self._window_ns = clocks, window_ns
        self._pairs = {who: pair for who, pair in pairs.items() if pair.pieces}
        a, b = (np.array([who[side] for who in self._pairs], dtype=np.int64) for side in (0, 1))
        self._group = joined(len(clocks), a, b).tolist()
        self._members: dict[int, list[int]] = {}
        for number, group in enumerate(self._group):
            self._members.setdefault(group, []).append(number)
        self._fleets: dict[tuple[int, ...], Fleet] = {}

    def view(self, a: int, b: int) -> View:
        """Return two clocks, by their numbers, as they are solved."""
        members = self._members[self._group[a]]
        if self._group[a] != self._group[b] or len(members) > MOST:
            members = sorted((a, b))
        key = tuple(members)
        if key not in self._fleets:
            self._fleets[key] = self._solve(key)
        return View(self._fleets[key], members.index(a), members.index(b))

    def _solve(self, members: tuple[int, ...]) -> Fleet:
        """Solve some clocks; true time is one more, the last."""
        place = {number: at for at, number in enumerate(members)}
        # Two alone need not look through all of a large fleet.
        some = combinations(members, 2) if len(members) == 2 else self._pairs  # noqa: PLR2004 - two
        pairs: Pairs = {
            (place[a], place[b]): self._pairs[a, b]
            for a, b in some
            if a in place and b in place and (a, b) in self._pairs
        }
        walls = {number: self._clocks[number].wall for number in members}
        told: Pairs = {
            (place[number], len(members)): wall for number, wall in walls.items() if wall is not None
        }
        edges = _edges(len(members) + 1, pairs, told, self._window_ns)
        return solve_fleet(len(members) + 1, pairs, edges, told)


def _edges(hosts: int, pairs: Pairs, told: Pairs, window_ns: int) -> F64:
    """Return the common times: the window by each host's CLOCK_REALTIME, which may be seconds apart."""
    middle = np.array([window_ns / 2])
    apart = middle - show(hosts, pairs, middle, told)[:, 0]
    begin = max(apart.min() - BEFORE_NS, -AROUND_NS)
    end = min(window_ns + apart.max() + BEHIND_NS, window_ns + AROUND_NS)
    edges: F64 = np.linspace(begin, end, max(2, 1 + int(np.ceil((end - begin) / STRETCH_NS))))
    return edges
