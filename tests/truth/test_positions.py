# SPDX-License-Identifier: Apache-2.0
"""Positions, lengths, times and threads of events are those of the application's own calls."""

import ipaddress
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
    shapes.proxied,
]


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_an_exchange_is_seen_call_by_call(network, worker, tracer, family):
    calls = worker.run(traffic.echo, network, 20, 300, family)
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


def test_one_ends_sequence_numbers_are_the_others_turned_round(network, worker, tracer):
    calls = worker.run(traffic.echo, network, 3, 10)
    trace = tracer.take()
    ours, theirs = (trace.connection(port) for port in {call.port for call in calls})
    assert (ours["iss"], ours["irs"]) == (theirs["irs"], theirs["iss"])
    assert {int(ours["role"]), int(theirs["role"])} == {1, 2}


def test_facts_say_who_and_where(network, worker, tracer):
    calls = worker.run(traffic.echo, network, 1, 10)
    trace = tracer.take()
    client, server = calls[0].port, calls[2].port
    fact = trace.connection(client)
    assert int(fact["remote_port"]) == server
    assert int(fact["netns"]) == network.a.inode
    assert int(fact["family"]) == socket.AF_INET
    assert fact["flags"] == 0
    local, remote = (
        ipaddress.IPv6Address(fact[f"{end}_address"].tobytes()).ipv4_mapped for end in ("local", "remote")
    )
    assert (str(local), str(remote)) == (network.a.ipv4, network.b.ipv4)


def test_a_mapped_end_and_its_plain_peer_tell_the_same_addresses(network, worker, tracer):
    calls = worker.run(openings.mapped, network)
    trace = tracer.take()
    client, server = calls[0].port, calls[2].port
    one, other = trace.connection(client), trace.connection(server)
    assert one["local_address"].tobytes() == other["remote_address"].tobytes()
    assert one["remote_address"].tobytes() == other["local_address"].tobytes()
    assert one["family"] == other["family"] == socket.AF_INET


def test_each_life_of_a_reconnected_socket_is_a_connection_of_its_own(network, worker, tracer):
    lives = worker.run(openings.reconnect, network)
    trace = tracer.take()
    assert len({life[0].port for life in lives}) == 3
    for life in lives:
        client, server = (life[0].port, life[2].port)
        for call in life:
            peer = server if call.port == client else client
            assert (call.position, call.length) in trace.ranges(call.port, call.kind, peer)
        assert trace.connection(client)["role"] == 1
    assert len(trace.events[trace.events["kind"] != 3]) == 12
    assert len(trace.connections) == 6


def test_a_call_of_many_segments_is_one_event(network, worker, tracer):
    calls = worker.run(shapes.bulk, network, [1, 100_000, 1_000_000, 32_768, 32_769])
    trace = tracer.take()
    assert_exact(trace, calls)
    assert_arrivals_cover(trace, calls[-1].port)
    whole = Flag.FIRST_PIECE | Flag.LAST_PIECE
    assert all(flags & whole == whole for flags in trace.of(calls[0].port, "send")["flags"])


def test_segments_dropped_on_the_own_host_do_not_move_positions(network, worker, tracer):
    """Local drops count as sent in bytes_sent - bytes_retrans, which is why nothing is built on those."""
    network.a.run("tc", "qdisc", "add", "dev", network.a.interface, "root", "tbf",
                  "rate", "200mbit", "burst", "20kb", "limit", "20kb")  # fmt: skip
    try:
        calls = worker.run(shapes.bulk, network, [500_000] * 10)
    finally:
        network.a.run("tc", "qdisc", "del", "dev", network.a.interface, "root")
    assert_exact(tracer.take(), calls)


def test_sendfile_is_a_send(network, worker, tracer, tmp_path):
    calls = worker.run(shapes.sent_file, network, 300_000, str(tmp_path / "file"))
    trace = tracer.take()
    port = calls[0].port
    ranges = trace.ranges(port, "send")
    assert sum(length for _, length in ranges) == 300_000
    assert ranges == sorted(ranges)
    ends = [position + length for position, length in ranges]
    assert [0, *ends[:-1]] == [position for position, _ in ranges]
    assert trace.ranges(calls[-1].port, "receive")


def test_bytes_taken_by_splice_count_as_read(network, worker, tracer):
    """No call tells its end, so they are marked; what matters is that they are not silence."""
    port, size = worker.run(shapes.spliced, network, 200_000)
    reads = tracer.take().of(port, "receive")
    assert int(reads["length"].sum()) == size
    assert int(reads["position"][0]) == 0
    assert (reads["position"][1:] == reads["position"][:-1] + reads["length"][:-1]).all()
    assert (reads["flags"] & Flag.NO_CALL != 0).all()


def test_bytes_below_the_low_water_mark_are_marked_as_read_without_arrival(network, worker, tracer):
    calls = worker.run(shapes.low_water, network)
    reads = tracer.take().of(calls[-1].port, "receive")
    assert [bool(flags & Flag.NO_ARRIVAL) for flags in reads["flags"]] == [True, False]


def test_marks_of_urgent_and_truncated_bytes(network, worker, tracer):
    calls = worker.run(shapes.urgent, network)
    port = calls[0].port
    sends = tracer.take().of(port, "send")
    assert [bool(flags & Flag.URGENT) for flags in sends["flags"]] == [False, True, False]
    calls = worker.run(shapes.peek_and_truncate, network)
    reads = tracer.take().of(calls[-1].port, "receive")
    assert [bool(flags & Flag.TRUNCATED) for flags in reads["flags"]] == [False, True, False]


@pytest.mark.parametrize("wait", [True, False], ids=["blocking", "nonblocking"])
@pytest.mark.parametrize("size", [100, 9_000])
@pytest.mark.parametrize("server", [0x202, 0], ids=["taken", "refused"])
def test_bytes_sent_with_the_syn_start_at_0(network, worker, tracer, size, wait, server):
    """A server that refuses them gets them again after the handshake: at the same place."""
    network.a.sysctl("net.ipv4.tcp_fastopen", 0x5)
    network.b.sysctl("net.ipv4.tcp_fastopen", server)
    calls = worker.run(openings.fast_open, network, size, wait=wait)
    trace = tracer.take()
    client, server = calls[0].port, next(c.port for c in calls if c.port != calls[0].port)
    first = next(c for c in calls if c.port == client)
    sends = trace.of(client, "send")
    mine = sends[sends["position"] < first.length]
    assert mine["position"][0] == 0
    assert mine["length"].sum() == first.length
    assert (mine["flags"] & Flag.FAST_OPEN != 0).all()
    assert trace.ranges(client, "send")[-1] == (first.length, 5)
    assert trace.ranges(client, "receive") == [(0, 6)]
    assert sum(length for _, length in trace.ranges(server, "receive")) == first.length + 5
    assert trace.ranges(server, "send") == [(0, 6)]
    assert (trace.connection(client)["role"], trace.connection(server)["role"]) == (1, 2)


def test_multipath_is_told_as_blind_and_says_nothing_false(network, worker, tracer):
    ports = worker.run(openings.multipath, network)
    trace = tracer.take()
    assert len(trace.events) == 0
    told = trace.connections[np_in(trace.connections["local_port"], ports)]
    assert len(told)
    assert all(flags & Mark.MPTCP for flags in told["flags"])


def test_a_connection_a_sockmap_takes_over_is_told_as_blind_from_then_on(network, worker, tracer):
    client, server = worker.run(openings.keep, network, "taken", 8, 0)
    worker.run(openings.use, "taken", close=False)
    assert len(tracer.take().of(client, "send")) == 2
    worker.run(openings.take_over, "taken")
    worker.run(openings.use, "taken")
    trace = tracer.take()
    assert trace.connection(client)["flags"] & Mark.REPLACED
    assert not len(trace.of(client, "send"))
    assert not len(trace.of(client, "receive"))
    assert not len(trace.connections[trace.connections["local_port"] == server])


def np_in(values, wanted):
    return [int(value) in wanted for value in values]
