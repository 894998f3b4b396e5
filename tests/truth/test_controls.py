# SPDX-License-Identifier: Apache-2.0
"""The controls: the obvious ways to find positions are wrong under the same traffic.

Were one of these to pass, the tests beside it would prove nothing.
"""

import itertools
import socket
from contextlib import ExitStack

import pytest

from agent.decode import MalformedRecordError
from agent.kernel.capture import Capture, CaptureSettings
from schemas.event import Flag
from support import shared, storm
from support.netns import hosts_of
from support.trace import Tracer
from support.worker import Worker

EXACT_SEND = "emit_send(ctx, h, call, call->position, length, now, FLAG_LAST_PIECE);"
EXACT_RECEIVE = "emit_runs(ctx, h, call, result, bpf_ktime_get_ns(), flags);"


class EndMinusResult(Capture):
    """A send starts at write_seq minus its result, and a read likewise, both read when the call has ended."""

    def _text(self):
        text = super()._text()
        assert EXACT_SEND in text
        assert EXACT_RECEIVE in text
        send = """{
			struct conn *c = conns.lookup(&sk);
			if (!c || !read_block(h, sk))
				return;
			emit_send(ctx, h, call, sent_position(h, c) - result, result, now, 3);
		}"""
        receive = """{
			struct range all = { 0, result };
			struct conn open = {};
			read_block(h, sk);
			all.position = read_position(h, &open) - result;
			emit_receive(ctx, h, HOOK_RECEIVE, call, &all, bpf_ktime_get_ns(), 3);
		}"""
        text = text.replace(
            "struct send_call *call, u64 result, u64 now)",
            "struct send_call *call, u64 sk, u64 result, u64 now)",
        )
        text = text.replace(
            "emit_last(ctx, h, call, result, bpf_ktime_get_ns())",
            "emit_last(ctx, h, call, sk, result, bpf_ktime_get_ns())",
        )
        return text.replace(EXACT_SEND, send).replace(EXACT_RECEIVE, receive)


@pytest.fixture(scope="module")
def careless(network):
    capture = EndMinusResult(CaptureSettings(netns=hosts_of(network), ring_pages=256))
    capture.start()
    yield Tracer(capture)
    capture.stop()


def _last_pieces(trace, port, kind):
    """Return (position, length) of what the careless programs said at the end of each call."""
    found = trace.of(port, kind)
    found = found[found["flags"] & Flag.LAST_PIECE != 0]
    return list(zip(found["position"].tolist(), found["length"].tolist(), strict=True))


def _tiles(ranges):
    """Whether ranges follow each other without a gap or an overlap."""
    return all(a + length == b for (a, length), (b, _) in itertools.pairwise(ranges))


def test_write_seq_minus_result_is_wrong_where_writers_meet(network, worker, careless):
    port, _, runs = worker.run(shared.letters, network, 5, 10)
    ranges = _last_pieces(careless.take(), port, "send")
    assert sum(length for _, length in ranges) == sum(length for *_, length in runs)
    assert not _tiles(ranges)


@pytest.mark.parametrize("flags", [0, socket.MSG_WAITALL], ids=["plain", "waitall"])
def test_positions_read_without_the_lock_are_wrong_where_readers_meet(network, worker, careless, flags):
    for _ in range(10):
        truth = worker.run(shared.shared_reads, network, 3, 200_000, flags, peek=False)
        ranges = _last_pieces(careless.take(), truth.port, "receive")
        assert sum(length for _, length in ranges) == sum(length for *_, length in truth.ranges)
        if not _tiles(ranges):
            return
    pytest.fail("positions were right without the lock: the traffic proves nothing")


class CarelessFlush(Capture):
    """Submits batches that a hook may be filling."""

    def _text(self):
        text = super()._text()
        careless = text.replace(
            "	if (!acquire(h))\n		return 1 << which;\n	submit_facts", "	submit_facts"
        )
        assert careless != text
        return careless


def test_without_the_busy_flag_the_sums_break(steered):
    """The same storm as in test_conservation.py against a flush that asks nobody."""
    capture = CarelessFlush(CaptureSettings(netns=hosts_of(steered), ring_pages=8))
    capture.start()
    tracer = Tracer(capture)
    try:
        with ExitStack() as stack:
            crew = [stack.enter_context(Worker()) for _ in range(3)]
            broken = any(_breaks(tracer, crew, steered) for _ in range(9))
    finally:
        capture.stop()
    assert broken, "the sums held without the busy flag: the storm proves nothing"


def _breaks(tracer, crew, network):
    """Whether a storm leaves sums that are wrong, or a batch of which the length and the count differ."""
    try:
        return not storm.blow(tracer, crew, network, 4_000).exact
    except MalformedRecordError:
        return True
