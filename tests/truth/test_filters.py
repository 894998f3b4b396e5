# SPDX-License-Identifier: Apache-2.0
"""Filters are decided in the kernel: what is left out costs no event and no counter."""

import socket

import pytest

from agent.kernel.capture import Capture, CaptureSettings
from support import openings, traffic
from support.cgroups import UNIFIED, enter, own_cgroup
from support.netns import hosts_of
from support.trace import Tracer


@pytest.fixture
def started():
    """Return a function that starts a capture with these settings."""
    captures = []

    def start(**settings):
        capture = Capture(CaptureSettings(**settings))
        capture.start()
        captures.append(capture)
        return Tracer(capture)

    yield start
    for capture in captures:
        capture.stop()


def _ports(trace):
    return set(trace.connections["local_port"].tolist()) | set(trace.connections["remote_port"].tolist())


def test_only_chosen_ports_are_traced_at_either_end(network, worker, started):
    wanted = worker.run(openings.keep, network, "wanted", 8, 0)
    other = worker.run(openings.keep, network, "other", 8, 0)
    tracer = started(ports=(wanted[0],), netns=hosts_of(network))
    worker.run(openings.use, "wanted")
    worker.run(openings.use, "other")
    trace = tracer.take()
    assert _ports(trace) == set(wanted)
    assert set(other).isdisjoint(_ports(trace))
    sends = tracer.capture.counters().hooks["send"]
    assert sends.attempts == 4


def test_excluded_ports_are_left_out(network, worker, started):
    wanted = worker.run(openings.keep, network, "wanted", 8, 0)
    broker = worker.run(openings.keep, network, "broker", 8, 0)
    tracer = started(exclude_ports=(broker[1],), netns=hosts_of(network))
    worker.run(openings.use, "wanted")
    worker.run(openings.use, "broker")
    assert _ports(tracer.take()) == set(wanted)


def test_only_chosen_namespaces_are_traced(network, worker, started):
    tracer = started(netns=(network.b.inode,))
    calls = worker.run(traffic.echo, network, 2, 10)
    trace = tracer.take()
    server = calls[-1].port
    assert trace.connections["local_port"].tolist() == [server]
    assert trace.connections["netns"].tolist() == [network.b.inode]


def test_only_chosen_cgroups_are_traced(network, worker, started):
    with own_cgroup() as group:
        tracer = started(cgroups=(group.stat().st_ino,), netns=hosts_of(network))
        outside = worker.run(traffic.echo, network, 2, 10)
        enter(group, worker.pid)
        inside = worker.run(traffic.echo, network, 2, 10)
        enter(UNIFIED, worker.pid)
        trace = tracer.take()
        inode = group.stat().st_ino
        assert set(trace.connections["cgroup"].tolist()) == {inode}
        assert set(trace.tasks["cgroup"].tolist()) == {inode}
        assert _ports(trace) == {call.port for call in inside}
        assert _ports(trace).isdisjoint({call.port for call in outside})


def test_the_agents_own_traffic_is_left_out(network, started):
    """It runs in this very process: as opener and as acceptor, whose data arrive before it touches them."""
    tracer = started(netns=hosts_of(network))
    traffic.echo(network, 5, 10)
    trace = tracer.take()
    assert len(trace.events) == len(trace.connections) == 0
    assert tracer.capture.counters().attempts == 0


def test_other_sockets_are_never_taken_for_tcp(network, worker, started):
    tracer = started(netns=hosts_of(network))
    worker.run(_not_tcp, network)
    trace = tracer.take()
    assert len(trace.events) == len(trace.connections) == 0
    assert tracer.capture.counters().attempts == 0


def _not_tcp(network):
    """Send and receive by UDP, UNIX, netlink (whose protocol 6 is not TCP's) and a raw socket."""
    one, other = (traffic.bound(host, kind=socket.SOCK_DGRAM) for host in network.hosts)
    one.sendto(b"datagram", other.getsockname())
    assert other.recv(100) == b"datagram"
    left, right = socket.socketpair()
    left.send(b"unix")
    assert right.recv(100) == b"unix"
    with network.a.entered():
        netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 6)
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
    netlink.bind((0, 0))
    netlink.send(bytes.fromhex("10000000 0200 0500 00000000 00000000"))
    assert netlink.recv(1000)
    raw.sendto(bytes(20), (network.a.ipv4, 0))
    assert raw.recv(1000)
