# SPDX-License-Identifier: Apache-2.0
"""The demo's six steps; each prints what it did and hands on what the next needs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from demo.agents import Agent
from demo.broker import SHARDS, records
from demo.hosts import V4, V6, Host
from wirelag import decode

PORT = 80
EVENTS_TOPIC = "wirelag.events.v1"
TIMEOUT = 120


class Truth(NamedTuple):
    """What the client says it did."""

    connections: int
    sends: int
    bytes: int


def say(step: int, name: str, text: str) -> None:
    """Print one step's line."""
    print(f"[{step}/6] {name:<9} {text}", flush=True)


def doctor() -> None:
    """Say whether this machine can trace; ends the demo with the one reason if it cannot."""
    command = [sys.executable, "-m", "agent", "check", "--offline"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise SystemExit(done.stderr.strip())
    kernel = next(line for line in done.stdout.splitlines() if line.startswith("kernel ok"))
    say(2, "check", kernel)


def traffic(hosts: tuple[Host, Host]) -> Truth:
    """Run the demo's client against its server while ``wirelag-agent count`` looks on."""
    near, far = hosts
    python = (sys.executable, "-m", "demo.traffic")
    listen = far.command(*python, "server", "::", str(PORT))
    server = subprocess.Popen(listen, stdout=subprocess.PIPE, text=True)  # noqa: S603
    paths = f"capture.netns={near.path},{far.path}"
    count = [sys.executable, "-m", "agent", "count", "--set", paths, "--interval", "0.5"]
    counter = subprocess.Popen(count, stdout=subprocess.PIPE, text=True)  # noqa: S603
    try:
        if server.stdout is None or counter.stdout is None or server.stdout.readline() != "ready\n":
            raise SystemExit("the demo's server did not start")
        counter.stdout.readline()
        client = near.command(*python, "client", str(PORT), V4[1], V6[1])
        done = subprocess.run(client, stdout=subprocess.PIPE, text=True, check=True, timeout=TIMEOUT)  # noqa: S603
        counter.terminate()
        lines = [line.split("(")[0].strip() for line in counter.stdout.read().splitlines()]
        print("        sends so far, live, no broker (the article's first program):")
        print("        " + "   ".join([*lines[:-1][-4:], lines[-1]]))
    finally:
        for process in (server, counter):
            process.kill()
            process.wait()
    return Truth(**json.loads(done.stdout))


def look_at_topic(address: str) -> None:
    """Show how much is on the topic and what one event looks like."""
    values = records(address, EVENTS_TOPIC)
    rows = [row for value in values for row in decode(value)]
    compressed = sum(len(pa.compress(value, codec="zstd", asbytes=True)) for value in values)
    size = f"{len(values)} records  {len(rows):,} events  {compressed / len(rows):.1f} B/event (zstd)"
    print(f"        {EVENTS_TOPIC}   {SHARDS} shards  {size}")
    print(f"        one event: {json.dumps(next(row for row in rows if row['kind'] == 'send'))}")


def wirelag(*arguments: str) -> str:
    """Run a ``wirelag`` command and return what it printed."""
    done = subprocess.run(  # noqa: S603
        [str(Path(sys.executable).with_name("wirelag")), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )
    if done.returncode:
        raise SystemExit(f"wirelag {' '.join(arguments)} ended with {done.returncode}")
    return done.stdout


class Verdict(NamedTuple):
    """What wirelag says of the traffic."""

    sends: int
    bytes: int


def matched(lake: Path) -> Verdict:
    """Count the matched messages and their bytes."""
    rows = [
        json.loads(line) for line in wirelag("query", "messages", "--lake", str(lake), "--json").splitlines()
    ]
    return Verdict(sum(row["last_piece"] for row in rows), sum(row["end"] - row["begin"] for row in rows))


def costs(words: list[dict[str, Any]]) -> None:
    """Print what the agents cost and where every event went."""
    totals: dict[str, int] = {}
    for agent in words:
        for name, events in agent["totals"].items():
            totals[name] = totals.get(name, 0) + events
    attempted, delivered = totals.pop("kernel/attempted", 0), totals.pop("kafka/delivered", 0)
    losses = sum(totals.values())
    print(f"ledger: kernel {attempted:,} = delivered {delivered:,} + lost {losses:,} {totals or ''}")
    kernel = sum(agent["kernel_ns"] for agent in words) / max(attempted, 1) / 1000
    cpu = max(agent["cpu_percent"] for agent in words)
    rss = max(agent["rss_mib"] for agent in words)
    print(f"cost:   {kernel:.2f} us/event in the kernel (three programs look on; alone: make bench-kernel)")
    print(f"        {cpu:.1f} % of one core and {rss:.0f} MiB for the busier agent")
    if attempted != delivered + losses:
        raise SystemExit("the ledger does not balance")


def stop(running: list[Agent]) -> list[dict[str, Any]]:
    """End the agents; returns their last words."""
    return [agent.stop() for agent in running]
