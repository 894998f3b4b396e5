# SPDX-License-Identifier: Apache-2.0
"""Goal 3: what one event costs the agent's process, against a program that handles each by itself.

Both run as processes of their own, in turn, over the same ping-pong between two namespaces, and send to a
broker in a third process (librdkafka's own, so that no disk takes part). Counted is all processor time of
the process after it has started: poll, decode, pack, compress, produce. Run as root: ``python -m
bench.agent``.
"""

import json
import resource
import statistics
import subprocess
import sys
import threading
from pathlib import Path
from typing import NamedTuple

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from agent.brakes.settings import BrakesSection
from agent.service import AgentService
from agent.settings import AgentSettings, BatchSection, CaptureSection
from agent.spool.settings import SpoolSection
from bench.naive.agent import NaiveAgent
from bench.report import report
from common.kafka import KafkaSettings
from common.log import setup_logging
from demo.broker import SHARDS, InProcessBroker
from support import traffic
from support.netns import Network, VethPair, hosts_of
from support.worker import Worker

ROUNDS = 5
MESSAGES = 60_000
SIZE = 200
GOAL = 1 / 15
TOPIC = "wirelag.events.v1"


class Cost(NamedTuple):
    """What a subject said at its end."""

    events: int
    lost: int
    cpu_seconds: float

    @property
    def microseconds(self) -> float:
        """Processor time an event."""
        return self.cpu_seconds / self.events * 1e6


def main() -> None:
    """Measure in alternation and print; the last line is the goal's JSON object."""
    broker = subprocess.Popen(
        [sys.executable, "-m", "bench.agent", "broker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert broker.stdout is not None
        address = broker.stdout.readline().strip()
        with VethPair() as network, Worker() as worker:
            subjects = ("ours", "naive") * ROUNDS
            costs = [measure(subject, network, worker, address) for subject in subjects]
    finally:
        broker.kill()
        broker.wait()
    rounds = list(zip(costs[::2], costs[1::2], strict=True))
    own = [ours.microseconds for ours, _ in rounds]
    print(f"noise, wirelag against itself: a factor of {max(own) / min(own):.2f} over {ROUNDS} rounds")
    report("agent-cpu-per-event", statistics.median(a.microseconds / b.microseconds for a, b in rounds), GOAL)


def measure(subject: str, network: Network, worker: Worker, address: str) -> Cost:
    """Start a subject, give it traffic, end it, and return what it cost."""
    inodes = ",".join(map(str, hosts_of(network)))
    command = [sys.executable, "-m", "bench.agent", subject, inodes, address]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        assert process.stdout.readline() == "started\n"
        worker.run(traffic.echo, network, MESSAGES, SIZE)
        process.stdin.close()
        cost = Cost(**json.loads(process.stdout.readline()))
    finally:
        process.kill()
        process.wait()
    print(
        f"{subject}: {cost.microseconds:.2f} us an event ({cost.events} events, {cost.lost} lost)", flush=True
    )
    return cost


def run_ours(inodes: str, address: str) -> None:
    """Be the agent that keeps every event, until standard input ends."""
    run_agent(inodes, address, BrakesSection(max_cpu_percent=0))


def run_braked(inodes: str, address: str) -> None:
    """Be the agent that keeps to its default limits, until standard input ends."""
    run_agent(inodes, address, BrakesSection())


def run_agent(inodes: str, address: str, brakes: BrakesSection) -> None:
    """Be the agent until standard input ends."""
    settings = AgentSettings(
        brakes=brakes,
        capture=CaptureSection(netns=tuple(inodes.split(","))),
        batch=BatchSection(),
        kafka=KafkaSettings(bootstrap_servers=address, shards=SHARDS),
        spool=SpoolSection(path=""),
    )
    setup_logging(level="warning")
    service, stop = AgentService(settings), threading.Event()
    started = []

    def watch() -> None:
        print("started", flush=True)
        started.append(cpu_seconds())
        sys.stdin.read()
        stop.set()

    service.run(stop, on_started=lambda: threading.Thread(target=watch, daemon=True).start())
    used = cpu_seconds() - started[0]
    ledger = service.ledger
    say(ledger.total("kafka", "delivered"), ledger.lost() + ledger.in_flight(), used)


def run_naive(inodes: str, address: str) -> None:
    """Be the reference until standard input ends."""
    options = {"bootstrap.servers": address, "acks": "all", "enable.idempotence": True}
    subject = NaiveAgent(tuple(map(int, inodes.split(","))), options, TOPIC)
    subject.start()
    stop = threading.Event()

    def watch() -> None:
        sys.stdin.read()
        stop.set()

    threading.Thread(target=watch, daemon=True).start()
    print("started", flush=True)
    before = cpu_seconds()
    while not stop.is_set():
        subject.poll(50)
    subject.flush()
    say(subject.events, subject.lost, cpu_seconds() - before)


def cpu_seconds() -> float:
    """Return user and system time of this process, all its threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def say(events: int, lost: int, used: float) -> None:
    """Print what ``measure`` reads."""
    print(json.dumps({"events": events, "lost": lost, "cpu_seconds": used}), flush=True)


def serve() -> None:
    """Be the broker until standard input ends."""
    broker = InProcessBroker()
    print(broker.address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    elif sys.argv[1] == "broker":
        serve()
    else:
        {"ours": run_ours, "braked": run_braked, "naive": run_naive}[sys.argv[1]](*sys.argv[2:])
