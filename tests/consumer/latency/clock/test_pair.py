# SPDX-License-Identifier: Apache-2.0
"""Bounds of two clocks cover the truth, whatever the clocks do; and the likeliest value is near it."""

import numpy as np
import pytest

from consumer.latency.clock import pair as bounding
from consumer.latency.clock.lasting import lasting
from consumer.latency.clock.line import Points, fit
from consumer.latency.clock.pair import Pair, solve, tightest
from consumer.latency.clock.pieces import Piece
from support.clocks import MICRO, SECOND, Path, Talk, slewing, stepping, straight, wandering

ASKED = np.linspace(0, 60 * SECOND, 121)
A = straight(0, 0)
SEEDS = range(12)


def crystal(rng):
    return straight(rng.uniform(-10, 10) * SECOND, rng.uniform(-50e-6, 50e-6))


CLOCKS = {
    "straight": crystal,
    "wander": lambda rng: wandering(
        rng.uniform(-10, 10) * SECOND, rng.uniform(-50e-6, 50e-6), rng.uniform(0, 0.15e-6), 60 * SECOND
    ),
    "step": lambda rng: stepping(
        crystal(rng), rng.uniform(5, 55) * SECOND, rng.choice([-1, 1]) * 10 ** rng.uniform(3, 9)
    ),
    "slew": lambda rng: slewing(
        crystal(rng),
        20 * SECOND,
        rng.uniform(25, 50) * SECOND,
        rng.choice([-1, 1]) * 10 ** rng.uniform(-6, -3.4),
    ),
}
PATHS = {
    "alike": (Path(), Path()),
    "near": (Path(floor=3 * MICRO), Path(floor=3 * MICRO)),
    "unlike": (Path(floor=20 * MICRO), Path(floor=400 * MICRO, jitter=50 * MICRO)),
    "heavy": (Path(heavy=True), Path(heavy=True)),
}


def run(clock, path, messages, seed):
    """Return the solution and the truth at the times asked for (on A's clock, which is true here)."""
    rng = np.random.default_rng(seed)
    b = CLOCKS[clock](rng)
    pair = solve(*Talk(rng, *PATHS[path]).between(A, b, messages))
    return pair, b(ASKED) - ASKED


def covered(bounds, truth):
    return (bounds.low <= truth) & (truth <= bounds.high)


@pytest.mark.parametrize("messages", [20, 100, 1000])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("clock", CLOCKS)
def test_bounds_cover_the_truth(clock, path, messages):
    inside = []
    for seed in SEEDS:
        pair, truth = run(clock, path, messages, seed)
        inside.append(covered(pair.bounds(ASKED), truth).mean())
    assert np.mean(inside) >= 0.999


def everywhere(points, distance):
    """Take the tightest of all messages for all times, as if nothing bent within a piece."""
    return lasting(points, np.full_like(distance, distance.min()))


def test_one_line_for_a_step_does_not_cover(monkeypatch):
    """The control: without cuts, and taken to be straight, the same bounds miss the truth."""
    monkeypatch.setattr(bounding, "lasting", everywhere)
    inside = []
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        b = stepping(straight(0, 20e-6), 30 * SECOND, 50 * MICRO)
        above, below = Talk(rng).between(A, b, 3000)
        above, below = tightest(above, 0, 1), tightest(below, 0, -1)
        whole = Pair([Piece(0, 60 * SECOND, fit(above, below), above, below, 0.0)])
        inside.append(covered(whole.bounds(ASKED), b(ASKED) - ASKED).mean())
    assert np.mean(inside) < 0.9


def test_error_of_a_hundred_messages_either_way():
    """60 s, 10 us of jitter: half of all errors below 1.5 us, 95 % below 5; least squares do far worse."""
    errors, squares = [], []
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        b = crystal(rng)
        above, below = Talk(rng).between(A, b, 100)
        truth = b(ASKED) - ASKED
        errors.append(np.abs(solve(above, below).bounds(ASKED).at - truth))
        both = np.polynomial.Polynomial.fit(
            np.concatenate((above.time, below.time)), np.concatenate((above.value, below.value)), 1
        )
        squares.append(np.abs(both(ASKED) - truth))
    assert np.percentile(errors, 50) < 1.5 * MICRO
    assert np.percentile(errors, 95) < 5 * MICRO
    assert np.percentile(squares, 50) > 3 * np.percentile(errors, 50)


def test_few_windows_without_a_step_are_cut():
    cut = sum(
        len(solve(*Talk(np.random.default_rng(seed)).between(A, straight(0, 20e-6), 300)).pieces) != 1
        for seed in range(300)
    )
    assert cut <= 1


@pytest.mark.parametrize("jump", [20 * MICRO, -50 * MICRO, 3 * SECOND, -10 * SECOND])
def test_a_step_is_told(jump):
    """Less than the round trip (60 us), and more: when, by how much, and that it was a step."""
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        b = stepping(crystal(rng), 33 * SECOND, jump)
        (change,) = solve(*Talk(rng).between(A, b, 1000)).changes
        assert change.step
        assert change.jump == pytest.approx(jump, abs=5 * MICRO)
        assert change.after - SECOND <= 33 * SECOND <= change.before + SECOND


def test_a_slew_is_told_as_a_change_of_rate():
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        b = slewing(crystal(rng), 30 * SECOND, 90 * SECOND, 100e-6)
        changes = solve(*Talk(rng).between(A, b, 1000)).changes
        assert sum(change.rate for change in changes) == pytest.approx(100e-6, abs=1e-6)
        assert not any(change.step and abs(change.jump) > 200 * MICRO for change in changes)


@pytest.mark.parametrize("silent", [0, 1])
def test_one_way_traffic_bounds_nothing(silent):
    both = list(Talk(np.random.default_rng(1)).between(A, straight(5, 0), 100))
    both[silent] = Points(np.empty(0), np.empty(0))
    bounds = solve(*both).bounds(ASKED)
    assert np.isneginf(bounds.low).all()
    assert np.isposinf(bounds.high).all()
    assert np.isnan(bounds.at).all()


def test_the_slope_of_before_keeps_the_tightest_of_each_stretch():
    """At 50 ppm a clock gains 12.5 us in 250 ms: without the slope an early loose message would win."""
    time = np.array([0.0, 200e6])
    points = Points(time, 50e-6 * time + [6 * MICRO, 0.0])
    assert tightest(points, 50e-6, 1.0).time.tolist() == [200e6]
    assert tightest(points, 0.0, 1.0).time.tolist() == [0.0]
