# SPDX-License-Identifier: Apache-2.0
"""Clocks that nobody reads and NTP slews as it likes: bounds hold though one line fits all messages."""

import numpy as np
import pytest

from consumer.latency.clock import pair as bounding
from consumer.latency.clock import pieces as cutting
from consumer.latency.clock.lasting import lasting
from consumer.latency.clock.line import Points
from consumer.latency.clock.pair import solve
from support.clocks import MICRO, SECOND, Path, Talk, decaying, slewing, straight, wandering

ASKED = np.linspace(0, 60 * SECOND, 121)
A = straight(0, 0)
SEEDS = range(12)


def crystal(rng):
    return wandering(
        rng.uniform(-10, 10) * SECOND, rng.uniform(-50e-6, 50e-6), rng.uniform(0, 0.15e-6), 60 * SECOND
    )


def fastest(rng, clock):
    """As fast as the kernel slews, from any time for any time."""
    begin = rng.uniform(-20, 60)
    return slewing(clock, begin * SECOND, (begin + 10 ** rng.uniform(-0.5, 1.7)) * SECOND, 500e-6)


def within(rng, clock):
    """One that begins and ends within the window."""
    begin, end = np.sort(rng.uniform(0, 60, 2)) * SECOND
    return slewing(clock, begin, end, rng.choice([-1, 1]) * 10 ** rng.uniform(-6, -3.3))


def back(rng, clock):
    """There, and some time later back again."""
    begin, last = rng.uniform(-20, 40) * SECOND, 10 ** rng.uniform(-0.5, 1) * SECOND
    again = begin + last + rng.uniform(8, 20) * SECOND
    rate = rng.choice([-1, 1]) * 10 ** rng.uniform(-5, -3.3)
    return slewing(slewing(clock, begin, begin + last, rate), again, again + last, -rate)


def paced(rng, clock):
    """Another rate every so often, as chrony sets it."""
    time = -60.0
    while time < 120:
        begin, time = time, time + rng.choice([16, 32, 64]) * rng.uniform(0.9, 1.1)
        clock = slewing(clock, begin * SECOND, time * SECOND, rng.normal(0, 3e-6))
        end = begin + rng.uniform(3, time - begin)
        clock = slewing(clock, begin * SECOND, end * SECOND, rng.choice([-1, 1]) * 10 ** rng.uniform(-6, -4))
    return clock


def locked(rng, clock):
    """As the kernel's phase-locked loop takes an offset away."""
    second = 2.0 ** -rng.integers(3, 9)
    offset = min(10 ** rng.uniform(4, 7), 500 * MICRO / second)
    return decaying(clock, rng.uniform(-50, 55) * SECOND, rng.choice([-1, 1]) * offset, second)


BENDS = {one.__name__: one for one in (fastest, within, back, paced, locked)}
WAYS = {
    "slow": lambda rng: Path(floor=10 ** rng.uniform(5, 6), jitter=10 ** rng.uniform(3, 5)),
    "heavy": lambda rng: Path(floor=10 ** rng.uniform(4, 6), jitter=10 ** rng.uniform(4, 5), tail=1.1),
}


def world(bend, way, seed):
    """Return upper and lower bounds and the truth; one direction has a third of the messages."""
    rng = np.random.default_rng(seed)
    b = BENDS[bend](rng, crystal(rng))
    messages = round(10 ** rng.uniform(1.5, 2.7))
    above, below = Talk(rng, WAYS[way](rng), WAYS[way](rng)).between(A, b, messages)
    some = rng.random(above.time.size) < 1 / 3
    return Points(above.time[some], above.value[some]), below, b(ASKED) - ASKED


def covered(bend, way):
    inside, known = [], []
    for seed in SEEDS:
        above, below, truth = world(bend, way, seed)
        bounds = solve(above, below).bounds(ASKED)
        inside.append((bounds.low <= truth) & (truth <= bounds.high))
        known.append(np.isfinite(bounds.high))
    return np.mean(inside), np.mean(known)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("bend", BENDS)
def test_bounds_hold_however_a_clock_bends(bend, way):
    inside, known = covered(bend, way)
    assert inside >= 0.999
    assert known > 0.8, "no bound at all is honest, and of no use"


def test_one_line_for_all_of_a_piece_does_not_cover(monkeypatch):
    """The control: the tightest message speaks for a piece, which only two lines may be better than."""
    monkeypatch.setattr(
        bounding, "lasting", lambda points, far: lasting(points, np.full_like(far, far.min()))
    )
    monkeypatch.setattr(cutting, "_uneven", lambda _: False)
    assert min(covered(bend, way)[0] for bend in BENDS for way in WAYS) < 0.97


def test_bounds_are_no_wider_for_it_where_nothing_bends():
    """Half the round trip is what no method gets below; of slow ways with 30 to 500 messages a minute."""
    ratios = []
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        floor, b = 10 ** rng.uniform(4, 6), crystal(rng)
        ways = (Path(floor=floor, jitter=floor * 10 ** rng.uniform(-1.3, 0)) for _ in range(2))
        bounds = solve(*Talk(rng, *ways).between(A, b, round(10 ** rng.uniform(1.5, 2.7)))).bounds(ASKED)
        ratios.append(np.median(bounds.high - bounds.low) / 2 / floor)
    assert np.median(ratios) < 1.5


def test_a_run_is_as_long_as_a_change_lasts():
    """Three messages, or as many as are within three seconds; the loosest run around a time is what holds."""
    time = np.array([0.0, 1, 2, 3, 4, 20, 40, 60]) * SECOND
    distance = np.array([9.0, 8, 7, 6, 5, 4, 3, 2]) * MICRO
    held = lasting(Points(time, distance), distance)
    asked = np.array([-1.0, 0.5, 2.5, 10, 39, 50, 61]) * SECOND
    assert (held.over(asked, asked, (0.0, 0.0)) / MICRO).tolist() == [9, 9, 7, 5, 4, 3, 2]
    stretches = held.over(asked[:-1], asked[1:], (0.0, 0.0)) / MICRO
    assert stretches.tolist() == [9, 9, 7, 5, 4, 3]
