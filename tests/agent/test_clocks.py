# SPDX-License-Identifier: Apache-2.0
"""A reading holds what the clocks show: between looks from outside, and as the kernel says."""

import time

import msgspec
import numpy as np
import pytest

from agent.clocks import TRIES, ReadingLog, adjtimex, kernel_error_ns, read
from schemas import control, example
from schemas.control import MAX_READINGS, Reading


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


def counting():
    """Return a log whose readings are told apart by their time, 1, 2, 3 …."""
    numbers = iter(range(1, 10**6))
    return ReadingLog(lambda: Reading(next(numbers), 0, 0, 0))


def test_one_reading_a_second_until_kafka_has_it():
    log = counting()
    for now in np.arange(10.0, 13.0, 0.2):
        log.look(float(now))
    told = log.tell()
    assert [one.monotonic_ns for one in told] == [1, 2, 3]
    lost, taken = log.report(told), log.report(told)
    lost("an error", None)
    assert log.tell() == told
    log.look(13.5)
    taken(None, None)
    assert [one.monotonic_ns for one in log.tell()] == [4]
    taken(None, None)  # of a heartbeat that held none, or the same once more
    log.report(())(None, None)
    assert [one.monotonic_ns for one in log.tell()] == [4]


def test_readings_that_nobody_takes_get_fewer_and_tell_of_all_the_time():
    second = 0
    log = ReadingLog(lambda: Reading(second, 0, 0, 0))
    for second in range(3600):
        log.look(float(second))
    held = [one.monotonic_ns for one in log.tell()]
    assert MAX_READINGS // 2 <= len(held) <= MAX_READINGS
    assert set(np.diff([*held, 3600])) <= {16}
    log.report(log.tell())(None, None)
    for second in range(3600, 3700):
        log.look(float(second))
    assert np.diff([one.monotonic_ns for one in log.tell()]).max() <= 1


def test_a_full_log_fits_a_heartbeat():
    log = ReadingLog()
    for second in range(MAX_READINGS):
        log.look(float(second))
    beat = msgspec.structs.replace(example.heartbeat(), readings=log.tell())
    found = control.decode(control.encode(beat))
    assert len(found.readings) == MAX_READINGS
    assert found.readings == log.tell()
