# SPDX-License-Identifier: Apache-2.0
"""Redis' own counts of commands, reads, writes and bytes are those of the events, pipelined or not.

The capture began before the server, so its sums are of all that the server ever did. The answer to INFO,
which is seen too, is in none of the server's counts yet.
"""

import re

import pytest

from support.matching import audits
from support.program import Program, free_port, run
from support.sums import added, by_end

REQUESTS = 4000
CLIENTS = 8
ENDED = CLIENTS + 1
"""Connections that ended before INFO, one of them redis-benchmark's question for settings: Redis counts the
read that finds the end."""


@pytest.fixture
def server(network, log):
    port = free_port(network.b)
    settings = {
        "port": str(port),
        "bind": network.b.ipv4,
        "protected-mode": "no",
        "save": "",
        "dir": str(log("server").parent),
    }
    words = [word for name, value in settings.items() for word in (f"--{name}", value)]
    with Program(network.b, log("server"), "redis-server", *words) as server:
        yield server.listening(port), port


@pytest.mark.parametrize("pipelined", [1, 16])
def test_commands_and_bytes_are_those_of_the_server(network, tracer, log, server, pipelined):
    program, port = server
    at = ("-h", network.b.ipv4, "-p", str(port))
    load = ("-n", str(REQUESTS), "-c", str(CLIENTS), "-P", str(pipelined), "-t", "set", "-d", "100", "-q")
    with Program(network.a, log("benchmark"), "redis-benchmark", *at, *load) as benchmark:
        trace = tracer.follow(lambda: benchmark.busy)
        benchmark.wait()
    answer = run(network.a, log("info"), "redis-cli", *at, "INFO", "ALL")
    program.end()
    said = dict(re.findall(r"^(\w+):(\d+)\r?$", answer, re.MULTILINE))
    commands = int(re.search(r"cmdstat_set:calls=(\d+)", answer)[1])
    ends = by_end(trace)
    at_client, at_server = (added([end for end in ends if end.netns == host.inode]) for host in network.hosts)
    after = tracer.take()
    (asking,) = (end for end in by_end(after) if end.netns == network.b.inode and end.reads)
    assert set(audits(trace + after, network.hosts)) == {"COMPLETE"}

    assert commands == REQUESTS
    assert at_client.sends == commands // pipelined + 1, f"{at_client}, Redis: {commands} commands"
    assert at_client[3:] == (*at_server[5:], *at_server[3:5]), f"client {at_client}, server {at_server}"
    seen = {
        "total_connections_received": sum(end.netns == network.b.inode for end in ends) + 1,
        "total_net_input_bytes": at_server.read + asking.read,
        "total_net_output_bytes": at_server.sent,
        "total_reads_processed": at_server.reads + ENDED + asking.reads,
        "total_writes_processed": at_server.sends,
    }
    assert seen == {name: int(said[name]) for name in seen}, f"events {seen}, Redis {said}"
