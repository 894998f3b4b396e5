# SPDX-License-Identifier: Apache-2.0
"""A limit against real traffic: what is kept settles below it, and every event is accounted for."""

import pytest

from support.agents import heartbeats, in_kernel, total, until
from support.midnight import wait_for_a_day
from support.netns import VethPair, hosts_of
from support.paced import paced
from support.whole_way import SHARDS, AgentProcess, Names
from support.worker import Worker

pytestmark = [pytest.mark.kernel, pytest.mark.slow]
LIMIT = 500
PACE = 5000
"""Events a second, of both ends."""
CONNECTIONS = 200


@pytest.fixture(scope="module")
def network():
    with VethPair() as network:
        yield network


@pytest.fixture
def names(kafka, topics):
    return Names(kafka, topics("events", SHARDS), topics("control", 2), "", "")


def kept(beat):
    return total(beat, "kernel", "attempted") - total(beat, "kernel", "sampled")


def pace(first, last, figure):
    """Return how fast a figure grew between two heartbeats, a second."""
    return (figure(last) - figure(first)) / ((last.monotonic_ns - first.monotonic_ns) / 1e9)


def attempted(beat):
    return total(beat, "kernel", "attempted")


def test_kept_events_settle_below_their_limit_and_none_is_unaccounted_for(network, names, tmp_path):
    more = (f"agent.runtime-dir={tmp_path}", f"brakes.max-events-per-second={LIMIT}", "agent.heartbeat=200ms")
    with Worker() as worker, AgentProcess(names, hosts_of(network), *more) as agent:
        running = worker.start(paced, network, 35, PACE, CONNECTIONS)
        thinned = until(names, lambda beat: beat.rate_changes > 0)
        assert (thinned.state, thinned.why) == ("tracing", "max-events-per-second")
        running()
        traffic = [beat for beat in heartbeats(names) if attempted(beat) > 0]
    end = max(traffic, key=lambda beat: beat.sequence)
    settled = [beat for beat in traffic if beat.monotonic_ns > end.monotonic_ns - 10 * 10**9]
    first, last = settled[0], settled[-5]
    assert pace(first, last, attempted) > 1.5 * LIMIT, "there is too little traffic to tell"
    assert 0.1 * LIMIT < pace(first, last, kept) < 1.3 * LIMIT
    assert last.connection_rate == last.block_rate < 65_536
    totals = dict(agent.totals)
    accounted = totals.pop("kafka/delivered") + totals.pop("kernel/sampled") + totals.pop("kernel/missed", 0)
    assert (totals.pop("kernel/attempted"), totals) == (accounted, {})


def test_without_limits_nothing_is_sampled(network, names, tmp_path):
    more = (f"agent.runtime-dir={tmp_path}", "agent.heartbeat=200ms")
    with Worker() as worker, AgentProcess(names, hosts_of(network), *more) as agent:
        worker.run(paced, network, 3, PACE, CONNECTIONS)
    last = heartbeats(names)[-1]
    assert (last.connection_rate, last.block_rate, last.rate_changes) == (65_536, 65_536, 0)
    assert agent.totals.keys() <= {"kernel/attempted", "kafka/delivered", "kernel/missed"}


def test_a_limit_that_cannot_be_kept_detaches_the_agent(network, names, tmp_path):
    """It costs more with nothing to do than it may cost at all."""
    more = (f"agent.runtime-dir={tmp_path}", "brakes.max-cpu-percent=0.02")
    with AgentProcess(names, hosts_of(network), *more) as agent:
        assert in_kernel(agent.pid)
        thinned = until(names, lambda beat: beat.rate_changes > 0)
        assert thinned.why == "max-cpu-percent"
        stopped = until(names, lambda beat: beat.state == "stopped", 200.0)
        assert stopped.why.startswith("max-cpu-percent: missed by far with nearly nothing kept")
        assert (stopped.connection_rate, stopped.block_rate) == (8, 8)
        assert in_kernel(agent.pid) == []


@pytest.mark.timeout(600)
def test_a_spent_day_is_remembered_by_the_next_run(network, names, tmp_path):
    """The first run delivers more than a day may have; the second keeps nothing from its first second on."""
    wait_for_a_day()
    more = (f"agent.runtime-dir={tmp_path}", "brakes.max-bytes-per-day=10kB", "agent.heartbeat=200ms")
    with Worker() as worker, AgentProcess(names, hosts_of(network), *more):
        worker.run(paced, network, 3, PACE, CONNECTIONS)
        spent = until(names, lambda beat: (beat.connection_rate, beat.block_rate) == (0, 0))
        assert spent.why == "max-bytes-per-day: spent"
    with Worker() as worker, AgentProcess(names, hosts_of(network), *more) as second:
        until(names, lambda beat: beat.epoch > spent.epoch and beat.connection_rate == 0)
        worker.run(paced, network, 2, PACE, CONNECTIONS)
    assert second.totals["kernel/sampled"] > 0.95 * second.totals["kernel/attempted"]
