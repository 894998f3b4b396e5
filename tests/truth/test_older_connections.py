# SPDX-License-Identifier: Apache-2.0
"""A connection that was open before the agent attached is seen as exactly as any other."""

import pytest

from agent.decode import ConnectionFlag
from agent.kernel.capture import Capture, CaptureSettings
from support import openings
from support.netns import hosts_of
from support.trace import Tracer

BEFORE = {"idle": 0, "used": 5_000}


@pytest.fixture(scope="module")
def older(network, worker):
    """Connections made first, then a capture; returns it and the ports by name."""
    ports = {
        (use, backlog): worker.run(openings.keep, network, f"{use}{backlog}", backlog, before)
        for use, before in BEFORE.items()
        for backlog in (0, 8)
    }
    capture = Capture(CaptureSettings(netns=hosts_of(network)))
    capture.start()
    yield Tracer(capture), ports
    capture.stop()


@pytest.mark.parametrize("use", BEFORE)
@pytest.mark.parametrize("backlog", [0, 8], ids=["listen(0)", "listen(8)"])
def test_role_and_positions_are_found_from_the_socket(older, worker, use, backlog):
    tracer, ports = older
    client, server = ports[use, backlog]
    calls = worker.run(openings.use, f"{use}{backlog}")
    trace = tracer.take()
    for port in (client, server):
        for kind in ("send", "receive"):
            truth = [(BEFORE[use] + c.position, c.length) for c in calls if (c.port, c.kind) == (port, kind)]
            assert trace.ranges(port, kind) == truth
    one, other = trace.connection(client), trace.connection(server)
    assert (one["role"], other["role"]) == (1, 2)
    assert (one["iss"], one["irs"]) == (other["irs"], other["iss"])
    assert one["flags"] == other["flags"] == ConnectionFlag.OLDER
