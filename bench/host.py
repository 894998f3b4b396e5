# SPDX-License-Identifier: Apache-2.0
"""What the agent costs a host that is idle, and one with 500 events a second: CPU, memory, bytes a day.

The agent runs as it is installed, with its defaults but for the broker (librdkafka's own, in a process of
its own) and for the brakes, which are off: nothing is thinned. Bytes are those of each record, compressed by
zstd. Run as root: ``python -m bench.host``.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zstandard

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from bench import load
from bench.report import report
from demo.agents import Agent
from demo.broker import SHARDS, records
from demo.hosts import Host
from support.netns import Network, VethPair
from support.worker import Worker

SECONDS = 20
EVENTS_PER_SECOND = 500
IDLE_PERCENT, MEMORY_MIB = 0.5, 110
DAY = 86_400


def main() -> None:
    """Measure both hosts and print; the last lines are the goals' JSON objects."""
    command = [sys.executable, "-m", "bench.agent", "broker"]
    broker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603
    try:
        assert broker.stdout is not None
        address = broker.stdout.readline().strip()
        with VethPair() as network, Worker() as worker:
            idle = measure(load.quiet, network, worker, address)
            busy = measure(load.paced, network, worker, address, EVENTS_PER_SECOND)
        values = records(address, "wirelag.events.v1")
    finally:
        broker.kill()
        broker.wait()
    events = busy["totals"]["kafka/delivered"]
    size = sum(len(zstandard.compress(value)) for value in values) / events
    gigabytes = size * EVENTS_PER_SECOND * DAY / 1e9
    print(f"idle: {idle['cpu_percent']} % of a core, {idle['rss_mib']} MiB")
    print(f"{EVENTS_PER_SECOND} events/s: {busy['cpu_percent']} % of a core, {busy['rss_mib']} MiB")
    print(f"{events} events in {len(values)} records: {size:.1f} B/event, {gigabytes:.2f} GB a day")
    report("idle-cpu-percent", idle["cpu_percent"], IDLE_PERCENT)
    report("rss-mib", idle["rss_mib"], MEMORY_MIB)


def measure(
    what: Callable[..., None], network: Network, worker: Worker, address: str, *more: float
) -> dict[str, Any]:
    """Run the agent over a stretch of load and return its last words."""
    agent = Agent(Host("bench", network.a.name), address, SHARDS)
    try:
        agent.started()
        worker.run(what, network, SECONDS, *more)
        return agent.stop()
    finally:
        agent.kill()


if __name__ == "__main__":
    main()
