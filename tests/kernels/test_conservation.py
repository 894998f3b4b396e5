# SPDX-License-Identifier: Apache-2.0
"""Every attempt is somewhere, and every call is an attempt or a run that the kernel says it skipped."""

import os

import pytest

from support import traffic


@pytest.fixture
def steered(network):
    """Packets are handed to all CPUs in turn (RPS), so softirqs meet hooks everywhere."""
    _steer(network, f"{(1 << os.cpu_count()) - 1:x}")
    yield network
    _steer(network, "0")


def _steer(network, mask):
    for host in network.hosts:
        queue = f"/sys/class/net/{host.interface}/queues/rx-0/rps_cpus"
        host.run("sh", "-c", f"echo {mask} > {queue}")


def _moved(after, before, name):
    return getattr(after, name) - getattr(before, name)


def test_every_event_of_a_storm_is_accounted_for(steered, worker, tracer, capture, figures):
    before, received = capture.counters(), 0
    answer = worker.start(traffic.storm, steered, 3, 400)
    while worker.busy:
        received += len(tracer.cycle()[0].events)
    sent, read = answer()
    received += len(tracer.take().events)
    after = capture.counters()
    assert received == _moved(after, before, "delivered")
    assert all(hook.unaccounted == 0 for hook in after.hooks.values())
    for name, calls in (("send", sent), ("receive", read)):
        old, new = before.hooks[name], after.hooks[name]
        attempts, misses = _moved(new, old, "attempts"), _moved(new, old, "misses")
        figures.append(f"{name}: {calls} calls, {attempts} attempts, {misses} counted misses")
        assert attempts <= calls
        assert attempts + misses >= calls or capture.uncounted


def test_where_skipped_runs_are_not_counted_is_said(capture, figures):
    """Kprobes alone, and on kernels that do not count them: the property that `check` shows."""
    kprobes = "kprobes" in capture.hooks
    assert set(capture.uncounted) <= set(capture.hooks.partition("kprobes ")[2].split(", "))
    assert kprobes or not capture.uncounted
    figures.append(f"{capture.hooks}; skipped runs not counted: {len(capture.uncounted)} places")
