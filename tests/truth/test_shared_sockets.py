# SPDX-License-Identifier: Apache-2.0
"""Several threads on one socket: each event is bytes of one call, and all events tile the stream."""

import socket

import pytest

from schemas.event import Flag
from support import shared


def _merged(events):
    """Join one thread's neighbouring ranges, as runs of one letter are joined."""
    runs = []
    for thread, position, length in events:
        if runs and runs[-1][0] == thread and runs[-1][1] + runs[-1][2] == position:
            runs[-1] = (thread, runs[-1][1], runs[-1][2] + length)
        else:
            runs.append((thread, position, length))
    return runs


def _triples(events):
    return list(
        zip(events["tid"].tolist(), events["position"].tolist(), events["length"].tolist(), strict=True)
    )


def test_pieces_of_sends_are_the_readers_runs(network, worker, tracer):
    """Blocking writers let others between their own bytes."""
    port, calls, runs = worker.run(shared.letters, network, 5, 10)
    sends = tracer.take().of(port, "send")
    assert _merged(_triples(sends)) == runs
    assert (sends["flags"] & Flag.LAST_PIECE != 0).sum() == calls
    assert (sends["flags"] & Flag.FIRST_PIECE != 0).sum() == calls
    assert len(sends) > calls, "no call was split: the traffic proves nothing"


@pytest.mark.parametrize("flags", [0, socket.MSG_WAITALL], ids=["plain", "waitall"])
@pytest.mark.parametrize("peek", [False, True], ids=["", "peek"])
def test_ranges_of_reads_are_the_words_each_reader_got(network, worker, tracer, flags, peek):
    truth = worker.run(shared.shared_reads, network, 3, 200_000, flags, peek=peek)
    reads = tracer.take().of(truth.port, "receive")
    assert _merged(_triples(reads)) == _merged(truth.ranges)
    assert (reads["flags"] & Flag.LAST_PIECE != 0).sum() == truth.calls
