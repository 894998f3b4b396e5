# SPDX-License-Identifier: Apache-2.0
"""Lives and accounts the whole way: connects, closes, retransmits and coverage in the answers."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from support import lives, openings
from support.netns import Network, VethPair, hosts_of
from support.topics import Topics
from support.whole_way import BIN, SHARDS, AgentProcess, Names, consume, query, run
from support.worker import Worker

pytestmark = pytest.mark.kernel


class Answers(NamedTuple):
    """What was done, and what the lake says."""

    again: lives.Life
    left_open: lives.Life
    blind: int
    refused: int
    connections: dict[int, dict[str, Any]]
    connects: list[dict[str, Any]]
    retransmits: list[dict[str, Any]]
    latency: list[dict[str, Any]]


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with VethPair() as network:
        yield network


@pytest.fixture(scope="module")
def answers(network: Network, kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """Trace an open, a lossy, a refused and a multipath connection, and ask."""
    topics, folder = Topics(kafka), tmp_path_factory.mktemp("lives")
    names = Names(kafka, topics("events", SHARDS), topics("control"), topics("latency"), topics("poison"))
    place = f"agent.runtime-dir={folder / 'run'}"
    with Worker() as worker:
        with AgentProcess(names, hosts_of(network), place, "agent.heartbeat=200ms") as agent:
            left_open = worker.run(lives.begin, network, 700)
            with lives.dropping(network.b, every=9):
                again = worker.run(lives.conversation, network, 400_000, 10)
            refused = worker.run(lives.refused, network)
            blind, _ = worker.run(openings.multipath, network)
            run([str(BIN / "wirelag-agent"), "audit", "--set", place])
            agent.read_until("auditing")
            worker.run(lives.more, 40)
        worker.run(lives.end, 1)
    lake = folder / "lake"
    consume(names, lake)
    connections = {row["local_port"]: row for row in query("connections", lake)}
    latency = query("latency", lake, "--kind", "delivery", "--by", "measure")
    told = query("connects", lake), query("retransmits", lake)
    return Answers(again, left_open, blind, refused, connections, *told, latency)


def test_a_closed_connection_has_the_kernels_totals(answers: Answers) -> None:
    client = answers.connections[answers.again.client]
    assert (client["state"], client["audit"]) == ("closed", "complete")
    assert (client["sent_bytes"], client["received_bytes"]) == (400_000, 10)
    assert client["retransmits"] > 0
    assert client["duration_ns"] > 0


def test_an_open_connection_has_an_account_on_demand(answers: Answers) -> None:
    for port, sent in ((answers.left_open.client, 740), (answers.left_open.server, 0)):
        row = answers.connections[port]
        assert row["state"] == "open"
        assert row["audit"] == "complete"
        assert row["sent_bytes"] in {sent, sent - 40}, "before or after its next event"


def test_refused_connects_are_failures_by_name(answers: Answers) -> None:
    assert sum(row["failed"] for row in answers.connects) == 1
    assert sum(row["n"] for row in answers.connects) == 4
    assert "ECONNREFUSED" in str(answers.connects)


def test_retransmits_are_counted_by_edge(answers: Answers) -> None:
    assert sum(row["segments"] for row in answers.retransmits) > 0


def test_blind_bytes_are_not_covered(answers: Answers) -> None:
    assert answers.connections[answers.blind]["audit"] == "blind"
    (row,) = answers.latency
    assert row["blind"] >= 1
    assert 0 < row["cover"] < 1
