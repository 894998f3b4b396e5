# SPDX-License-Identifier: Apache-2.0
"""The agent is killed or stands still, and its disk fails it; what it saw is stored or counted."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.spool.inspect import reports
from agent.status import read_all
from support.consumer import halted
from support.faults import Faults
from support.house import ROOT
from support.kafka import KafkaNode
from support.netns import VethPair, hosts_of
from support.sender import SHARDS, Kept, Sender, events_of
from support.spool import RUN
from support.topics import Topics
from support.traffic import echo
from support.whole_way import SHARDS as REAL_SHARDS
from support.whole_way import AgentProcess, Names, consume, query

MESSAGES = 40
EVENTS = 3 * 2 * MESSAGES + 3
MANY = 1_500
"""Messages: more events than rings of 8 pages hold."""
PATIENCE_SECONDS = 60.0
pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def network() -> Iterator[VethPair]:
    with VethPair() as pair:
        yield pair


def names_on(node: KafkaNode) -> Names:
    """Return fresh topics for the whole way."""
    made = Topics(node.bootstrap)
    events, control = made("events", REAL_SHARDS), made("control", 2)
    return Names(node.bootstrap, events, control, made("latency"), made("poison"))


class Killed:
    """A process that sends, what it said it would send, and what it said is safe."""

    def __init__(self, node: KafkaNode, topic: str, folder: Path, epoch: int) -> None:
        self.epoch = epoch
        self.sent = self.safe = [0] * SHARDS
        command = [
            sys.executable,
            "-m",
            "support.sender_main",
            node.bootstrap,
            topic,
            str(folder),
            str(epoch),
        ]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        )

    def run(self, looks: int) -> None:
        """Let it say so often that something is safe, then kill it and hear the rest."""
        assert self._process.stdout is not None
        try:
            for line in self._process.stdout:
                looks -= self._hear(line)
                if looks <= 0:
                    break
        finally:
            self._process.kill()
        for line in self._process.stdout:
            self._hear(line)
        self._process.wait()
        self._process.stdout.close()
        assert looks <= 0, "it ended before it was killed"

    def _hear(self, line: str) -> int:
        what, *numbers = line.split()
        if what not in {"sends", "safe"} or len(numbers) < SHARDS or not line.endswith("\n"):
            return 0  # a line of the log, or one that was cut off
        if what == "sends":
            self.sent = list(map(int, numbers))
        else:
            self.safe = list(map(int, numbers))
        return what == "safe" and any(self.safe)


def test_an_agent_is_killed_again_and_again(
    node: KafkaNode, topic: str, tmp_path: Path, faults: Faults
) -> None:
    """Every other time while the broker hangs. Only what was in its memory alone is gone."""
    dice, times, runs, left = random.Random(5), faults.times(50, 3), [], 0  # noqa: S311 - a test's dice
    for number in range(times):
        if number % 2:
            node.suspend()
        runs.append(Killed(node, topic, tmp_path / "spool", number + 1))
        runs[-1].run(dice.randrange(2, 12))
        left += spooled(tmp_path / "spool")
        if number % 2:
            node.resume()
    last = Sender(node.bootstrap, topic, tmp_path / "spool", RUN._replace(epoch=times + 1))
    held = last.delivery.waiting
    seconds = last.recovered() if held else None
    last.until(last.is_settled)
    last.end()
    kept = Kept(node.bootstrap, topic)
    for run in runs:
        found = {(shard, n) for epoch, shard, n in kept.names if epoch == run.epoch}
        safe = {(shard, n) for shard in range(SHARDS) for n in range(run.safe[shard])}
        assert safe <= found, "what was acknowledged or on the disk"
    sent = sum(events_of(n) for run in runs for shard in range(SHARDS) for n in range(run.sent[shard]))
    assert left > 0, "some kill has to meet records in the spool"
    faults.tell(
        "agent killed (SIGKILL), every other time while the broker hangs",
        events=sent,
        stored=kept.events,
        lost={"agent/unaccounted": sent - kept.events},
        duplicates=kept.duplicates,
        recovery_seconds=seconds,
        where="topic",
        times=times,
    )


@pytest.mark.kernel
def test_an_agent_stands_still_for_longer_than_its_rings_last(
    node: KafkaNode, network: VethPair, tmp_path: Path, faults: Faults
) -> None:
    """The kernel counts what it cannot hand over, to the event; afterwards all goes on."""
    names = names_on(node)
    own = ("capture.ring-pages=8", f"agent.runtime-dir={tmp_path}/run")
    with AgentProcess(names, hosts_of(network), *own) as agent:
        echo(network, MESSAGES, 100)
        os.kill(agent.pid, signal.SIGSTOP)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not halted(agent.pid):
            assert time.monotonic() < deadline
        echo(network, MANY, 100)
        os.kill(agent.pid, signal.SIGCONT)
        echo(network, MESSAGES, 100)
    consume(names, tmp_path / "lake")
    account = {(row["stage"], row["reason"]): row["events"] for row in query("losses", tmp_path / "lake")}
    attempted, stored = agent.totals["kernel/attempted"], account[("consumer", "stored")]
    assert attempted == 2 * EVENTS + 3 * 2 * MANY + 3
    lost = {
        reason: events
        for reason, events in agent.totals.items()
        if reason not in {"kernel/attempted", "kafka/delivered"}
    }
    assert lost["perf-buffer/full"] > 0
    faults.tell(
        "agent stopped (SIGSTOP) until its rings run over", events=attempted, stored=stored, lost=lost
    )


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


@pytest.mark.kernel
def test_an_outage_is_bridged_by_the_disk_and_a_kill_in_it_loses_nothing_there(
    node: KafkaNode, network: VethPair, tmp_path: Path, faults: Faults
) -> None:
    """The whole way: one agent is killed while the broker hangs; the next one delivers what it had spooled.

    What the hanging broker had taken in without an answer is sent again; the consumer drops it.
    """
    names, folder = names_on(node), tmp_path / "spool"
    own = (f"spool.path={folder}", "spool.after=500ms", "batch.max-age=100ms", "agent.heartbeat=200ms")
    own = (*own, f"agent.runtime-dir={tmp_path / 'run'}")
    hosts = hosts_of(network)
    with AgentProcess(names, hosts, *own) as killed:
        echo(network, MESSAGES, 100)
        node.suspend()
        echo(network, MESSAGES, 100)
        wait_until_safe(folder, tmp_path / "run", 2 * EVENTS)
        before = spooled(folder)
        killed.kill()
    assert spooled(folder) == before > 0
    node.resume()
    with AgentProcess(names, hosts, *own) as agent:
        begun, deadline = time.monotonic(), time.monotonic() + PATIENCE_SECONDS
        echo(network, MESSAGES, 100)
        while spooled(folder):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        seconds = round(time.monotonic() - begun, 1)
        node.suspend()
        echo(network, MESSAGES, 100)
        wait_until_safe(folder, tmp_path / "run", 2 * EVENTS)
        node.resume()
        while spooled(folder):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    consume(names, tmp_path / "lake")
    assert agent.totals == {"kernel/attempted": 2 * EVENTS, "kafka/delivered": 2 * EVENTS}
    account = {(row["stage"], row["reason"]): row["events"] for row in query("losses", tmp_path / "lake")}
    duplicates = account.pop(("consumer", "duplicate"), 0)
    assert duplicates > 0, "the broker took in what it had not acknowledged in time"
    assert not {key for key in account if key[1] in {"gap", "unaccounted"} and account[key]}
    faults.tell(
        "broker hung, agent killed in it, next agent delivers",
        events=4 * EVENTS,
        stored=account[("consumer", "stored")],
        duplicates=duplicates,
        recovery_seconds=seconds,
    )
