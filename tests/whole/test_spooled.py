# SPDX-License-Identifier: Apache-2.0
"""Kafka goes away under an agent; what it saw meanwhile reaches the lake, whichever run delivers it."""

import time
from pathlib import Path

import pytest

from agent.spool.inspect import reports
from agent.status import read_all
from support.kafka import KafkaNode
from support.netns import VethPair, hosts_of
from support.topics import Topics
from support.traffic import echo
from support.whole_way import SHARDS, AgentProcess, Names, consume, query

pytestmark = [pytest.mark.kernel, pytest.mark.slow]
MESSAGES = 40
PATIENCE_SECONDS = 60.0


def spooled(folder: Path) -> int:
    """Return the events that wait in a spool."""
    return sum(one.events for one in reports(folder, verify=False))


def wait_until_safe(folder: Path, runtime: Path, events: int) -> None:
    """Return once an agent says, a second from now or later, that all it saw is delivered or in the spool."""
    since_ns = time.monotonic_ns() + 10**9
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        for one in read_all(runtime):
            safe = one.events >= events and one.delivered + spooled(folder) == one.events
            if safe and one.monotonic_ns >= since_ns:
                return
            assert time.monotonic() < deadline, one
        time.sleep(0.05)


def names_on(node: KafkaNode) -> Names:
    """Return fresh topics on a node."""
    topics = Topics(node.bootstrap)
    return Names(
        node.bootstrap,
        topics("events", SHARDS),
        topics("control", 2),
        topics("latency"),
        topics("poison"),
    )


def test_an_outage_is_bridged_by_the_disk_and_a_kill_in_it_loses_nothing_there(
    kafka_node: KafkaNode, tmp_path: Path
) -> None:
    """One agent is killed while Kafka is away; the next one delivers what it had spooled, and its own."""
    names, folder = names_on(kafka_node), tmp_path / "spool"
    own = (f"spool.path={folder}", "spool.after=500ms", "batch.max-age=100ms", "agent.heartbeat=200ms")
    own = (*own, f"agent.runtime-dir={tmp_path / 'run'}")
    with VethPair("s") as network:
        hosts = hosts_of(network)
        with AgentProcess(names, hosts, *own) as killed:
            echo(network, MESSAGES, 100)
            kafka_node.suspend()
            echo(network, MESSAGES, 100)
            wait_until_safe(folder, tmp_path / "run", 2 * 6 * MESSAGES)
            before = spooled(folder)
            killed.kill()
        assert spooled(folder) == before
        kafka_node.resume()
        with AgentProcess(names, hosts, *own) as agent:
            echo(network, MESSAGES, 100)
            deadline = time.monotonic() + PATIENCE_SECONDS
            while spooled(folder):
                assert time.monotonic() < deadline
                time.sleep(0.05)
    consume(names, tmp_path / "lake")
    attempted = agent.totals["kernel/attempted"]
    assert agent.totals == {"kernel/attempted": attempted, "kafka/delivered": attempted}
    losses = {(row["stage"], row["reason"]): row["events"] for row in query("losses", tmp_path / "lake")}
    duplicates = losses.pop(("consumer", "duplicate"), 0)
    assert losses[("consumer", "stored")] >= 3 * 6 * MESSAGES
    assert losses.get(("consumer", "gap"), 0) == 0
    assert losses.get(("agent", "unaccounted"), 0) == 0
    assert duplicates <= before
