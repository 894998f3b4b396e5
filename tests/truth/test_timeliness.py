# SPDX-License-Identifier: Apache-2.0
"""What was emitted before a cycle is handed over by it, however quiet the host."""

import time

from support import openings, shared

QUIET_SECONDS = 0.15


def test_a_lone_message_on_idle_cpus_comes_with_the_next_flush(network, worker, tracer):
    """A batch of 128 would wait for hours, and a timer may sleep with its CPU: a flush reaches it at once."""
    worker.run(openings.keep, network, "quiet", 8, 0)
    for i in range(5):
        time.sleep(QUIET_SECONDS)  # the quiet itself, not a wait for anything
        read_ns = worker.run(openings.one_way, "quiet", 10)
        decoded, complete_until_ns = tracer.cycle()
        events = decoded.events
        assert complete_until_ns >= read_ns
        assert sorted(events["kind"].tolist()) == [1, 2, 3]
        assert set(events["position"].tolist()) == {i * 10, i * 10 + 10}
    worker.run(openings.use, "quiet")


def test_nothing_comes_after_the_moment_it_was_said_to_be_complete(network, worker, tracer):
    """Cycles run beside the traffic; an event may come early, never late."""
    answer = worker.start(shared.shared_reads, network, 3, 100_000, 0, peek=False)
    complete, cycles = 0, 0
    while worker.busy or cycles < 3:
        decoded, until = tracer.cycle()
        events = decoded.events
        emitted = events["time_ns"] + events["duration_ns"] * (events["kind"] == 1)
        assert (emitted >= complete).all()
        assert until >= complete
        complete, cycles = until, cycles + 1
    answer()


def test_facts_are_there_when_their_events_are_complete(network, worker, tracer):
    answer = worker.start(shared.letters, network, 3, 3)
    known, waiting = set(), []
    while worker.busy or waiting:
        decoded, until = tracer.cycle()
        known |= {(int(fact["iss"]), int(fact["irs"])) for fact in decoded.connections}
        for event in decoded.events:
            emitted = int(event["time_ns"]) + int(event["duration_ns"]) * (event["kind"] == 1)
            waiting.append((emitted, (int(event["iss"]), int(event["irs"]))))
        assert {pair for emitted, pair in waiting if emitted < until} <= known
        waiting = [one for one in waiting if one[0] >= until]
    answer()
