# SPDX-License-Identifier: Apache-2.0
"""The clocks of a fleet whose truth is known: 50 hosts, 8 peers each, a minute and half a minute either side.

Pairs exchange 100 to 10,000 messages a minute each way, evenly in the logarithm; in the harder fleet all have
10,000. One clock in ten takes a step or a slew within the window, which is where solving takes longest.
"""

from typing import NamedTuple

import numpy as np

from consumer.latency.clock.fleet import solve_fleet
from consumer.latency.clock.line import Points
from consumer.latency.clock.mesh import Mesh
from consumer.latency.clock.pair import solve
from support.clocks import F64, MICRO, SECOND, Path, Shows, Talk, slewing, stepping, straight, wandering

HOSTS, PEERS = 50, 8
FEWEST, MOST = 100, 10_000
ASKED = np.linspace(0, 60 * SECOND, 61)
CHANGED = 10
"""One host in so many changes its clock."""

Heard = dict[tuple[int, int], tuple[Points, Points]]


class World(NamedTuple):
    """What was heard, and what is true."""

    heard: Heard
    truth: F64
    """(hosts, asked) each clock minus the first one's, ns."""

    @property
    def messages(self) -> int:
        """Those of all pairs, both ways."""
        return sum(above.time.size + below.time.size for above, below in self.heard.values())


def world(least: int, most: int, seed: int = 8) -> World:
    """Make a fleet whose pairs exchange so many messages a minute each way."""
    rng = np.random.default_rng(seed)
    clocks = [straight(0, 0), *(_clock(rng, number) for number in range(1, HOSTS))]
    heard = {}
    for a, b in _pairs(rng):
        there, back = (Path(rng.uniform(20, 200) * MICRO, rng.uniform(2, 20) * MICRO) for _ in range(2))
        messages = round(float(np.exp(rng.uniform(np.log(least), np.log(most)))))
        heard[a, b] = Talk(rng, there, back).between(clocks[a], clocks[b], messages)
    return World(heard, np.array([clock(ASKED) - ASKED for clock in clocks]))


def _clock(rng: np.random.Generator, number: int) -> Shows:
    offset, slope = rng.uniform(-10, 10) * SECOND, rng.uniform(-50e-6, 50e-6)
    clock = wandering(offset, slope, 0.05e-6, 60 * SECOND)
    at = rng.uniform(5, 50) * SECOND
    if number % (2 * CHANGED) == 0:
        return stepping(clock, at, rng.uniform(-5_000, 5_000) * MICRO)
    if number % CHANGED == 0:
        return slewing(clock, at, at + 20 * SECOND, 20e-6)
    return clock


def _pairs(rng: np.random.Generator) -> list[tuple[int, int]]:
    """Return a chain, so that all are joined, and random pairs."""
    pairs = {(host, host + 1) for host in range(HOSTS - 1)}
    while len(pairs) < HOSTS * PEERS // 2:
        a, b = sorted(rng.choice(HOSTS, 2, replace=False).tolist())
        pairs.add((a, b))
    return sorted(pairs)


def solved(heard: Heard) -> Mesh:
    """Solve every pair and then the fleet: one window's work."""
    return solve_fleet(HOSTS, {who: solve(*points) for who, points in heard.items()}, ASKED)


def check(made: World, mesh: Mesh) -> tuple[float, float]:
    """Return the 95th percentile of the errors, ns, and the share of bounds that hold."""
    ahead = made.truth[None] - made.truth[:, None]
    wrong = np.abs(mesh.offset - made.truth)
    covered = float((ahead <= mesh.ahead + 1).mean())
    return float(np.nanpercentile(wrong, 95)), covered
