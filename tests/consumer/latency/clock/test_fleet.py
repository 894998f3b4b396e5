# SPDX-License-Identifier: Apache-2.0
"""Many clocks agree, better than along any one chain of pairs; and no bound misses the truth."""

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_tree

from consumer.latency.clock.fleet import solve_fleet
from consumer.latency.clock.mesh import Edges, agree
from consumer.latency.clock.pair import solve
from support.clocks import MICRO, SECOND, Path, Talk, stepping, straight, wandering

ASKED = np.linspace(0, 60 * SECOND, 31)


class World:
    """Hosts whose clocks are up to 10 s and 50 ppm apart; host 0 shows the true time."""

    def __init__(self, seed, hosts, pairs, messages=100, paths=None, clocks=None):
        self.rng = rng = np.random.default_rng(seed)
        self.clocks = [straight(0, 0)]
        for _ in range(hosts - 1):
            offset, slope = rng.uniform(-10, 10) * SECOND, rng.uniform(-50e-6, 50e-6)
            self.clocks.append(wandering(offset, slope, 0.05e-6, 60 * SECOND))
        for host, change in (clocks or {}).items():
            self.clocks[host] = change(self.clocks[host])
        paths = paths or Path
        self.pairs = {
            (a, b): solve(*Talk(rng, paths(), paths()).between(self.clocks[a], self.clocks[b], messages))
            for a, b in pairs
        }
        self.mesh = solve_fleet(hosts, self.pairs, ASKED)
        self.truth = np.array([clock(ASKED) - ASKED for clock in self.clocks])

    def between(self, mesh):
        """Return the 95th percentile of the errors of the difference of any two clocks, ns."""
        wrong = mesh.offset - self.truth
        return np.percentile(np.abs(wrong[None] - wrong[:, None]), 95)

    @property
    def covered(self):
        ahead = self.truth[None] - self.truth[:, None]
        return (ahead <= self.mesh.ahead + 1e-3).mean()


def meshed(seed, hosts, degree):
    """A ring, so that all are joined, and random pairs."""
    rng = np.random.default_rng(seed)
    pairs = {(i, i + 1) for i in range(hosts - 1)}
    while len(pairs) < min(degree, hosts - 1) * hosts // 2:
        a, b = sorted(rng.choice(hosts, 2, replace=False).tolist())
        pairs.add((a, b))
    return sorted(pairs)


def test_a_mesh_is_right_within_microseconds_and_better_than_a_tree():
    """30 hosts with 8 peers each; the control takes only the pairs of a tree."""
    pairs = meshed(1, 30, 8)
    unlike = np.random.default_rng(1)
    world = World(1, 30, pairs, paths=lambda: Path(floor=unlike.uniform(28, 32) * MICRO))
    tree = breadth_first_tree(
        coo_array((np.ones(len(pairs)), tuple(np.array(pairs).T)), shape=(30, 30)).tocsr(), 0, directed=False
    ).tocoo()
    kept = {tuple(sorted(one)) for one in zip(tree.row.tolist(), tree.col.tolist(), strict=True)}
    alone = solve_fleet(30, {who: pair for who, pair in world.pairs.items() if who in kept}, ASKED)
    assert world.between(world.mesh) < 5 * MICRO
    assert world.between(world.mesh) <= world.between(alone) / 2
    assert world.covered == 1
    assert not world.mesh.contradicted.any()


@pytest.mark.parametrize("seed", range(12))
def test_bounds_cover_the_truth_in_small_fleets(seed):
    rng = np.random.default_rng(seed)
    unlike = lambda: Path(floor=rng.uniform(5, 500) * MICRO, jitter=rng.uniform(1, 50) * MICRO)  # noqa: E731
    hosts = int(rng.integers(3, 9))
    step = lambda clock: stepping(clock, 31 * SECOND, rng.uniform(0, 1) * SECOND)  # noqa: E731
    world = World(seed, hosts, meshed(seed, hosts, 3), paths=unlike, clocks={1: step})
    assert world.covered == 1


def test_bounds_of_the_mesh_are_no_wider_than_those_of_a_pair():
    world = World(3, 6, meshed(3, 6, 5))
    for (a, b), pair in world.pairs.items():
        own = pair.bounds(ASKED + world.mesh.offset[a])
        width = world.mesh.ahead[a, b] + world.mesh.ahead[b, a]
        assert (width <= own.high - own.low + 1).all()


def test_hosts_that_nobody_talks_with_are_left_out():
    world = World(4, 5, [(0, 1), (2, 3)])
    assert world.mesh.group.tolist() == [0, 0, 1, 1, 2]
    assert np.isnan(world.mesh.offset[4]).all()
    assert np.isinf(world.mesh.ahead[0, 2]).all()
    assert np.isinf(world.mesh.ahead[4, 0]).all()
    # the second group is told against its own first host
    assert (world.mesh.offset[2] == 0).all()


def test_what_contradicts_itself_is_said():
    """Round a ring of three the bounds come back below zero: one of them is false."""
    low, high = np.full((3, 1), 90.0), np.full((3, 1), 110.0)
    ring = Edges(np.array([0, 1, 2]), np.array([1, 2, 0]), low, low + 10, high, np.ones(3))
    mesh = agree(3, ring)
    assert mesh.contradicted.all()
    assert mesh.ahead[0, 1, 0] == 110  # that of the pair alone
    high[2], low[2] = -190.0, -210.0
    assert not agree(3, ring._replace(at=(low + high) / 2)).contradicted.any()


def test_no_pairs_at_all():
    mesh = solve_fleet(2, {}, ASKED)
    assert np.isnan(mesh.offset).all()
    assert mesh.group.tolist() == [0, 1]
