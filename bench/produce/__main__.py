# SPDX-License-Identifier: Apache-2.0
"""Goal 6: megabytes a second to a real Kafka, acks=all, against librdkafka's own C interface.

The same library (the one beside the Python client), settings, values and bound of bytes on their way; each
run is a process of its own. A round is C, agent, C: the two C runs say how far the machine is from itself.
Values are pieces of encoded batches, so they compress as records do. Run: ``python -m bench.produce``.

Broker and clients share the machine: beside the rate stands the CPU of the client's process, all threads. The
broker's log is in memory where there is room for files there: the disk's moods are not what is asked.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests"))

import confluent_kafka

from agent.settings import AgentSettings
from bench.report import report
from common.config import load
from support.batches import Fleet
from support.kafka import KafkaNode
from support.topics import Topics

ROOT = Path(__file__).resolve().parents[2]
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made there
SHARDS = 4
WINDOW = 24 * 2**20
"""Bytes on their way at most; the agent's buffer, and librdkafka's, is 32 MiB."""
ROUND_BYTES = 192 * 10**6
SIZES = {"30 kB": 30_000, "3 kB": 3_000}
TARGET = 0.9


class Run(NamedTuple):
    """One stretch of all values."""

    seconds: float
    cpu_seconds: float


class Bench:
    """What every run is given."""

    def __init__(self, folder: Path, bootstrap: str, compression: str) -> None:
        self._folder = folder
        self._topics = Topics(bootstrap)
        self._client = build(folder)
        self._told = [
            f"kafka.bootstrap-servers={bootstrap}",
            f"kafka.shards={SHARDS}",
            f"kafka.compression={compression}",
            f"spool.path={folder / 'spool'}",
        ]
        self._control = self._topics("control", 2)

    def client(self, values: Path) -> Run:
        """Run the C program."""
        told = load(AgentSettings, overrides=self._told).kafka.producer()
        options = [f"{key}={_plain(value)}" for key, value in told.items()]
        return _run([str(self._client), str(values), self._topic(), str(SHARDS), str(WINDOW), *options])

    def agent(self, values: Path) -> Run:
        """Run the agent's delivery."""
        topics = [f"kafka.events-topic={self._topic()}", f"kafka.control-topic={self._control}"]
        command = [sys.executable, "-m", "bench.produce.agent", str(values), str(WINDOW)]
        return _run([*command, *self._told, *topics])

    def _topic(self) -> str:
        """Return a fresh topic; what it holds is deleted soon."""
        return self._topics("produce", SHARDS, retention_bytes="1000000", segment_bytes="64000000")


def build(folder: Path) -> Path:
    """Compile client.c against the librdkafka that the Python client brings."""
    libraries = Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs"
    [library] = libraries.glob("librdkafka-*.so*")
    made = folder / "client"
    source = Path(__file__).with_name("client.c")
    options = ["-O2", "-Wall", "-Werror", f"-Wl,-rpath,{libraries}", "-Wl,--allow-shlib-undefined"]
    subprocess.run(["cc", str(source), str(library), *options, "-o", str(made)], check=True)  # noqa: S603, S607
    return made


def write_values(path: Path, size: int) -> int:
    """Write values of one size to a file; returns their number."""
    fleet = Fleet(shards=SHARDS, connections=30)
    whole = bytearray()
    while len(whole) < ROUND_BYTES // 8:
        whole += b"".join(value for _, value in fleet.talk(45))
    with path.open("wb") as file:
        for number in range(count := ROUND_BYTES // size):
            at = number * size * 7 % (len(whole) - size)
            file.write(size.to_bytes(4, "little") + whole[at : at + size])
    return count


def _run(command: list[str]) -> Run:
    environ = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, cwd=ROOT, env=environ)  # noqa: S603
    return Run(*map(float, done.stdout.split()[-2:]))


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def measure(bench: Bench, folder: Path, name: str, rounds: int) -> float:
    """Measure one size of values; returns the median of the rounds' ratios."""
    path = folder / "values"
    count = write_values(path, SIZES[name])
    megabytes = count * SIZES[name] / 1e6
    print(f"{name}: {count} values, {megabytes:.0f} MB a run")
    ratios, noise, cpus = [], [], []
    for number in range(rounds):
        before, ours, after = bench.client(path), bench.agent(path), bench.client(path)
        c = (before.seconds + after.seconds) / 2
        ratios.append(c / ours.seconds)
        noise.append(before.seconds / after.seconds)
        cpus.append(ours.cpu_seconds / ((before.cpu_seconds + after.cpu_seconds) / 2))
        rates = " ".join(f"{megabytes / one.seconds:6.1f}" for one in (before, ours, after))
        used = " ".join(f"{one.cpu_seconds:5.2f}" for one in (before, ours, after))
        print(f"  round {number + 1}: C, agent, C: {rates} MB/s; {used} s of CPU", flush=True)
    print(
        f"  agent / C: {statistics.median(ratios):.3f} ({min(ratios):.2f} to {max(ratios):.2f}); C / C: "
        f"{statistics.median(noise):.3f} ({min(noise):.2f} to {max(noise):.2f}); "
        f"CPU of agent / C: {statistics.median(cpus):.2f}"
    )
    return statistics.median(ratios)


def main() -> None:
    """Measure all sizes and print; the last lines are the goals' JSON objects."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--compression", default="zstd", choices=["zstd", "lz4", "none"])
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="wirelag-bench-", dir=MEMORY if MEMORY.is_dir() else None) as made,
        KafkaNode(Path(made) / "kafka") as node,
    ):
        bench = Bench(Path(made), node.bootstrap, arguments.compression)
        found = {name: measure(bench, Path(made), name, arguments.rounds) for name in SIZES}
    for name, ratio in found.items():
        report(f"produce, values of {name}", ratio, TARGET, at_least=True)


if __name__ == "__main__":
    main()
