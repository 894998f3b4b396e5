# SPDX-License-Identifier: Apache-2.0
"""A bad path moves no position: loss, reordering, doubling and delay, on both ways at once."""

from pathlib import Path

import pytest

from schemas.event import Flag
from support import shapes, shared
from support.trace import assert_arrivals_cover, assert_exact, merged, triples

PATHS = {
    "loss": ("loss", "3%", "delay", "1ms"),
    "reorder": ("delay", "4ms", "reorder", "30%", "50%"),
    "duplicate": ("duplicate", "10%", "delay", "1ms"),
    "jitter": ("delay", "3ms", "2ms"),
    "all": ("loss", "2%", "delay", "3ms", "1ms", "duplicate", "2%", "reorder", "20%"),
}


@pytest.fixture
def path(network, request):
    for host in network.hosts:
        host.run("tc", "qdisc", "add", "dev", host.interface, "root", "netem", *PATHS[request.param])
    yield network
    for host in network.hosts:
        host.run("tc", "qdisc", "del", "dev", host.interface, "root")


def _retransmitted(host):
    """Return the segments that a host has sent again so far."""
    with host.entered():
        lines = Path("/proc/thread-self/net/snmp").read_text(encoding="ascii").splitlines()
    names, values = (line.split() for line in lines if line.startswith("Tcp:"))
    return int(values[names.index("RetransSegs")])


@pytest.mark.parametrize("path", PATHS, indirect=True)
def test_positions_on_a_bad_path(path, worker, tracer):
    calls = worker.run(shapes.bulk, path, [40_000] * 6)
    trace = tracer.take()
    assert_exact(trace, calls)
    assert_arrivals_cover(trace, calls[-1].port)


@pytest.mark.parametrize("path", ["loss", "all"], indirect=True)
def test_what_is_sent_again_is_no_event_of_its_own(path, worker, tracer):
    before = _retransmitted(path.a)
    while _retransmitted(path.a) < before + 3:
        calls = worker.run(shapes.bulk, path, [200_000] * 3)
        assert_exact(tracer.take(), calls)


@pytest.mark.parametrize("path", ["all"], indirect=True)
def test_pieces_of_several_writers_on_a_bad_path(path, worker, tracer):
    port, calls, runs = worker.run(shared.letters, path, 3, 3)
    sends = tracer.take().of(port, "send")
    assert merged(triples(sends)) == runs
    assert (sends["flags"] & Flag.LAST_PIECE != 0).sum() == calls
