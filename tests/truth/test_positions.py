# SPDX-License-Identifier: Apache-2.0
"""Positions, lengths, times and threads of events are those of the application's own calls."""

import socket

import pytest

from support import traffic
from support.trace import assert_arrivals_cover, assert_exact


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_an_exchange_is_seen_call_by_call(network, worker, tracer, family):
    calls = worker.run(traffic.echo, network, 20, 300, family)
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
