# SPDX-License-Identifier: Apache-2.0
"""No event is lost silently: every attempt is delivered, lost, nested or left, whatever the storm."""

import os
from contextlib import ExitStack, contextmanager

import pytest

from agent.decode import SequenceCheck, decode
from agent.kernel.capture import Capture, CaptureSettings
from agent.kernel.counters import HOOK_NAMES
from support import traffic
from support.netns import hosts_of
from support.worker import Worker

STORMS = 3


class CarelessFlush(Capture):
    """Submits batches that a hook may be filling: the control of these tests."""

    def _text(self):
        text = super()._text()
        careless = text.replace(
            "	if (!acquire(h))\n		return 1 << which;\n	submit_facts", "	submit_facts"
        )
        assert careless != text
        return careless


class Outcome:
    """What one storm came to."""

    def __init__(self, capture, workers, network):
        self.sent = self.read = self.missing = 0
        self.received = dict.fromkeys(range(len(HOOK_NAMES)), 0)
        sequences, capture_records = SequenceCheck(), []
        answers = [worker.start(traffic.storm, network, 2, 4_000) for worker in workers]
        while any(worker.busy for worker in workers):
            capture_records += capture.cycle().records
        for answer in answers:
            sent, read = answer()
            self.sent, self.read = self.sent + sent, self.read + read
        final = capture.stop()
        self.counters = final.counters
        spans = decode([*capture_records, *final.records]).spans
        self.missing = sequences.update(spans)
        for _, stream, _, count in spans.tolist():
            if stream in self.received:
                self.received[stream] += count

    @property
    def exact(self):
        """Whether all sums are right: the kernel's own, and those against what came."""
        hooks = self.counters.hooks
        return (
            all(hook.unaccounted == 0 for hook in hooks.values())
            and self.counters.facts.unaccounted == 0
            and self.counters.residual == 0
            and all(hooks[name].delivered == self.received[i] for i, name in enumerate(HOOK_NAMES))
        )


@pytest.fixture(scope="module")
def crew():
    """As many processes as keep all CPUs busy."""
    with ExitStack() as stack:
        yield [stack.enter_context(Worker()) for _ in range(3)]


@pytest.fixture
def steered(network):
    """Packets are handed to all CPUs in turn (RPS), so softirqs meet hooks everywhere."""
    _steer(network, f"{(1 << os.cpu_count()) - 1:x}")
    yield network
    _steer(network, "0")


def _steer(network, mask):
    for host in network.hosts:
        queue = f"/sys/class/net/{host.interface}/queues/rx-0/rps_cpus"
        host.run("sh", "-c", f"echo {mask} > {queue}")


@contextmanager
def _started(kind, network, **settings):
    capture = kind(CaptureSettings(netns=hosts_of(network), **settings))
    capture.start()
    try:
        yield capture
    finally:
        if capture.running:
            capture.stop()


def test_every_event_of_a_storm_is_accounted_for(steered, crew):
    """A ring of 8 pages, all CPUs busy, and a flush as fast as one thread without a CPU of its own can."""
    with _started(Capture, steered, ring_pages=8) as capture:
        storm = Outcome(capture, crew, steered)
    assert storm.exact, storm.counters
    facts_lost = storm.counters.facts.lost
    assert storm.missing <= storm.counters.lost + facts_lost
    assert storm.counters.hooks["state"].attempts == 0


def test_attempts_are_the_applications_own_calls(steered, crew):
    with _started(Capture, steered) as capture:
        storm = Outcome(capture, crew, steered)
    send, receive = storm.counters.hooks["send"], storm.counters.hooks["receive"]
    assert storm.sent - send.misses <= send.attempts <= storm.sent
    assert storm.read - receive.misses <= receive.attempts <= storm.read
    assert (send.calls, receive.calls) == (send.attempts, receive.attempts)


def test_a_ring_that_is_never_read_loses_and_says_how_much(network, worker):
    with _started(Capture, network, ring_pages=1, batch=16) as capture:
        sent, read = worker.run(traffic.storm, network, 1, 2_000)
        final = capture.stop()
    assert final.counters.lost > 0
    assert final.counters.hooks["send"].attempts == sent
    assert final.counters.hooks["receive"].attempts == read
    assert all(hook.unaccounted == 0 for hook in final.counters.hooks.values())
    events = decode(final.records).events
    assert len(events) == final.counters.delivered


def test_without_the_busy_flag_the_sums_break(steered, crew):
    """The control: the same storm against a flush that asks nobody."""
    for _ in range(STORMS * 3):
        with _started(CarelessFlush, steered, ring_pages=8) as capture:
            if not Outcome(capture, crew, steered).exact:
                return
    pytest.fail("the sums held without the busy flag: the storm proves nothing")
