# SPDX-License-Identifier: Apache-2.0
"""A capture's life: what it leaves behind (nothing), what it tells again, what it does with trouble."""

import os
from pathlib import Path

import pytest

from agent.decode import decode
from agent.kernel.capture import Capture, CaptureSettings
from agent.kernel.errors import KernelUnfitError
from support import openings, traffic
from support.netns import VethPair, hosts_of
from support.trace import Tracer
from support.worker import Worker

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def network():
    with VethPair() as network:
        yield network


@pytest.fixture(scope="module")
def worker():
    with Worker() as worker:
        yield worker


@pytest.fixture(scope="module")
def tracer(network):
    capture = Capture(CaptureSettings(netns=hosts_of(network)))
    capture.start()
    yield Tracer(capture)
    capture.stop()


def _bpf_descriptors():
    found = []
    for file in Path("/proc/self/fd").iterdir():
        try:
            target = str(file.readlink())
        except FileNotFoundError:
            continue
        if "bpf" in target or "perf_event" in target:
            found.append(target)
    return sorted(found)


def _known_by(facts):
    """All that a fact says, but when."""
    return sorted(fact.tobytes()[8:] for fact in facts)


def test_stop_leaves_no_program_map_or_ring(network):
    before = _bpf_descriptors()
    capture = Capture(CaptureSettings(netns=hosts_of(network)))
    capture.start()
    assert len(_bpf_descriptors()) > len(before)
    capture.stop()
    assert _bpf_descriptors() == before
    assert not capture.running


def test_stop_hands_over_what_no_cycle_took(network, worker):
    capture = Capture(CaptureSettings(netns=hosts_of(network)))
    capture.start()
    worker.run(traffic.echo, network, 3, 10)
    final = capture.stop()
    assert len(decode(final.records).events) == final.counters.delivered == 18
    assert final.counters.sends == 6


def test_a_program_the_kernel_refuses_leaves_nothing_behind(network):
    class Broken(Capture):
        def _text(self):
            return super()._text().replace("return destroyed(ctx->args[0]);", "return *(int *)ctx->args[0];")

    before = _bpf_descriptors()
    capture = Broken(CaptureSettings())
    with pytest.raises(KernelUnfitError, match="refuses the program raw_tcp_destroy_sock"):
        capture.start()
    assert _bpf_descriptors() == before
    assert not capture.running


@pytest.mark.parametrize("backend", ["fentry", "kprobe"])
def test_a_backend_that_is_wanted_and_refused_gives_way_to_the_next(network, worker, backend):
    """Whatever this kernel allows: the events are the same."""
    before = _bpf_descriptors()
    capture = Capture(CaptureSettings(netns=hosts_of(network), backend=backend))
    capture.start()
    worker.run(traffic.echo, network, 3, 10)
    final = capture.stop()
    assert len(decode(final.records).events) == final.counters.delivered == 18
    assert "inet_sock_set_state" in capture.hooks
    assert _bpf_descriptors() == before


def test_probe_says_which_hooks_would_be_used_and_loads_nothing():
    before = _bpf_descriptors()
    assert "tcp_sendmsg_locked" in Capture(CaptureSettings()).probe()
    assert _bpf_descriptors() == before


def test_the_environment_is_as_before(network):
    before = dict(os.environ)
    capture = Capture(CaptureSettings(netns=hosts_of(network)))
    capture.start()
    capture.stop()
    assert dict(os.environ) == before


def test_lost_facts_are_told_again_on_request(network, worker, tracer):
    ports = worker.run(openings.keep, network, "again", 8, 0)
    worker.run(openings.use, "again", close=False)
    first = tracer.take()
    facts = first.connections[[int(port) in ports for port in first.connections["local_port"]]]
    tracer.capture.reannounce(facts["sock"].tolist())
    again = tracer.take().connections
    assert _known_by(again) == _known_by(facts)
    worker.run(openings.use, "again")
    assert len(tracer.take().connections) == 0


def test_a_connection_that_has_gone_is_not_told_again(network, worker, tracer):
    worker.run(traffic.echo, network, 1, 10)
    socks = tracer.take().connections["sock"].tolist()
    tracer.capture.reannounce(socks)
    assert len(tracer.take().connections) == 0


def test_everything_is_told_again_on_request(network, worker, tracer):
    worker.run(openings.keep, network, "all", 8, 0)
    worker.run(openings.use, "all", close=False)
    first = tracer.take()
    tracer.capture.reannounce_all()
    worker.run(openings.use, "all")
    again = tracer.take()
    assert sorted(again.connections["sock"].tolist()) == sorted(first.connections["sock"].tolist())
    assert again.tasks["tid"].tolist() == [worker.pid]


def test_a_thread_is_told_once_and_after_exec(network, tracer):
    with Worker() as fresh:
        for _ in range(2):
            fresh.run(traffic.echo, network, 2, 10)
        told = tracer.take().tasks
        assert told["tid"].tolist() == [fresh.pid]
        assert told["leader_comm"].tolist() == [Path(f"/proc/{fresh.pid}/comm").read_bytes().strip()]
        fresh.replace("renamed")
        fresh.run(traffic.echo, network, 2, 10)
        told = tracer.take().tasks
        assert told["tid"].tolist() == [fresh.pid]
        assert told["comm"].tolist() == [b"renamed"]
