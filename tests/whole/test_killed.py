# SPDX-License-Identifier: Apache-2.0
"""An agent that is killed takes events with it, and the answers say so."""

import json
import time
from pathlib import Path

import pytest

from support.netns import VethPair, hosts_of
from support.topics import Topics
from support.traffic import echo
from support.whole_way import BIN, SHARDS, AgentProcess, Names, consume, query, run

pytestmark = pytest.mark.kernel
MESSAGES = 40
EVENTS = 3 * 2 * MESSAGES + 3
"""A send, an arrival and a read for each message and its answer; a connect and two closes."""
PATIENCE_SECONDS = 60.0


def attempted(names: Names) -> int:
    """Return what the newest heartbeat says was attempted."""
    beats = run([str(BIN / "wirelag"), "cat", names.control, "--bootstrap", names.bootstrap]).splitlines()
    totals = json.loads(beats[-1])["totals"] if beats else []
    return sum(int(one["events"]) for one in totals if one["reason"] == "attempted")


def test_what_a_killed_agent_had_not_delivered_is_missing(kafka: str, tmp_path: Path) -> None:
    """Its last heartbeat names the events; no record of them came, and the answer is not 100 %.

    It said no good-bye either, so what it saw after that heartbeat is not known.
    """
    topics = Topics(kafka)
    names = Names(kafka, topics("events", SHARDS), topics("control"), topics("latency"), topics("poison"))
    with VethPair() as network:
        with AgentProcess(names, hosts_of(network), "batch.max-age=1h", "agent.heartbeat=200ms") as killed:
            echo(network, MESSAGES, 100)
            deadline = time.monotonic() + PATIENCE_SECONDS
            while attempted(names) < EVENTS:
                assert time.monotonic() < deadline, "no heartbeat tells of the events"
            killed.kill()
        with AgentProcess(names, hosts_of(network)) as agent:
            echo(network, MESSAGES, 100)
    consume(names, tmp_path / "lake")
    assert agent.totals == {"kernel/attempted": EVENTS, "kafka/delivered": EVENTS}
    assert {(row["stage"], row["reason"]): row["events"] for row in query("losses", tmp_path / "lake")} == {
        ("kernel", "attempted"): 2 * EVENTS,
        ("kafka", "delivered"): EVENTS,
        ("consumer", "stored"): EVENTS,
        ("agent", "unaccounted"): EVENTS,
        ("agent", "unknown"): None,
    }
    assert {row["complete"] for row in query("latency", tmp_path / "lake")} == {0.5}
