# SPDX-License-Identifier: Apache-2.0
"""A connection that was open before the agent attached is seen as exactly as any other."""

import numpy as np
import pytest

from agent.kernel.capture import Capture, CaptureSettings
from schemas.batch import Mark
from support import openings
from support.netns import hosts_of
from support.trace import KINDS, Tracer

MANY = 200
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
    assert one["flags"] == other["flags"] == Mark.OLDER


@pytest.mark.parametrize("backlog", [0, 8], ids=["listen(0)", "listen(8)"])
@pytest.mark.parametrize("end", [0, 1], ids=["opener", "acceptor"])
def test_role_is_found_after_one_end_has_said_all(network, worker, end, backlog):
    """The FIN of the closed side counts like the SYN whose trace is looked for."""
    ports = worker.run(openings.keep, network, "halved", backlog, 500)
    worker.run(openings.say_all, "halved", end)
    capture = Capture(CaptureSettings(netns=hosts_of(network)))
    capture.start()
    tracer = Tracer(capture)
    try:
        worker.run(openings.say_more, "halved", 1 - end)
        trace = tracer.take()
    finally:
        capture.stop()
    one, other = (trace.connection(port) for port in ports)
    assert (one["role"], other["role"]) == (1, 2)
    assert (one["iss"], one["irs"]) == (other["irs"], other["iss"])
    assert one["flags"] == other["flags"] == Mark.OLDER
    assert trace.ranges(ports[1 - end], "send") == trace.ranges(ports[end], "receive") == [(500, 300)]


def test_connections_that_gave_way_to_others_are_found_again(network, worker):
    """More connections than the programs keep: each is adopted anew, none becomes another."""
    names = [f"many{i}" for i in range(MANY)]
    capture = Capture(CaptureSettings(netns=hosts_of(network), connections=64))
    capture.start()
    tracer = Tracer(capture)
    try:
        ports = [worker.run(openings.keep, network, name, 8, 0) for name in names]
        first = [worker.run(openings.use, name, close=False) for name in names]
        again = [worker.run(openings.use, name) for name in names]
        trace = tracer.take()
        assert len(trace.connections) > 2 * MANY, "nothing gave way: the traffic proves nothing"
        assert all(hook.identity_changes == 0 for hook in capture.counters().hooks.values())
    finally:
        capture.stop()
    for (client, server), before, after in zip(ports, first, again, strict=True):
        facts = trace.connections[trace.connections["local_port"] == client]
        assert set(facts["role"].tolist()) == {1}
        for port in (client, server):
            for kind in ("send", "receive"):
                mine = _ranges(trace, port, kind)
                moved = sum(c.length for c in before if (c.port, c.kind) == (port, kind))
                truth = [(c.position, c.length) for c in before if (c.port, c.kind) == (port, kind)]
                truth += [(moved + c.position, c.length) for c in after if (c.port, c.kind) == (port, kind)]
                assert mine == truth


def _ranges(trace, port, kind):
    """Return (position, length) of the events of all facts of one end."""
    facts = trace.connections[trace.connections["local_port"] == port]
    assert len(set(zip(facts["iss"].tolist(), facts["irs"].tolist(), strict=True))) == 1
    events = trace.events[(trace.events["iss"] == facts["iss"][0]) & (trace.events["irs"] == facts["irs"][0])]
    events = np.sort(events[events["kind"] == KINDS[kind]], order="position")
    return list(zip(events["position"].tolist(), events["length"].tolist(), strict=True))
