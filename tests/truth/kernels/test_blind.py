# SPDX-License-Identifier: Apache-2.0
"""Kernel TLS: what its calls count is not bytes of the TCP stream, so it is told as blind from then on.

Arrivals may go on until the reader's next call: they are of the TCP stream, and true.
"""

import pytest

from schemas.batch import Mark
from support import openings


@pytest.mark.parametrize("moved", [0, 8, 70_000], ids=["fresh", "after-a-word", "in-mid-stream"])
def test_kernel_tls_is_told_as_blind_from_then_on(network, worker, tracer, moved):
    client, server = worker.run(openings.keep, network, "secret", 8, moved)
    before = tracer.take()
    if moved:
        assert sum(length for _, length in before.ranges(client, "send")) == moved
        assert sum(length for _, length in before.ranges(server, "receive")) == moved
    worker.run(openings.encrypt, "secret")
    worker.run(openings.use, "secret")
    trace = tracer.take()
    for port in (client, server):
        assert trace.connection(port)["flags"] & Mark.ULP
        assert not len(trace.of(port, "send"))
        assert not len(trace.of(port, "receive"))
