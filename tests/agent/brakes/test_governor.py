# SPDX-License-Identifier: Apache-2.0
"""The governor against made-up hosts whose costs are known: it finds the share that fits, and keeps it."""

import copy
import itertools
import random
from collections.abc import Callable
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.brakes.governor import FLOOR, HOLD, Governor, LetGo, Limits, Reading, rates_of
from schemas.batch import FULL_RATE

BASE, HOOK, KEPT = 0.008, 0.15e-6, 1.2e-6
"""Cores of an agent with nothing to do; seconds of CPU for an event seen, and for one kept."""
CPU = Limits(cpu=0.02)


class Host(NamedTuple):
    """What happens on a host: events a second, and how much the readings jitter."""

    load: Callable[[int], float]
    noise: float = 0.0
    hook: float = HOOK
    lumps: int = 0
    """0: events are of endless many connections; else of so many, each kept or left out as a whole."""


class Told(NamedTuple):
    """One second of a simulation."""

    share: float
    cpu: float
    kept: float


def simulate(host: Host, limits: Limits, seconds: int) -> list[Told]:
    """Run a host under a governor; what it decides holds from the next second on."""
    dice, governor = random.Random(4), Governor(limits)  # noqa: S311 - jitter, not secrets
    now, told = Reading(0.0, 0.0, 0, 0, 0), []
    governor.step(now)
    for second in range(1, seconds + 1):
        share = governor.share.share
        events = host.load(second) * (1 + host.noise * dice.uniform(-1, 1))
        kept = events * (round(share * host.lumps) / host.lumps if host.lumps else share)
        cpu = (BASE + events * host.hook + kept * KEPT) * (1 + host.noise * dice.uniform(-1, 1))
        totals = (cpu, round(events), round(kept), round(6 * kept))
        now = Reading(float(second), *(a + b for a, b in zip(now[1:], totals, strict=True)))
        answer = governor.step(now)
        assert answer is not LetGo.DETACH
        told.append(Told(share, cpu, kept))
    return told


def changes(told: list[Told]) -> int:
    return sum(one.share != other.share for one, other in itertools.pairwise(told))


FITS = 8_500
"""Events a second that just fit 2 % of a core."""


@pytest.mark.parametrize(
    ("times", "hook"), [(0.9, HOOK), (2, HOOK), (5, HOOK), (7, HOOK), (10, 0.0), (100, 0.0), (1000, 0.0)]
)
def test_cpu_comes_under_its_limit_for_any_load_and_stays(times, hook):
    """Ten times what fits is more than the hooks alone may cost; there events left out cost nothing."""
    told = simulate(Host(lambda _: times * FITS, noise=0.1, hook=hook), CPU, 600)
    settled = told[60:]
    assert 0.7 * CPU.cpu <= sum(one.cpu for one in settled) / len(settled) <= CPU.cpu
    assert changes(settled) <= 4
    if times < 1:
        assert {one.share for one in told} == {1.0}


@pytest.mark.parametrize("times", [1.3, 2, 10, 100, 1000])
def test_kept_events_come_under_their_limit_within_half_a_minute(times):
    told = simulate(Host(lambda _: 500 * times, noise=0.15), Limits(events=500), 300)
    settled = told[30:]
    assert 0.6 * 500 <= sum(one.kept for one in settled) / len(settled) <= 500
    assert changes(settled) <= 4


@pytest.mark.parametrize("limits", [CPU, Limits(events=500), Limits(0.02, 500)])
def test_all_is_kept_again_within_a_minute_once_the_load_goes(limits):
    told = simulate(Host(lambda second: 7 * FITS if second < 120 else 100), limits, 180)
    assert told[119].share < 0.2
    assert told[-1].share == 1.0
    shares = [one.share for one in told[120:]]
    assert shares == sorted(shares)


@pytest.mark.parametrize("lumps", [1, 2, 3, 7])
def test_few_connections_that_are_kept_or_not_do_not_make_it_flap(lumps):
    """No share fits: it tries a greater one once a minute at most."""
    told = simulate(Host(lambda _: 5000, lumps=lumps), Limits(events=500), 600)
    trials = sum(b.share > a.share for a, b in itertools.pairwise(told))
    assert trials <= 2 * 600 / HOLD
    assert sum(one.kept > 500 for one in told[60:]) <= 0.15 * 540


@pytest.mark.parametrize("length", [1, 2])
def test_a_short_burst_thins_nothing(length):
    """The whole core for as long, once a quarter of a minute at most."""
    told = simulate(Host(lambda second: 700_000 if second % 15 < length else 500), CPU, 200)
    assert {one.share for one in told} == {1.0}


def test_a_burst_that_lasts_is_thinned():
    told = simulate(Host(lambda second: 700_000 if 50 <= second < 60 else 500), CPU, 70)
    assert min(one.share for one in told) < 0.1


def test_without_limits_nothing_is_ever_thinned():
    assert {one.share for one in simulate(Host(lambda _: 10**6), Limits(), 100)} == {1.0}


def hopeless(governor: Governor, readings: int) -> list[object]:
    cpu = (Reading(float(n), 0.05 * n, 10 * n, n, n) for n in range(readings))
    return [governor.step(reading) for reading in cpu]


def test_it_lets_go_where_nothing_is_kept_and_the_cost_stays():
    """The agent costs 5 % of a core whatever it keeps; the limit is 2."""
    answers = hopeless(Governor(CPU), 120)
    assert LetGo.DETACH in answers
    first = answers.index(LetGo.DETACH)
    assert first > 40
    assert answers[first - 1].share == FLOOR


def test_it_begins_again_where_it_was_told_to():
    governor = Governor(CPU)
    hopeless(governor, 120)
    governor.attach(FLOOR)
    assert governor.share.share == FLOOR
    assert LetGo.DETACH not in hopeless(governor, 25)


def test_a_spent_day_keeps_nothing_and_the_next_one_something():
    governor = Governor(Limits())
    assert governor.step(Reading(0.0, 0, 0, 0, 0), 10.0).share == 1.0
    assert governor.step(Reading(1.0, 0, 9, 9, 99), 0.0).rates == (0, 0)
    assert governor.step(Reading(2.0, 0, 9, 9, 99), 0.0).why.startswith("max-bytes-per-day")
    governor.step(Reading(3.0, 0, 9, 9, 99), 50.0)
    assert governor.step(Reading(4.0, 0, 9, 9, 99), 50.0).share == FLOOR
    shares = [governor.step(Reading(float(n), 0, 9, 9, 99), 50.0).share for n in range(5, 70)]
    assert shares[-1] == 1.0


@pytest.mark.parametrize("share", [1.0, 0.89, 0.5, 0.1, 0.01, FLOOR])
def test_both_rates_together_keep_the_share(share):
    connections, blocks = rates_of(share)
    assert connections == blocks
    missing = (1 - connections / FULL_RATE) * (1 - blocks / FULL_RATE)
    assert 1 - missing == pytest.approx(share, rel=0.1)


@given(st.floats(0, 1), st.floats(0, 1))
def test_rates_are_in_range_and_grow_with_the_share(one, other):
    low, high = sorted((one, other))
    assert (0, 0) <= rates_of(low) <= rates_of(high) <= (FULL_RATE, FULL_RATE)
    assert (FULL_RATE in rates_of(low)) == (low == 1)


SECONDS = st.tuples(st.floats(0, 1.5), st.integers(0, 10**6), st.floats(0, 1), st.integers(0, 10**7))


@given(
    st.lists(SECONDS, max_size=60),
    st.one_of(st.none(), st.floats(0, 10**6)),
    st.builds(Limits, st.sampled_from([0.0, 0.001, 0.02]), st.sampled_from([0.0, 1.0, 500.0])),
)
def test_whatever_is_read_the_share_stays_within_its_bounds(seconds, allowed, limits):
    governor, now = Governor(limits), Reading(0.0, 0.0, 0, 0, 0)
    for cpu, attempts, share, size in seconds:
        moved = (1.0, cpu, attempts, int(attempts * share), size)
        now = Reading(*(a + b for a, b in zip(now, moved, strict=True)))
        governor.step(now, allowed)
        found = governor.share
        assert found.share == 0 or FLOOR <= found.share <= 1
        assert all(0 <= rate <= FULL_RATE for rate in found.rates)
        assert bool(found.why) == (found.share < 1)


@given(
    st.lists(st.integers(0, 30_000), min_size=12, max_size=40),
    st.integers(0, 30_000),
    st.floats(1, 1000),
    st.sampled_from([CPU, Limits(events=500), Limits(0.02, 500)]),
)
def test_a_greater_load_never_gives_a_greater_share(loads, last, times, limits):
    """Two hosts with one history; in the last second one of them has more to do."""
    governor, now = Governor(limits), Reading(0.0, 0.0, 0, 0, 0)
    governor.step(now)
    for load in loads:
        now = after(now, load, governor)
        governor.step(now)
    more = copy.deepcopy(governor)
    governor.step(after(now, last, governor))
    more.step(after(now, last * times, more))
    assert more.share.share <= governor.share.share


def after(now: Reading, load: float, governor: Governor) -> Reading:
    """Return the totals a second later."""
    kept = load * governor.share.share
    moved = (1.0, BASE + load * HOOK + kept * KEPT, round(load), round(kept), 0)
    return Reading(*(a + b for a, b in zip(now, moved, strict=True)))
