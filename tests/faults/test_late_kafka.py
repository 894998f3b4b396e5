# SPDX-License-Identifier: Apache-2.0
"""The agent is there before Kafka: it traces into its spool, or waits, and never gives up."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.arrival import Arrival
from agent.delivery.kafka import KafkaDelivery
from agent.exposed import Exposed
from agent.ledger import Ledger
from agent.settings import AgentSettings
from agent.spool.inspect import reports
from common.kafka import KafkaSettings
from support.agents import in_kernel
from support.consumer import read_topic
from support.faults import Faults
from support.http import get
from support.kafka import KafkaNode
from support.netns import VethPair, hosts_of
from support.topics import Topics
from support.traffic import echo
from support.whole_way import SHARDS, AgentProcess, Names, consume, query

pytestmark = pytest.mark.kernel
MESSAGES = 40
EVENTS = 3 * 2 * MESSAGES + 3
PATIENCE_SECONDS = 60.0
WAITING = "waiting for Kafka: there is no spool that could bridge it (spool.path)"


@pytest.fixture(scope="module")
def network() -> Iterator[VethPair]:
    with VethPair() as pair:
        yield pair


def names_on(node: KafkaNode) -> Names:
    """Return topics that the node will have once ``make`` is called."""
    text = f"{time.monotonic_ns()}"
    return Names(node.bootstrap, *(f"{name}.{text}" for name in ("events", "control", "latency", "poison")))


def make(names: Names, shards: int = SHARDS) -> None:
    """Make the topics."""
    topics = Topics(names.bootstrap)
    for name, partitions in (
        (names.events, shards),
        (names.control, 2),
        (names.latency, 1),
        (names.poison, 1),
    ):
        topics.create(name, partitions, {"message.timestamp.type": "LogAppendTime"})


def own(tmp_path: Path, *more: str) -> tuple[str, ...]:
    quick = ("spool.after=500ms", "batch.max-age=100ms", "agent.heartbeat=200ms")
    return (*quick, f"agent.runtime-dir={tmp_path}/run", *more)


def test_it_traces_into_the_spool_until_kafka_is_there(
    node: KafkaNode, network: VethPair, tmp_path: Path, faults: Faults
) -> None:
    node.stop()
    names = names_on(node)
    with AgentProcess(names, hosts_of(network), *own(tmp_path, f"spool.path={tmp_path}/spool")) as agent:
        assert agent.heard("tracing without Kafka: the spool keeps what is seen until it answers")
        echo(network, MESSAGES, 100)
        node.start()
        make(names)
        begun = time.monotonic()
        agent.read_until("Kafka answers, and its topics fit")
        seconds = time.monotonic() - begun
        echo(network, MESSAGES, 100)
    assert agent.totals == {"kernel/attempted": 2 * EVENTS, "kafka/delivered": 2 * EVENTS}
    consume(names, tmp_path / "lake")
    losses = {(row["stage"], row["reason"]): row["events"] for row in query("losses", tmp_path / "lake")}
    stored = losses[("consumer", "stored")]
    assert set(losses) <= {("kernel", "attempted"), ("kafka", "delivered"), ("consumer", "stored")}
    faults.tell(
        "agent started before Kafka",
        events=agent.totals["kernel/attempted"],
        stored=stored,
        recovery_seconds=round(seconds, 1),
    )


def test_without_a_spool_it_waits_lives_and_says_for_what(
    node: KafkaNode, network: VethPair, tmp_path: Path
) -> None:
    """Nothing is attached meanwhile; it is asked over HTTP, as a probe does."""
    names = names_on(node)
    make(names)
    node.suspend()
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
    listen = f"service.metrics-listen=127.0.0.1:{port}"
    agent = AgentProcess(names, hosts_of(network), *own(tmp_path, listen))
    with agent.begun(WAITING):
        assert get(("127.0.0.1", port), "/livez") == (200, "ok\n")
        status, said = get(("127.0.0.1", port), "/readyz")
        assert (status, said.startswith("Kafka has not answered yet: ")) == (503, True)
        assert in_kernel(agent.pid) == []
        node.resume()
        agent.read_until("tracing")
        echo(network, MESSAGES, 100)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while get(("127.0.0.1", port), "/readyz") != (200, "ok\n"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert agent.totals == {"kernel/attempted": EVENTS, "kafka/delivered": EVENTS}


def test_who_waits_can_be_ended() -> None:
    settings = AgentSettings(kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"))
    stop, exposed = threading.Event(), Exposed("")
    stop.set()
    with Arrival(settings, KafkaDelivery(settings.kafka, Ledger()), exposed) as arrival:
        assert not arrival.wait(stop)


def test_topics_that_do_not_fit_are_refused_as_soon_as_kafka_says_so(
    node: KafkaNode, network: VethPair, tmp_path: Path
) -> None:
    """Exit 2, which systemd does not try again; nothing went to the wrong partitions, all is in the spool."""
    names = names_on(node)
    make(names, SHARDS + 1)
    node.suspend()
    folder = tmp_path / "spool"
    with AgentProcess(names, hosts_of(network), *own(tmp_path, f"spool.path={folder}")) as agent:
        echo(network, MESSAGES, 100)
        node.resume()
        totals = agent.read_until("stopped")["totals"]
        assert agent.code() == 2
    held = sum(one.events for one in reports(folder, verify=True))
    found = read_topic(names.bootstrap, names.events, SHARDS + 1)
    assert found == []
    assert (totals, held) == ({"kernel/attempted": held}, EVENTS)
