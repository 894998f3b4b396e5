# SPDX-License-Identifier: Apache-2.0
"""Many clocks agree, better than along any one chain of pairs; and no bound misses the truth."""

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_tree

from consumer.latency.clock.fleet import solve_fleet
from consumer.latency.clock.pair import Bounds, solve
from support.clocks import MICRO, SECOND, Path, Talk, stepping, straight, wandering

EDGES = np.linspace(0, 60 * SECOND, 31)
TRUE = np.linspace(1 * SECOND, 59 * SECOND, 301)
"""When answers are held against the truth: within the stretches and at their ends."""


class World:
    """Hosts whose clocks are up to 1 s and 50 ppm apart; host 0 shows the true time."""

    def __init__(self, seed, hosts, pairs, messages=100, paths=None, clocks=None):
        self.rng = rng = np.random.default_rng(seed)
        self.clocks = [straight(0, 0)]
        for _ in range(hosts - 1):
            offset, slope = rng.uniform(-1, 1) * SECOND, rng.uniform(-50e-6, 50e-6)
            self.clocks.append(wandering(offset, slope, 0.05e-6, 60 * SECOND))
        for host, change in (clocks or {}).items():
            self.clocks[host] = change(self.clocks[host])
        paths = paths or Path
        self.pairs = {
            (a, b): solve(*Talk(rng, paths(), paths()).between(self.clocks[a], self.clocks[b], messages))
            for a, b in pairs
        }
        self.fleet = solve_fleet(hosts, self.pairs, EDGES)

    def said(self, fleet, a, b):
        """Return how wrong the difference of two clocks is at TRUE, and its bounds; nan = unknown."""
        one, other = self.clocks[a](TRUE), self.clocks[b](TRUE)
        axis = fleet.shown[a]
        stretch = np.searchsorted(axis, one, side="right") - 1
        known = (stretch >= 0) & (stretch < axis.size - 1)
        wrong = other - one - np.interp(one, axis, fleet.shown[b] - axis)
        stretch = np.where(known, stretch, 0)
        high, low = fleet.ahead[a, b, stretch], -fleet.ahead[b, a, stretch]
        return tuple(np.where(known, some, np.nan) for some in (wrong, low, high))

    def every(self, fleet):
        hosts = range(len(self.clocks))
        return [self.said(fleet, a, b) for a in hosts for b in hosts if a != b]

    def error(self, fleet):
        """Return the 95th percentile of the errors of the difference of any two clocks, ns."""
        return np.nanpercentile([np.abs(wrong) for wrong, *_ in self.every(fleet)], 95)

    @property
    def covered(self):
        held = [
            ((low - 1 <= wrong) & (wrong <= high + 1))[~np.isnan(wrong)]
            for wrong, low, high in self.every(self.fleet)
        ]
        return np.concatenate(held).mean()


def meshed(seed, hosts, degree):
    """A ring, so that all are joined, and random pairs."""
    rng = np.random.default_rng(seed)
    pairs = {(i, i + 1) for i in range(hosts - 1)}
    while len(pairs) < min(degree, hosts - 1) * hosts // 2:
        a, b = sorted(rng.choice(hosts, 2, replace=False).tolist())
        pairs.add((a, b))
    return sorted(pairs)


def test_a_mesh_is_right_within_microseconds_and_better_than_a_tree():
    """30 hosts with 8 peers each, three times; the control takes only the pairs of a tree."""
    errors = []
    for seed in (1, 2, 3):
        pairs = meshed(seed, 30, 8)
        unlike = np.random.default_rng(seed)
        world = World(seed, 30, pairs, paths=lambda unlike=unlike: Path(floor=unlike.uniform(28, 32) * MICRO))
        joined = coo_array((np.ones(len(pairs)), tuple(np.array(pairs).T)), shape=(30, 30)).tocsr()
        tree = breadth_first_tree(joined, 0, directed=False).tocoo()
        kept = {tuple(sorted(one)) for one in zip(tree.row.tolist(), tree.col.tolist(), strict=True)}
        alone = solve_fleet(30, {who: pair for who, pair in world.pairs.items() if who in kept}, EDGES)
        errors.append((world.error(world.fleet), world.error(alone)))
        assert world.covered == 1
        assert not world.fleet.contradicted.any()
    mesh, chains = np.transpose(errors)
    assert mesh.max() < 5 * MICRO
    assert mesh.mean() <= chains.mean() / 2, "of one fleet a tree may be right by chance"


@pytest.mark.parametrize("seed", [*range(12), 88, 90])
def test_bounds_cover_the_truth_in_small_fleets(seed):
    """One clock steps. Of 88 and 90 it is that which the tree starts from, and peers disagree when."""
    rng = np.random.default_rng(seed)
    unlike = lambda: Path(floor=rng.uniform(5, 500) * MICRO, jitter=rng.uniform(1, 50) * MICRO)  # noqa: E731
    hosts = int(rng.integers(3, 9))
    step = lambda clock: stepping(clock, 31 * SECOND, rng.uniform(0, 1) * SECOND)  # noqa: E731
    world = World(seed, hosts, meshed(seed, hosts, 3), paths=unlike, clocks={1: step})
    assert world.covered == 1


@pytest.mark.parametrize("seed", range(6))
def test_bounds_hold_where_agreement_moves_a_clock_by_milliseconds(seed):
    """What a pair says of a time milliseconds beside is wrong by microseconds where one clock runs fast."""
    near = Path(floor=2 * MICRO, jitter=MICRO)
    paths = iter([Path(floor=16_000 * MICRO), near, *[near] * 8])
    fast = {3: lambda _: straight(0.3 * SECOND, 400e-6)}
    pairs = [(0, 1), (0, 2), (1, 2), (1, 3), (0, 4)]
    world = World(seed, 5, pairs, paths=lambda: next(paths), clocks=fast)
    assert world.covered == 1


def test_bounds_of_the_mesh_are_no_wider_than_those_of_a_pair():
    world = World(3, 6, meshed(3, 6, 5))
    fleet = world.fleet
    for (a, b), pair in world.pairs.items():
        own = pair.over(fleet.shown[a])
        widest = (own.high - own.low).max(axis=1)
        # the pair's line is not the mesh's: seen from it, a stretch's bound may take in the slope between
        assert (fleet.ahead[a, b] + fleet.ahead[b, a] <= widest + 2 * MICRO).all()


def test_hosts_that_nobody_talks_with_are_left_out():
    fleet = World(4, 5, [(0, 1), (2, 3)]).fleet
    assert fleet.group.tolist() == [0, 0, 1, 1, 2]
    assert np.isinf(fleet.ahead[0, 2]).all()
    assert np.isinf(fleet.ahead[4, 0]).all()
    assert np.isfinite(fleet.ahead[0, 1]).all()
    assert np.isfinite(fleet.ahead[2, 3]).all()
    assert not fleet.contradicted.any()


class Said:
    """What somebody says of two clocks: always the same."""

    noise = 1.0

    def __init__(self, low, high):
        self.low, self.high = low, high

    def value(self, time):
        return np.full(time.size, (self.low + self.high) / 2)

    def over(self, edges):
        shape = (edges.size - 1, 2)
        return Bounds(*(np.full(shape, one) for one in (self.low, (self.low + self.high) / 2, self.high)))


def test_what_contradicts_itself_is_said():
    """Round a ring of three the bounds come back below zero: one of them is false, and which is not known."""
    ring = {(0, 1): Said(90.0, 110.0), (1, 2): Said(90.0, 110.0), (2, 0): Said(90.0, 110.0)}
    other = {(3, 4): Said(0.0, 1.0)}
    fleet = solve_fleet(5, ring | other, EDGES)
    assert all(fleet.contradicted[a, b].all() for a, b in ring)
    assert not fleet.contradicted[3, 4].any()
    assert np.isfinite(fleet.ahead[3, 4]).all()
    assert not solve_fleet(5, ring | {(2, 0): Said(-210.0, -190.0)}, EDGES).contradicted.any()


@pytest.mark.parametrize("seed", range(6))
def test_one_host_that_contradicts_all_costs_the_others_nothing(seed):
    """Five that agree, and one that says another thing to each of them."""
    rng = np.random.default_rng(seed)
    true = rng.uniform(-1e6, 1e6, 5)
    pairs = {
        (a, b): Said(true[b] - true[a] - 30e3, true[b] - true[a] + 30e3) for b in range(5) for a in range(b)
    }
    places = rng.permutation(5) * 4e6 + rng.uniform(-1e6, 1e6, 5)
    lies = {(a, 5): Said(lie - 30e3, lie + 30e3) for a, lie in enumerate(places - true)}
    fleet = solve_fleet(6, pairs | lies, EDGES)
    for a, b in pairs:
        assert not fleet.contradicted[a, b].any()
        middle = (fleet.shown[b] - fleet.shown[a])[:-1]
        assert middle == pytest.approx(true[b] - true[a], abs=MICRO), (
            "it moves little what the others agree on"
        )
        assert (middle - fleet.ahead[b, a] - 1 <= true[b] - true[a]).all()
        assert (true[b] - true[a] <= middle + fleet.ahead[a, b] + 1).all()
    assert sum(fleet.contradicted[a, 5].all() for a in range(5)) >= 4
    assert not solve_fleet(5, pairs, EDGES).contradicted.any()


def test_what_others_say_is_left_out_where_it_contradicts_messages():
    pairs = {(0, 1): Said(90.0, 110.0)}
    agreeing = {(0, 2): Said(-50.0, 50.0), (1, 2): Said(-150.0, -50.0)}
    fleet = solve_fleet(3, pairs, EDGES, agreeing)
    assert np.isfinite(fleet.ahead[0, 2]).all()
    fleet = solve_fleet(3, pairs, EDGES, agreeing | {(1, 2): Said(-10.0, 10.0), (0, 2): Said(-10.0, 10.0)})
    assert not fleet.contradicted.any()
    assert np.isinf(fleet.ahead[0, 2]).all()
    assert fleet.ahead[0, 1] == pytest.approx(10)
    assert fleet.ahead[1, 0] == pytest.approx(10)


def test_no_pairs_at_all():
    fleet = solve_fleet(2, {}, EDGES)
    assert np.isinf(fleet.ahead[0, 1]).all()
    assert fleet.group.tolist() == [0, 1]
