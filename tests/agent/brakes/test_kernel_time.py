# SPDX-License-Identifier: Apache-2.0
"""Time in the BPF programs: measured now and then, reckoned in between, estimated where that is refused."""

import os
from pathlib import Path

import numpy as np
import pytest

from agent.brakes.kernel_time import ESTIMATE_NS, MOST_NS, PERIOD, KernelTime
from agent.kernel import runstats
from agent.kernel.capture import Capture, CaptureSettings
from agent.kernel.counters import HEAD_DTYPE, HOOK_NAMES, ProgramStats, add_up
from support import traffic
from support.netns import VethPair, hosts_of
from support.worker import Worker


def account(attempts, run_time_ns=0, run_cnt=0):
    table = np.zeros((len(HOOK_NAMES), 1), HEAD_DTYPE)
    table["events"]["attempts"][0] = attempts
    return add_up(table, {"send": ("send", ProgramStats(0, run_time_ns, run_cnt))})


class Switchboard:
    """Hands out real descriptors and knows how many are open."""

    def __init__(self):
        self.made = []

    def __call__(self):
        self.made.append(os.open("/dev/null", os.O_RDONLY))
        return self.made[-1]

    @property
    def open(self):
        return sum(Path(f"/proc/self/fd/{number}").exists() for number in set(self.made))


def refuse():
    raise PermissionError(1, "not permitted")


def test_one_second_in_twenty_is_measured():
    switch = Switchboard()
    time = KernelTime(switch)
    was_open = []
    for second in range(2 * PERIOD):
        time.update(account(100 * second), float(second))
        was_open.append(switch.open)
    assert was_open == ([1] + [0] * (PERIOD - 1)) * 2
    time.close()
    time.close()
    assert switch.open == 0


def test_what_was_measured_stands_for_what_was_not():
    time = KernelTime(refuse)
    time.update(account(1000), 0.0)
    assert (time.us_per_event, time.total_ns) == (None, 1000 * ESTIMATE_NS)
    time.update(account(1100, 25_000, 200), 1.0)
    assert time.us_per_event == 0.25
    time.update(account(5100, 25_000, 200), 2.0)
    assert time.total_ns == 1000 * ESTIMATE_NS + 25_000 + 4000 * 250


def test_what_other_sockets_cost_goes_on_evenly_and_is_not_the_events():
    """Filters leave nearly all out; ten events a second must not seem to cost a millisecond each."""
    time = KernelTime(refuse)
    time.update(account(0), 0.0)
    time.update(account(10, 10_000_000, 10**5), 1.0)
    before = time.total_ns
    time.update(account(10 + 10_000, 10_000_000, 10**5), 2.0)
    assert time.total_ns - before == 10_000 * MOST_NS + (10_000_000 - 10 * MOST_NS)


def test_without_events_the_cost_of_other_sockets_is_all():
    time = KernelTime(refuse)
    time.update(account(0), 0.0)
    time.update(account(0, 10_000_000, 10**5), 1.0)
    time.update(account(0, 10_000_000, 10**5), 3.0)
    assert (time.total_ns, time.us_per_event) == (30_000_000, None)


def test_a_measured_second_without_a_run_costs_nothing_from_then_on():
    time = KernelTime(Switchboard())
    time.update(account(0), 0.0)
    time.update(account(0, 10_000_000, 10**5), 1.0)
    for second in range(2, 2 * PERIOD):
        time.update(account(0, 10_000_000, 10**5), float(second))
    before = time.total_ns
    time.update(account(0, 10_000_000, 10**5), 2.0 * PERIOD)
    assert time.total_ns == before


def test_programs_that_were_loaded_anew_count_from_nothing():
    time = KernelTime(refuse)
    time.update(account(1000), 0.0)
    time.restart()
    time.update(account(10), 1.0)
    assert time.total_ns == 1010 * ESTIMATE_NS


def test_where_it_is_refused_it_is_not_asked_again():
    asked = []
    time = KernelTime(lambda: asked.append(1) or refuse())
    for second in range(3 * PERIOD):
        time.update(account(second), float(second))
    assert len(asked) == 1


@pytest.mark.kernel
def test_this_kernel_measures_while_the_descriptor_is_open():
    with VethPair() as network, Worker() as worker:
        capture = Capture(CaptureSettings(netns=hosts_of(network)))
        capture.start()
        try:
            time = KernelTime(runstats.enable)
            time.update(capture.counters(), 0.0)
            worker.run(traffic.echo, network, 500, 100)
            time.update(capture.counters(), 1.0)
            time.close()
            assert time.us_per_event is not None
            assert 0.01 < time.us_per_event < 100
        finally:
            capture.stop()
