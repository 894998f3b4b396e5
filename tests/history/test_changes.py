# SPDX-License-Identifier: Apache-2.0
"""A change that was planted is found at its minute; where there is none, none is found."""

import numpy as np
import pytest
from numpy.typing import NDArray

from history.changes import FEWEST, LEAST, change, change_of_counts

F64 = NDArray[np.float64]
LEVEL = 11.0
"""Of a logarithm: 60 us."""


def level(seed: int, minutes: int, noise: str, spread: float) -> F64:
    """Logarithms of a series that stays where it is."""
    random = np.random.default_rng(seed)
    if noise == "heavy":
        return spread * random.standard_t(3, minutes)
    found = random.normal(0, spread, minutes)
    if noise == "spikes":
        found[random.random(minutes) < 0.05] += random.exponential(1.5)
    if noise == "slow":
        for at in range(1, minutes):
            found[at] += 0.4 * found[at - 1]
    return found


@pytest.mark.parametrize("noise", ["normal", "heavy", "spikes", "slow"])
@pytest.mark.parametrize(("minutes", "spread"), [(30, 0.1), (120, 0.05), (120, 0.3), (360, 0.1)])
def test_a_series_that_does_not_change_has_no_change(minutes: int, spread: float, noise: str) -> None:
    """In at least 95 of 100."""
    found = [change(np.exp(LEVEL + level(seed, minutes, noise, spread))) for seed in range(100)]
    assert sum(one is not None for one in found) <= 5


@pytest.mark.parametrize("noise", ["normal", "heavy", "spikes", "slow"])
@pytest.mark.parametrize("factor", [1.5, 3.0, 0.5])
def test_a_change_is_found_at_its_minute(factor: float, noise: str) -> None:
    """Within a minute, in at least 90 of 100, with the levels before and after."""
    right = 0
    for seed in range(100):
        at = int(np.random.default_rng(1_000 + seed).integers(10, 110))
        logs = LEVEL + level(seed, 120, noise, 0.08)
        logs[at:] += np.log(factor)
        found = change(np.exp(logs))
        right += found is not None and abs(found.at - at) <= 1 and abs(found.ratio / factor - 1) < 0.2
    assert right >= 90


def test_a_change_three_minutes_ago_is_found() -> None:
    """As soon as there are enough minutes for a level; a single minute is none."""
    logs = LEVEL + level(1, 120, "normal", 0.05)
    late, once = logs.copy(), logs.copy()
    late[-LEAST:] += 1
    once[60] += 3
    found = change(np.exp(late))
    assert found is not None
    assert found.at == 120 - LEAST
    assert change(np.exp(once)) is None


def test_minutes_without_a_value_are_left_out() -> None:
    """The minute is that of the series with its holes; with too few of them nothing is said."""
    logs = LEVEL + level(2, 120, "normal", 0.05)
    logs[70:] += 1
    logs[::3] = np.nan
    found = change(np.exp(logs))
    assert found is not None
    assert found.at in {70, 71}
    assert change(np.exp(logs[66:76])) is None
    assert change(np.full(FEWEST, np.nan)) is None
    assert change(np.zeros(0)) is None


def test_what_nobody_would_care_for_is_no_change() -> None:
    """A tenth more, however sure."""
    logs = LEVEL + level(3, 200, "normal", 0.001)
    logs[100:] += 0.1
    assert change(np.exp(logs)) is None
    logs[100:] += 0.1
    assert change(np.exp(logs)) is not None


@pytest.mark.parametrize("rate", [0.05, 0.5, 4, 60])
def test_counts_that_differ_by_chance_do_not_change(rate: float) -> None:
    """Rare things mostly do not happen, which is no level; ten times as many of them are one."""
    series = [np.random.default_rng(seed).poisson(rate, 120).astype(np.float64) for seed in range(100)]
    assert sum(change_of_counts(one) is not None for one in series) <= 5
    found = []
    for seed, one in enumerate(series):
        one[80:] += np.random.default_rng(500 + seed).poisson(20 + 9 * rate, 40)
        found.append(change_of_counts(one))
    assert sum(one is not None and abs(one.at - 80) <= 1 for one in found) >= 95
