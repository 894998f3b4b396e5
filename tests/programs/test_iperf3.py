# SPDX-License-Identifier: Apache-2.0
"""iperf3's own bytes of every stream and direction are those of the events, sender and receiver apart.

The receiver stops reading when the test is over, before it has all: each end is held against its own count.
"""

import json

import pytest

from support.matching import audits
from support.program import Program, free_port
from support.sums import added, by_end

COOKIE_BYTES = 37
"""What the client sends on every connection before the test, in no count of iperf3's."""
RUNS = {
    "one stream": [],
    "four streams": ["-P", "4"],
    "reverse": ["-R"],
    "four streams in reverse": ["-R", "-P", "4"],
    "both ways": ["--bidir"],
    "both ways, two streams each": ["--bidir", "-P", "2"],
    "sendfile": ["-Z"],
}


@pytest.mark.parametrize("name", RUNS)
def test_bytes_of_every_stream_are_iperf3s_own(network, tracer, log, name):
    port = free_port(network.b)
    command = ["iperf3", "--client", network.b.ipv4, "--port", str(port), "--json", "-n", "24M", "-l", "32K"]
    with Program(network.b, log("server"), "iperf3", "--server", "--one-off", "--port", str(port)) as server:
        server.listening(port)
        with Program(network.a, log("client"), *command, *RUNS[name]) as client:
            trace = tracer.follow(lambda: client.busy)
            report = json.loads(client.wait())
        server.wait()
    assert set(audits(trace + tracer.take(), network.hosts)) == {"COMPLETE"}
    streams = _streams(report)
    for direction in {stream["direction"] for stream in streams}:
        mine = [stream for stream in streams if stream["direction"] == direction]
        seen = [_seen(trace, network, stream) for stream in mine]
        said = [(stream["sender"], stream["receiver"]) for stream in mine]
        assert seen == said, f"{name}, {direction}: events {seen}, iperf3 {said} (bytes sent and received)"
        end = report["end"]
        suffix = "_bidir_reverse" if "--bidir" in RUNS[name] and direction == "to the client" else ""
        total = (end["sum_sent" + suffix]["bytes"], end["sum_received" + suffix]["bytes"])
        assert tuple(map(sum, zip(*seen, strict=True))) == total, (name, direction, total)


def test_the_cookie_alone_goes_against_the_stream(network, tracer, log):
    """What the other tests take off is one send and one read of 37 bytes, and nothing else."""
    port = free_port(network.b)
    with Program(network.b, log("server"), "iperf3", "--server", "--one-off", "--port", str(port)) as server:
        server.listening(port)
        command = ("iperf3", "--client", network.b.ipv4, "--port", str(port), "--json", "-n", "1M", "-R")
        with Program(network.a, log("client"), *command) as client:
            trace = tracer.follow(lambda: client.busy)
            (stream,) = _streams(json.loads(client.wait()))
        server.wait()
    both = [row for row in by_end(trace) if stream["port"] in (row.local_port, row.remote_port)]
    client_end = added([row for row in both if row.netns == network.a.inode])
    server_end = added([row for row in both if row.netns == network.b.inode])
    assert (client_end.sends, client_end.sent) == (1, COOKIE_BYTES)
    assert (server_end.reads, server_end.read) == (1, COOKIE_BYTES)
    assert server_end.sent == stream["sender"]


def _streams(report):
    """Return port of the client's end, direction, and bytes by the sender's and by the receiver's count."""
    ends = {one["socket"]: one["local_port"] for one in report["start"]["connected"]}
    return [
        {
            "port": ends[one["sender"]["socket"]],
            "direction": "to the server" if one["sender"]["sender"] else "to the client",
            "sender": one["sender"]["bytes"],
            "receiver": one["receiver"]["bytes"],
        }
        for one in report["end"]["streams"]
    ]


def _seen(trace, network, stream):
    """Return the bytes that the events of one stream's two ends say were sent and received in its test."""
    rows = [row for row in by_end(trace) if stream["port"] in (row.local_port, row.remote_port)]
    at_client = added([row for row in rows if row.netns == network.a.inode])
    at_server = added([row for row in rows if row.netns == network.b.inode])
    if stream["direction"] == "to the server":
        return at_client.sent - COOKIE_BYTES, at_server.read - COOKIE_BYTES
    return at_server.sent, at_client.read - _drained(trace, network, stream["port"])


def _drained(trace, network, port):
    """Return the bytes the client read after it had told the end of the test: it drains, and counts no more.

    It tells so on the first connection, which is the control connection, in the first byte sent alone.
    """
    opened = trace.connections[trace.connections["netns"] == network.a.inode]
    control = int(opened["local_port"][opened["time_ns"].argmin()])
    sends = trace.of(control, "send")
    end_ns = sends["time_ns"][sends["length"] == 1].min()
    reads = trace.of(port, "receive")
    late = reads[reads["time_ns"] > end_ns]
    return int(late["length"].sum())
