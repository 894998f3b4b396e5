# SPDX-License-Identifier: Apache-2.0
"""The line with the most room is the one that a linear program finds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from consumer.latency.clock.line import STEEPEST, Points, fit, hull


def points(rng, size, value, sign):
    time = np.sort(rng.uniform(0, 60e9, size))
    return Points(time, value + 20e-6 * time + sign * rng.exponential(10e3, size))


def by_linear_program(above, below):
    """Greatest half room: maximise w with at + s t + w <= y above, at + s t - w >= y below."""
    scale = 1e9  # seconds, so that the solver's tolerances mean something
    rows = [[1, t / scale, 1] for t in above.time] + [[-1, -t / scale, 1] for t in below.time]
    limits = np.concatenate((above.value, -below.value))
    steep = STEEPEST * scale
    return linprog([0, 0, -1], A_ub=rows, b_ub=limits, bounds=[(None, None), (-steep, steep), (None, None)])


@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 60), st.floats(-2e4, 6e4))
def test_room_is_that_of_a_linear_program(seed, above_count, below_count, apart):
    rng = np.random.default_rng(seed)
    above, below = points(rng, above_count, 1e6 + apart, 1), points(rng, below_count, 1e6, -1)
    line, best = fit(above, below), by_linear_program(above, below)
    assert line.room == pytest.approx(best.x[2], abs=0.01)
    assert (above.value - line.value(above.time)).min() >= line.room - 0.01
    assert (line.value(below.time) - below.value).min() >= line.room - 0.01


@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 60))
def test_slopes_are_all_that_fit(seed, above_count, below_count):
    """Just within the two slopes there is a line between, just outside there is none."""
    rng = np.random.default_rng(seed)
    above, below = points(rng, above_count, 1.01e6, 1), points(rng, below_count, 1e6, -1)
    line = fit(above, below)

    def room(slope):
        return (above.value - slope * above.time).min() - (below.value - slope * below.time).max()

    for slope, outward in ((line.least_slope, -1), (line.most_slope, 1)):
        assert room(slope) >= -0.1
        assert abs(slope) == STEEPEST or room(slope + outward * 1e-9) < 0


@given(st.integers(0, 2**32), st.integers(1, 200), st.booleans())
def test_no_point_lies_beyond_the_hull(seed, size, lower):
    rng = np.random.default_rng(seed)
    cloud = Points(np.sort(rng.integers(0, 50, size)).astype(float), rng.normal(0, 1e3, size))
    corners = hull(cloud, lower=lower)
    at = np.interp(cloud.time, corners.time, corners.value)
    beyond = at - cloud.value if lower else cloud.value - at
    assert beyond.max() <= 1e-6
    assert set(corners.value) <= set(cloud.value)
    assert (np.diff(corners.time) > 0).all()
