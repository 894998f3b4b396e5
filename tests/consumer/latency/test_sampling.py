# SPDX-License-Identifier: Apache-2.0
"""The chance of being kept is the share of all pairs of hashes by which it is."""

import itertools

import numpy as np
import pytest

from consumer.latency.sampling import EVERYTHING, Rates, both_ends, one_end, told, whole_connection
from schemas.batch import FULL_RATE

SHARES = (0, 1, 700, 20_000, 65_535, FULL_RATE)
RATES = [Rates(*both) for both in itertools.product(SHARES, SHARES)]


def kept(rates: Rates, h1: np.ndarray, h2: np.ndarray) -> np.ndarray:
    """The rule of the kernel program, with hashes that stand for all between two thresholds."""
    if FULL_RATE in rates:
        return np.ones((h1.size, h2.size), dtype=bool)
    return (h1[:, None] < rates.connection) | (h2[None, :] < rates.block)


def share(*ends: Rates) -> float:
    """Of all pairs of hashes, those by which all ends keep an event."""
    begins = np.array(SHARES)
    widths = np.diff(begins)
    both = np.logical_and.reduce([kept(end, begins[:-1], begins[:-1]) for end in ends])
    return float((both * widths[:, None] * widths[None, :]).sum() / FULL_RATE**2)


@pytest.mark.parametrize("one", RATES)
def test_a_message_is_kept_by_the_hashes_that_keep_it_at_both_ends(one: Rates) -> None:
    """Whatever the rates of either end, in either order; not the product of what each keeps alone."""
    assert one_end(one) == pytest.approx(share(one), abs=1e-12)
    for other in RATES:
        assert both_ends(one, other) == pytest.approx(share(one, other), abs=1e-12)
        assert both_ends(one, other) == both_ends(other, one)
    independent = one_end(Rates(700, 700)) ** 2
    assert both_ends(Rates(700, 700), Rates(700, 700)) > 10 * independent


def test_of_equal_rates_of_connections_and_blocks_the_lower_ones_decide() -> None:
    """As the agents' limits set them: then the chance is 1 - (1 - r)^2 of the lower rate."""
    found = both_ends(Rates(6_554, 6_554), Rates(655, 655))
    assert found == pytest.approx(1 - (1 - 655 / FULL_RATE) ** 2)


def test_turns_are_kept_by_whole_connections() -> None:
    """The lowest rate of connections of the ends they need; a host that keeps everything has none."""
    assert whole_connection() == whole_connection(EVERYTHING, Rates(5, FULL_RATE)) == 1
    assert whole_connection(Rates(FULL_RATE // 4, 9), Rates(FULL_RATE // 2, 0)) == 0.25
    assert (told(1.0), told(0.25)) == (None, 0.25)
