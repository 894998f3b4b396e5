# SPDX-License-Identifier: Apache-2.0
"""Exchanges of real programs: their names, and turns and network time between the programs' own stamps."""

import numpy as np
import pytest

from consumer.latency.turns.gate import Verdict, judge
from consumer.latency.turns.network import meet
from consumer.latency.turns.state import Ends, nothing, step
from consumer.latency.turns.tables import EARLY, Moves, Totals, closing, join, no_exchanges
from support import asking
from support.trace import KINDS

END = 2**62
AHEAD = 10**15
"""How far the server's clock is made to run ahead."""
CLIENT = np.array([True, False])
MOVE = {"arrival": 0, "receive": 1, "send": 2}
SHAPES = {
    "small": ([80], [500]),
    "parts": ([120, 9_000, 40_000], [300, 20_000]),
    "large": ([300_000], [500_000]),
}


def moves(trace, ports):
    """All moves of one connection: end 0 is the client, end 1 the server with a clock of its own."""
    parts = []
    for end, port in enumerate(ports):
        for kind in KINDS:
            seen = trace.of(port, kind)
            zero = np.zeros(len(seen), dtype=np.int64)
            number = zero.astype(np.int32) + np.int32(end)
            begin = seen["position"].astype(np.int64)
            stop = begin + (0 if kind == "arrival" else seen["length"].astype(np.int64))
            time = seen["time_ns"].astype(np.int64) + end * AHEAD
            until = time + (seen["duration_ns"].astype(np.int64) if kind == "send" else 0)
            what = np.full(len(seen), MOVE[kind], dtype=np.int8)
            parts.append(Moves(number, what, begin, stop, time, until, zero, number, zero))
    return join(*parts)


def told(seen):
    known = Ends(CLIENT, np.array([True, True]), np.array([END, END]))
    found = step(nothing(), seen, known)[1]
    return found, meet(no_exchanges(), found.exchanges, CLIENT, -1)[1]


def closed(asked):
    """What the closes of both ends would say, an instant after all."""
    last = asked[-1]
    sent, answered = np.int64(last.request_end), np.int64(2**40)
    columns = [np.array(pair) for pair in ([sent, answered], [answered, sent], [END - 2, END - 2], [0, 0])]
    return closing(Totals(np.array([0, 1], dtype=np.int32), *columns), CLIENT)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_turns_and_network_time_are_those_of_the_programs(network, worker, tracer, shape):
    """Every exchange is found under its name, and each figure lies between the programs' own stamps."""
    thinks = [1_000_000 * (1 + number % 4) for number in range(24)]
    talk = worker.run(asking.ask, network, thinks, *shape)
    found, joined = told(join(moves(tracer.take(), talk.ports), closed(talk.asked)))
    assert found.unproved.end.size == 0
    names = list(zip(joined.client.request_end.tolist(), joined.client.response_begin.tolist(), strict=True))
    assert names == [(one.request_end, one.response_begin) for one in talk.asked]
    assert joined.alone.end.size == joined.crossed.end.size == 0
    rows = (joined.client.turn.tolist(), joined.server.turn.tolist(), joined.network.tolist())
    for one, response, think, way in zip(talk.asked, *rows, strict=True):
        assert one.think_ns <= one.first_send.before_ns - one.last_read.after_ns <= think
        assert think <= one.first_send.after_ns - max(one.last_read.before_ns, one.last_send.before_ns)
        assert one.first_send.before_ns - one.last_send.after_ns <= response
        assert response <= one.first_read.after_ns - one.last_send.before_ns
        assert 0 < way == response - think
        assert way <= one.first_read.after_ns - one.last_send.before_ns - one.think_ns
    assert not (found.exchanges.marks & EARLY).any(), "not even where the client closed its side"


def test_requests_that_overtake_responses_are_marked_at_a_real_server(network, worker, tracer):
    ports = worker.run(asking.overtake, network, 40)
    found, joined = told(moves(tracer.take(), ports))
    server = found.exchanges.end == 1
    exchanges, marked = int(server.sum()), int((server & found.exchanges.pipelined).sum())
    assert exchanges == marked == 39
    assert judge(np.array([exchanges]), np.array([marked])).tolist() == [Verdict.PIPELINED]
    assert joined.client.end.size == 0
    assert joined.crossed.end.size >= 38


def test_with_events_lost_what_is_told_of_real_traffic_is_still_true(network, worker, tracer):
    talk = worker.run(asking.ask, network, [200_000] * 60, *SHAPES["parts"])
    seen = moves(tracer.take(), talk.ports)
    whole = {(one.request_end, one.response_begin) for one in talk.asked}
    for seed in range(5):
        kept = np.random.default_rng(seed).random(seen.end.size) >= 0.1
        found, joined = told(Moves(*(column[kept] for column in seen)))
        rows = found.exchanges
        names = set(zip(rows.request_end.tolist(), rows.response_begin.tolist(), strict=True))
        assert names <= whole
        assert joined.crossed.end.size == 0
        assert (joined.network > 0).all()
