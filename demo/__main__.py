# SPDX-License-Identifier: Apache-2.0
"""``make demo``: the whole way on traffic of its own; exit 0 only if every message sent was matched."""

import shutil
import sys
import time
from pathlib import Path

from demo import steps
from demo.agents import agents
from demo.broker import SHARDS, InProcessBroker
from demo.hosts import two_hosts
from demo.statistics import bpf_statistics

FOLDER = Path(".demo")


def main() -> int:
    """Run the demo and return its exit code."""
    begun = time.monotonic()
    lake = FOLDER / "lake"
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    steps.doctor()
    broker = InProcessBroker()
    with bpf_statistics(), two_hosts() as hosts:
        with agents(hosts, broker.address, SHARDS) as running:
            steps.say(
                3, "agents", "host-a and host-b: one agent each, one network namespace each, one kernel"
            )
            steps.say(4, "traffic", "8 connections over veth, IPv4 and IPv6, messages of 1 B to 1 MB")
            truth = steps.traffic(hosts)
            words = steps.stop(running)
        steps.say(5, "broker", "librdkafka's in-process broker (a real Apache Kafka: make kafka)")
        steps.look_at_topic(broker.address)
        where = ("--lake", str(lake), "--bootstrap", broker.address, "--set", f"kafka.shards={SHARDS}")
        summary = steps.wirelag("consume", *where, "--until-end", "--set", "service.log-level=warning")
    found = steps.matched(lake)
    steps.say(6, "consumer", summary.strip())
    wrong = found.sends != truth.sends or found.bytes != truth.bytes
    print(f"        sent {truth.sends} messages, {truth.bytes:,} B")
    print(f"        matched {found.sends} messages, {found.bytes:,} B\n")
    print(steps.wirelag("query", "latency", "--lake", str(lake), "--by", "edge"))
    print("one kernel's clock for both, so these latencies are exact; across machines each carries a bound")
    steps.costs(words)
    print(f"removed: 2 namespaces, BPF programs detached. Data: {lake}   ({time.monotonic() - begun:.0f} s)")
    print(f"next:   .venv/bin/wirelag query messages --lake {lake} --limit 5")
    print("        sudo .venv/bin/wirelag-agent count")
    if wrong:
        print("wirelag demo: matched is not what was sent", file=sys.stderr)
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
