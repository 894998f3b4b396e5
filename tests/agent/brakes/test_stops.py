# SPDX-License-Identifier: Apache-2.0
"""An agent that is stopped by a file or an order: nothing of it stays in the kernel, and its run goes on."""

import json
import subprocess
import uuid
from collections import defaultdict
from pathlib import Path

import pytest

from schemas.order import ORDERS
from support.agents import batches, heartbeats, in_kernel, total, until
from support.netns import VethPair, hosts_of
from support.topics import Topics
from support.traffic import echo
from support.whole_way import BIN, SHARDS, AgentProcess, Names

pytestmark = pytest.mark.kernel
MESSAGES = 30
EVENTS = 3 * 2 * MESSAGES
"""A send, an arrival and a read for each message and its answer."""


@pytest.fixture(scope="module")
def network():
    with VethPair() as network:
        yield network


@pytest.fixture
def names(kafka, topics):
    control = topics("control", 2, cleanup_policy="compact")
    return Names(kafka, topics("events", SHARDS), control, "", "")


class Braked(AgentProcess):
    """An agent with a name, a folder and an off-file of its own."""

    def __init__(self, names, network, folder: Path, *more: str) -> None:
        self.host = f"host-{uuid.uuid4().hex[:8]}"
        self.off = folder / "off"
        own = (
            f"agent.host-name={self.host}",
            f"agent.runtime-dir={folder / 'run'}",
            f"brakes.off-file={self.off}",
            "agent.heartbeat=200ms",
            *more,
        )
        super().__init__(names, hosts_of(network), *own)


def control(names, *arguments: str) -> subprocess.CompletedProcess:
    """Run ``wirelag control`` to its end."""
    command = [str(BIN / "wirelag"), "control", *arguments, *names.settings()]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=100)


def seen(names, events):
    """Wait until so many events were attempted, of streams only."""
    return until(names, lambda beat: total(beat, "kernel", "attempted") >= events)


def assert_one_run(names, agent):
    """Sequences of each shard go on without a hole, under one epoch, and the books are balanced."""
    found, numbers = batches(names), defaultdict(list)
    for one in found:
        numbers[one.shard].append(one.sequence)
    assert len({one.epoch for one in found}) == 1
    assert all(sorted(set(part)) == list(range(len(set(part)))) for part in numbers.values())
    totals = dict(agent.totals)
    attempted, missed = totals.pop("kernel/attempted"), totals.pop("kernel/missed", 0)
    assert totals == {"kafka/delivered": attempted - missed}
    assert sum(one.events for one in found) == attempted - missed
    beats = heartbeats(names)
    assert [beat.sequence for beat in beats] == list(range(len(beats)))
    counted = [total(beat, "kernel", "attempted") for beat in beats]
    assert counted == sorted(counted), "totals only grow"
    return found


def stream_events(found):
    return sum(one.sends.events + one.receives.events + one.arrivals.events for one in found)


def test_a_file_detaches_the_agent_and_its_absence_attaches_it(network, names, tmp_path):
    with Braked(names, network, tmp_path) as agent:
        assert in_kernel(agent.pid)
        echo(network, MESSAGES, 100)
        seen(names, EVENTS)
        agent.off.write_text("incident 7\nand more")
        stopped = until(names, lambda beat: beat.state == "stopped")
        assert in_kernel(agent.pid) == []
        assert stopped.why == f"file {agent.off}: incident 7"
        assert total(stopped, "kernel", "attempted") >= EVENTS
        echo(network, MESSAGES, 100)
        agent.off.unlink()
        until(names, lambda beat: beat.state == "tracing")
        assert in_kernel(agent.pid)
        echo(network, MESSAGES, 100)
        seen(names, 2 * EVENTS)
    assert stream_events(assert_one_run(names, agent)) == 2 * EVENTS


def test_what_was_captured_before_a_stop_is_delivered_while_it_lasts(network, names, tmp_path):
    """Though batches may wait for an hour."""
    with Braked(names, network, tmp_path, "batch.max-age=1h") as agent:
        echo(network, MESSAGES, 100)
        agent.off.touch()
        until(names, lambda beat: beat.state == "stopped" and total(beat, "kafka", "delivered") >= EVENTS)
        assert stream_events(batches(names)) == EVENTS
    assert_one_run(names, agent)


def test_an_agent_that_starts_beside_the_file_never_attaches(network, names, tmp_path):
    (tmp_path / "off").write_text("not yet")
    with Braked(names, network, tmp_path) as agent:
        assert in_kernel(agent.pid) == []
        echo(network, MESSAGES, 100)
        stopped = until(names, lambda beat: beat.state == "stopped")
        assert (stopped.why, total(stopped, "kernel", "attempted")) == (f"file {agent.off}: not yet", 0)
        agent.off.unlink()
        until(names, lambda beat: beat.state == "tracing")
        echo(network, MESSAGES, 100)
        seen(names, EVENTS)
    assert stream_events(assert_one_run(names, agent)) == EVENTS


def test_an_order_is_carried_out_and_acknowledged(network, names, tmp_path):
    with Braked(names, network, tmp_path) as agent:
        echo(network, MESSAGES, 100)
        seen(names, EVENTS)
        done = control(names, "stop", "--host", "host-*", "--why", "load test", "--wait", "60s")
        assert done.returncode == 0, done.stderr
        number = int(done.stdout.split()[1])
        answer = done.stdout.splitlines()[1]
        assert answer.startswith(f"{agent.host}  stopped: order of ")
        assert answer.endswith(": load test")
        assert in_kernel(agent.pid) == []
        assert heartbeats(names)[-1].order == number
        echo(network, MESSAGES, 100)
        rows = [json.loads(line) for line in control(names, "list", "--json").stdout.splitlines()]
        assert [(row["kind"], row.get("action") or row["state"]) for row in rows] == [
            ("order", "stop"),
            ("agent", "stopped"),
        ]
        done = control(names, "start", "--host", "host-*", "--wait", "60s")
        assert (done.returncode, done.stdout.splitlines()[1]) == (0, f"{agent.host}  tracing")
        echo(network, MESSAGES, 100)
        seen(names, 2 * EVENTS)
    assert stream_events(assert_one_run(names, agent)) == 2 * EVENTS


def test_an_order_to_others_changes_nothing_and_says_so(network, names, tmp_path):
    with Braked(names, network, tmp_path) as agent:
        until(names, lambda beat: beat.state == "tracing")
        done = control(names, "stop", "--host", "nobody-*", "--wait", "1s")
        assert done.returncode == 1
        assert "no agent that runs has such a name" in done.stderr
        assert in_kernel(agent.pid)
        assert heartbeats(names)[-1].order == 0


def test_an_order_that_is_there_already_holds_from_the_start(network, names, tmp_path):
    """And an order that cannot be read, or is over, does not."""
    done = control(names, "stop", "--host", "host-*", "--wait", "0s")
    assert done.returncode == 1
    produce(names, b"broken", b"{")
    with Braked(names, network, tmp_path) as agent:
        assert in_kernel(agent.pid) == []
        until(names, lambda beat: beat.state == "stopped" and beat.order > 0)
    control(names, "stop", "--host", "host-*", "--for", "1ms", "--wait", "0s")
    with Braked(names, network, tmp_path) as agent:
        assert in_kernel(agent.pid)


def produce(names, key, value):
    from common.kafka import KafkaSettings  # noqa: PLC0415
    from wirelag.kafka import send  # noqa: PLC0415 - a package that this test does not test

    send(KafkaSettings(bootstrap_servers=names.bootstrap), names.control, ORDERS, key, value)


def test_the_file_stops_where_the_topic_carries_no_orders(network, kafka, topics: Topics, tmp_path):
    names = Names(kafka, topics("events", SHARDS), topics("control", 1), "", "")
    with Braked(names, network, tmp_path) as agent:
        done = control(names, "stop", "--host", agent.host)
        assert done.returncode == 2
        assert "has one partition: it carries no orders" in done.stderr
        agent.off.touch()
        until(names, lambda beat: beat.state == "stopped")
        assert in_kernel(agent.pid) == []
    assert agent.totals == {}
