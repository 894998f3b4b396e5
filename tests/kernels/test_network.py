# SPDX-License-Identifier: Apache-2.0
"""A bad path moves no position: loss, reordering, doubling and delay, on both ways at once."""

import pytest

from support import shapes
from support.trace import assert_arrivals_cover, assert_exact

PATHS = {
    "loss": ("loss", "3%", "delay", "1ms"),
    "reorder": ("delay", "4ms", "reorder", "30%", "50%"),
    "duplicate": ("duplicate", "10%", "delay", "1ms"),
    "jitter": ("delay", "3ms", "2ms"),
}


@pytest.fixture
def path(network, request):
    for host in network.hosts:
        host.run("tc", "qdisc", "add", "dev", host.interface, "root", "netem", *PATHS[request.param])
    yield network
    for host in network.hosts:
        host.run("tc", "qdisc", "del", "dev", host.interface, "root")


@pytest.mark.parametrize("path", PATHS, indirect=True)
def test_positions_on_a_bad_path(path, worker, tracer):
    calls = worker.run(shapes.bulk, path, [40_000] * 6)
    trace = tracer.take()
    assert_exact(trace, calls)
    assert_arrivals_cover(trace, calls[-1].port)
