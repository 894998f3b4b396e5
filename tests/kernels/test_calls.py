# SPDX-License-Identifier: Apache-2.0
"""Every backend tells the application's own calls: their bytes, threads and times."""

import socket

import pytest

from schemas.batch import Mark
from schemas.event import Flag
from support import openings, shapes, traffic
from support.trace import assert_arrivals_cover, assert_exact

SHAPES = [
    shapes.half_close,
    shapes.data_with_fin,
    openings.mapped,
    shapes.would_block,
    shapes.broken_pipe,
    shapes.peek_and_truncate,
    shapes.urgent,
    shapes.low_water,
]


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def test_an_exchange_is_seen_call_by_call(network, worker, tracer, family):
    calls = worker.run(traffic.echo, network, 10, 300, family)
    trace = tracer.take()
    assert_exact(trace, calls)
    for port in {call.port for call in calls}:
        assert_arrivals_cover(trace, port)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_awkward_traffic_is_seen_call_by_call(network, worker, tracer, shape):
    calls = worker.run(shape, network)
    trace = tracer.take()
    assert_exact(trace, calls)
    for port in {call.port for call in calls}:
        assert_arrivals_cover(trace, port)


def test_a_call_of_many_segments_is_one_event(network, worker, tracer):
    calls = worker.run(shapes.bulk, network, [1, 100_000, 500_000, 32_768, 32_769])
    trace = tracer.take()
    assert_exact(trace, calls)
    assert_arrivals_cover(trace, calls[-1].port)


def test_the_bytes_of_sendfile_tile_the_stream(network, worker, tracer, tmp_path):
    calls = worker.run(shapes.sent_file, network, 300_000, str(tmp_path / "file"))
    place = 0
    for position, length in tracer.take().ranges(calls[0].port, "send"):
        assert position == place
        place += length
    assert place == 300_000


def test_bytes_taken_by_splice_count_as_read(network, worker, tracer):
    port, size = worker.run(shapes.spliced, network, 100_000)
    reads = tracer.take().of(port, "receive")
    assert int(reads["length"].sum()) == size
    assert (reads["position"][1:] == reads["position"][:-1] + reads["length"][:-1]).all()
    assert (reads["flags"] & Flag.NO_CALL != 0).all()


@pytest.mark.parametrize("wait", [True, False], ids=["blocking", "nonblocking"])
@pytest.mark.parametrize("size", [100, 9_000])
@pytest.mark.parametrize("server", [0x202, 0], ids=["taken", "refused"])
def test_bytes_sent_with_the_syn_start_at_0(network, worker, tracer, size, wait, server):
    network.a.sysctl("net.ipv4.tcp_fastopen", 0x5)
    network.b.sysctl("net.ipv4.tcp_fastopen", server)
    calls = worker.run(openings.fast_open, network, size, wait=wait)
    trace = tracer.take()
    client = calls[0].port
    first = next(call for call in calls if call.port == client)
    sends = trace.of(client, "send")
    mine = sends[sends["position"] < first.length]
    assert mine["position"][0] == 0
    assert mine["length"].sum() == first.length
    assert (mine["flags"] & Flag.FAST_OPEN != 0).all()
    assert trace.ranges(client, "send")[-1] == (first.length, 5)


def test_each_life_of_a_reconnected_socket_is_a_connection_of_its_own(network, worker, tracer):
    lives = worker.run(openings.reconnect, network)
    trace = tracer.take()
    for life in lives:
        client, server = (life[0].port, life[2].port)
        for call in life:
            peer = server if call.port == client else client
            assert (call.position, call.length) in trace.ranges(call.port, call.kind, peer)
    assert len(trace.connections) == 6


def test_multipath_is_told_as_blind_and_says_nothing_false(network, worker, tracer):
    ports = worker.run(openings.multipath, network)
    trace = tracer.take()
    assert len(trace.events) == 0
    told = [fact for fact in trace.connections if int(fact["local_port"]) in ports]
    assert told
    assert all(fact["flags"] & Mark.MPTCP for fact in told)


def test_kernel_tls_is_told_as_blind_from_then_on(network, worker, tracer):
    """What its calls count is not bytes of the TCP stream."""
    client, server = worker.run(openings.keep, network, "secret", 8, 0)
    worker.run(openings.use, "secret", close=False)
    assert len(tracer.take().of(client, "send")) == 2
    worker.run(openings.encrypt, "secret")
    worker.run(openings.use, "secret")
    trace = tracer.take()
    for port in (client, server):
        assert trace.connection(port)["flags"] & Mark.ULP
        assert not len(trace.of(port, "send"))
        assert not len(trace.of(port, "receive"))
