# SPDX-License-Identifier: Apache-2.0
"""Other tracers on the same tracepoints: all see every call, and none takes anything from another."""

import threading
import time
from collections import Counter

import pytest

from agent.kernel.capture import Capture, CaptureSettings
from support import traffic
from support.bpftrace import Bpftrace
from support.live import LiveProgram
from support.netns import VethPair, hosts_of
from support.sums import added, by_end
from support.trace import KINDS, Tracer, assert_exact
from support.worker import Worker

PAIRS, MESSAGES, BYTES = 3, 1500, 10
"""traffic.storm sends messages of ten bytes."""


@pytest.fixture
def worker():
    with Worker() as worker:
        yield worker


@pytest.fixture
def canary():
    """A process for traffic of its own, in a network that no capture sees."""
    with VethPair() as network, Worker() as worker:
        yield worker.pid, lambda: worker.run(traffic.echo, network, 1, 10)


def test_bpftrace_counts_the_same_calls_and_bytes(network, tracer, log, worker, canary):
    with Bpftrace(network.a, log("bpftrace"), worker.pid, *canary) as other:
        answered = worker.start(traffic.storm, network, PAIRS, MESSAGES)
        trace = tracer.follow(lambda: worker.busy)
        sent, read = answered()
        counted = other.end()
    own = added(by_end(trace))
    bytes_sent = 2 * PAIRS * MESSAGES * BYTES
    assert sent == 2 * PAIRS * MESSAGES
    assert (own.sends, own.sent, own.reads, own.read) == (sent, bytes_sent, read, bytes_sent), (
        f"wirelag {own}"
    )
    assert counted["sends"] == (sent, bytes_sent), f"bpftrace {counted}, the program {sent} sends"
    assert counted["reads"] == (read, bytes_sent), f"bpftrace {counted}, the program {read} reads"
    assert counted["hits"][0] == sent, f"bpftrace {counted}, the program {sent} sends of one piece"
    assert counted["copies"][0] >= read, f"bpftrace {counted}, the program {read} reads"


def test_a_second_capture_sees_the_same_events(network, tracer, worker):
    """Event by event: of one kernel, so the positions are the same too."""
    second = Capture(CaptureSettings(netns=hosts_of(network), lives=True))
    second.start()
    try:
        calls = worker.run(traffic.echo, network, 400, 700)
        traces = [tracer.take(), Tracer(second).take()]
    finally:
        second.stop()
    for trace in traces:
        assert_exact(trace, calls)
    first, other = (Counter(_events(trace)) for trace in traces)
    assert first == other, f"only one saw {list(((first - other) + (other - first)).items())[:5]}"


def test_neighbours_that_come_and_go_disturb_nothing(network, tracer, log, worker, canary):
    """Attached and detached while traffic flows, one by SIGKILL: every call is still one event."""

    def come_and_go():
        with Bpftrace(network.a, log("bpftrace"), worker.pid, *canary) as other:
            before = len(moved)
            while len(moved) < before + 2:  # so one storm at least was all within
                time.sleep(0.01)
            counted.append(other.end())
        with LiveProgram(network.hosts, "count", "--by", "process"):
            pass  # killed at the end of the block

    counted, moved, started = [], [], []
    neighbours = threading.Thread(target=come_and_go, daemon=True)
    neighbours.start()

    def busy():
        if started and worker.busy:
            return True
        moved.extend(answered() for answered in started)
        started.clear()
        if neighbours.is_alive():
            started.append(worker.start(traffic.storm, network, 1, MESSAGES // 10))
        return bool(started)

    own = added(by_end(tracer.follow(busy)))
    sent, read = (sum(column) for column in zip(*moved, strict=True))
    (within,) = counted
    assert sent >= within["sends"][0] >= moved[0][0], (
        f"bpftrace {within}: it was not there while traffic flowed"
    )
    assert (own.sends, own.sent) == (sent, sent * BYTES), f"wirelag {own}, the program {sent} sends"
    assert (own.reads, own.read) == (read, sent * BYTES), f"wirelag {own}, the program {read} reads"


def _events(trace):
    """Return what events of two captures have to agree on; clocks are read by each for itself."""
    return [
        tuple(int(row[field]) for field in ("kind", "iss", "irs", "position", "length", "tid"))
        for row in trace.events[trace.events["kind"] != KINDS["arrival"]]
    ]
