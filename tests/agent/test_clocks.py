# SPDX-License-Identifier: Apache-2.0
"""A reading holds what the clocks show: between looks from outside, and as the kernel says."""

import time

import pytest

from agent.clocks import TRIES, adjtimex, kernel_error_ns, read


def test_a_reading_lies_between_looks_before_and_after():
    begin = time.monotonic_ns()
    one = read()
    end = time.monotonic_ns()
    assert begin <= one.monotonic_ns <= end
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
    now = time.monotonic_ns()
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
    # since the reading the two clocks parted by 0.1 % at the very most
    slack = one.width_ns + (now - begin) // 1000
    assert before - now - slack <= one.raw_offset_ns <= after - now + slack


def test_the_tightest_of_the_tries_is_kept(monkeypatch):
    tries = iter([(1000 + i, 500, 100 - i) for i in range(TRIES)])
    monkeypatch.setattr("agent.clocks._sandwich", lambda: next(tries))
    one = read()
    assert (one.width_ns, one.raw_offset_ns) == (100 - TRIES + 1, 1000 + TRIES - 1 - 500)


def test_the_kernels_state_is_read_as_it_is_laid_out():
    """Fields before and behind the error: the tolerance is a constant of Linux, the time is known."""
    before = int(time.time())
    state = adjtimex()
    assert state is not None
    assert state.tolerance == 500 << 16  # ppm
    assert before <= state.time.seconds <= time.time()


@pytest.mark.parametrize(("status", "error"), [(0x0040, None), (0x2001, 1_500_000)])
def test_an_undisciplined_clock_has_no_bound(monkeypatch, status, error):
    state = adjtimex()
    state.status, state.maxerror = status, 1500
    monkeypatch.setattr("agent.clocks.adjtimex", lambda: state)
    assert kernel_error_ns() == error
