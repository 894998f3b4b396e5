# SPDX-License-Identifier: Apache-2.0
"""What sampling keeps: the same bytes at both ends, whole connections; what it leaves out is counted."""

import pytest

from agent.kernel.capture import Capture, CaptureSettings
from schemas.batch import FULL_RATE
from schemas.event import Kind
from support import lives, traffic
from support.netns import hosts_of
from support.trace import Tracer

HALF = FULL_RATE // 2
BLOCK = 1 << 16
WORD = 2**64 - 1


@pytest.fixture
def sampled(network):
    """A capture whose rates a test sets, and whose sums are checked at its end."""
    capture = Capture(CaptureSettings(netns=hosts_of(network), ring_pages=256, lives=True))
    capture.start()
    tracer = Tracer(capture)
    try:
        yield tracer
    finally:
        counters = capture.stop().counters
    assert all(hook.unaccounted == 0 for hook in counters.hooks.values()), counters
    assert counters.lost == 0


def _mixed(x):
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & WORD
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & WORD
    return x ^ (x >> 31)


def _hash(fact):
    low, high = sorted((int(fact["iss"]), int(fact["irs"])))
    return _mixed(high << 32 | low)


def _block_kept(fact, position, rate):
    """Whether the sender of this fact keeps the block of a byte of its stream."""
    end = int(fact["iss"] > fact["irs"])
    return _mixed(_hash(fact) ^ (position // BLOCK << 1 | end)) >> 48 < rate


def test_sends_are_kept_by_the_block_of_their_last_byte(network, worker, sampled):
    sampled.capture.sample(0, HALF)
    calls = worker.run(traffic.echo, network, 120, 30_011)
    trace = sampled.take()
    fact = trace.connection(calls[0].port)
    truth = [call for call in calls if call.kind == "send" and call.port == calls[0].port]
    wanted = [(c.position, c.length) for c in truth if _block_kept(fact, c.position + c.length - 1, HALF)]
    assert trace.ranges(calls[0].port, "send") == wanted
    assert 0 < len(wanted) < len(truth)
    assert set(trace.events["rates"].tolist()) == {HALF}


def test_of_each_kept_send_the_read_and_the_arrival_are_kept(network, worker, sampled):
    sampled.capture.sample(0, HALF // 4)
    calls = worker.run(traffic.echo, network, 150, 30_011)
    sender, receiver = calls[0].port, next(call.port for call in calls if call.port != calls[0].port)
    trace = sampled.take()
    reads = trace.ranges(receiver, "receive")
    truth = {(c.position, c.length) for c in calls if c.kind == "receive" and c.port == receiver}
    arrivals = {int(one["position"]) for one in trace.of(receiver, "arrival")}
    assert len(reads) < len(truth)
    for position, length in trace.ranges(sender, "send"):
        last = position + length - 1
        (covering,) = [(begin, size) for begin, size in truth if begin <= last < begin + size]
        assert covering in reads
        assert any(end > last for end in arrivals)


def test_connections_are_kept_whole_at_both_ends(network, worker, sampled):
    sampled.capture.sample(HALF, 0)
    worker.run(lives.many, network, 60)
    trace = sampled.take()
    events = trace.events[trace.events["kind"] != Kind.CONNECT]
    ends = {}
    for one in events.tolist():
        iss, irs = one[5], one[6]
        ends.setdefault((min(iss, irs), max(iss, irs)), []).append(one[11])
    assert 10 <= len(ends) <= 50, "of 60, each by the toss of a coin"
    whole = sorted([Kind.SEND, Kind.RECEIVE, Kind.ARRIVAL, Kind.CLOSE, Kind.CLOSE])
    assert [kinds for kinds in map(sorted, ends.values()) if kinds != whole] == []


def test_rates_of_zero_leave_nothing_but_counts(network, worker, sampled):
    sampled.capture.sample(0, 0)
    worker.run(lives.conversation, network, 90_000, 500)
    assert not len(sampled.take().events)
    counters = sampled.capture.counters()
    assert counters.sampled == counters.attempts > 0


def test_a_change_of_rates_is_told_with_each_event(network, worker, sampled):
    worker.run(lives.conversation, network, 200_000, 500)
    sampled.capture.sample(1, HALF)
    worker.run(lives.conversation, network, 200_000, 500)
    sampled.capture.sample(FULL_RATE, FULL_RATE)
    worker.run(lives.conversation, network, 200_000, 500)
    trace = sampled.take()
    ordered = trace.events[trace.events["time_ns"].argsort()]["rates"].tolist()
    changes = [rate for before, rate in zip([None, *ordered], ordered, strict=False) if rate != before]
    assert changes == [0, 1 << 16 | HALF, 0]
    counters = sampled.capture.counters()
    assert counters.attempts - counters.sampled == len(ordered)
