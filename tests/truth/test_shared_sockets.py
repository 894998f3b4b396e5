# SPDX-License-Identifier: Apache-2.0
"""Several threads on one socket: each event is bytes of one call, and all events tile the stream."""

import socket

import pytest

from schemas.event import Flag
from support import shared
from support.trace import merged, triples


def test_pieces_of_sends_are_the_readers_runs(network, worker, tracer):
    """Blocking writers let others between their own bytes."""
    port, calls, runs = worker.run(shared.letters, network, 5, 10)
    sends = tracer.take().of(port, "send")
    assert merged(triples(sends)) == runs
    assert (sends["flags"] & Flag.LAST_PIECE != 0).sum() == calls
    assert (sends["flags"] & Flag.FIRST_PIECE != 0).sum() == calls
    assert len(sends) > calls, "no call was split: the traffic proves nothing"


@pytest.mark.parametrize("flags", [0, socket.MSG_WAITALL], ids=["plain", "waitall"])
@pytest.mark.parametrize("peek", [False, True], ids=["", "peek"])
def test_ranges_of_reads_are_the_words_each_reader_got(network, worker, tracer, flags, peek):
    truth = worker.run(shared.shared_reads, network, 3, 200_000, flags, peek=peek)
    reads = tracer.take().of(truth.port, "receive")
    assert merged(triples(reads)) == merged(truth.ranges)
    assert (reads["flags"] & Flag.LAST_PIECE != 0).sum() == truth.calls
