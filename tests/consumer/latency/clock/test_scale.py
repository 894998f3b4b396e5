# SPDX-License-Identifier: Apache-2.0
"""A slewed clock read once a second gives the crystal's time again."""

import numpy as np
import pytest

from consumer.latency.clock.scale import Readings, to_raw

SECOND = 10**9


def slewed(raw):
    """CLOCK_MONOTONIC of a host that slews by 500 ppm from 10 s to 20 s of its crystal's time."""
    return raw + ((np.clip(raw, 10 * SECOND, 20 * SECOND) - 10 * SECOND) * 500) // 10**6


def test_readings_each_second_take_a_slew_out():
    raw = np.arange(0, 60 * SECOND, SECOND, dtype=np.int64) + 123
    readings = Readings(slewed(raw), raw - slewed(raw))
    asked = np.random.default_rng(1).integers(-SECOND, 61 * SECOND, 10_000)
    wrong = np.abs(to_raw(slewed(asked), readings) - asked)
    assert (
        wrong.max() <= 1 + 500e-6 * SECOND / 4
    )  # a bend between two readings costs a quarter of a second's slew
    assert np.median(wrong) <= 1
    assert np.abs(slewed(asked) - asked).max() == pytest.approx(5_000_000)  # the control


def test_one_reading_is_an_offset():
    readings = Readings(np.array([5 * SECOND]), np.array([-77]))
    assert to_raw(np.array([0, 9 * SECOND]), readings).tolist() == [-77, 9 * SECOND - 77]


def test_days_of_uptime_lose_no_nanosecond():
    at = 400 * 86_400 * SECOND
    readings = Readings(np.array([at, at + SECOND]), np.array([-(10**12), -(10**12) - 20_000]))
    assert to_raw(np.array([at, at + SECOND // 2, at + SECOND]), readings).tolist() == [
        at - 10**12,
        at + SECOND // 2 - 10**12 - 10_000,
        at + SECOND - 10**12 - 20_000,
    ]
