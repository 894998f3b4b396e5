# SPDX-License-Identifier: Apache-2.0
"""Brings the pairs of a fleet to common times, and lets them agree. Pure.

A pair's solution runs on its first host's clock. Clocks that are seconds apart and run 50 ppm unlike would
make that an error of its own (10 s * 50 ppm = 500 us), so each pair is asked at the times that its first
host's clock showed at the common time.
"""

from collections import deque
from collections.abc import Mapping

import numpy as np

from consumer.latency.clock.line import F64
from consumer.latency.clock.mesh import Edges, Mesh, agree
from consumer.latency.clock.pair import Pair
from consumer.latency.clock.pieces import CHANCE

_REFINED = 3


def solve_fleet(hosts: int, pairs: Mapping[tuple[int, int], Pair], time: F64) -> Mesh:
    """Return the clocks of (h,) hosts at (q,) times, ns on the clock of the first host of each group.

    Args:
        hosts: how many, numbered from 0.
        pairs: (a, b) -> how far b's clock is ahead of a's, on a's clock; each pair in one order only.
        time: (q,) ns.
    """
    pairs = {who: pair for who, pair in pairs.items() if pair.pieces}
    shown = _shown(hosts, pairs, time)
    found = [pair.bounds(shown[a]) for (a, _), pair in pairs.items()]
    none = np.empty((0, time.size))
    return agree(
        hosts,
        Edges(
            np.array([a for a, _ in pairs], dtype=np.int64),
            np.array([b for _, b in pairs], dtype=np.int64),
            np.array([one.low for one in found]) if found else none,
            np.array([one.at for one in found]) if found else none,
            np.array([one.high for one in found]) if found else none,
            np.array([max(piece.noise for piece in pair.pieces) / CHANCE for pair in pairs.values()]),
        ),
    )


def _shown(hosts: int, pairs: Mapping[tuple[int, int], Pair], time: F64) -> F64:
    """Return (h, q): what each host's clock shows at the common times, well enough to ask a pair by it."""
    near: list[list[tuple[int, Pair, bool]]] = [[] for _ in range(hosts)]
    for (a, b), pair in pairs.items():
        near[a].append((b, pair, True))
        near[b].append((a, pair, False))
    shown = np.full((hosts, time.size), np.nan)
    for root in range(hosts):
        if not np.isnan(shown[root]).all():
            continue
        shown[root] = time
        waiting = deque([root])
        while waiting:
            here = waiting.popleft()
            for there, pair, ahead in near[here]:
                if np.isnan(shown[there]).all():
                    shown[there] = _across(pair, shown[here], ahead=ahead)
                    waiting.append(there)
    return shown


def _across(pair: Pair, shown: F64, *, ahead: bool) -> F64:
    """Return what the other clock shows; against the pair's order by a few rounds, as slopes are small."""
    if ahead:
        return shown + pair.bounds(shown).at
    first = shown
    for _ in range(_REFINED):
        first = shown - pair.bounds(first).at
    return first
