# SPDX-License-Identifier: Apache-2.0
"""A small world for consumer tests: topics of its own on a real broker, traffic in them, and a lake."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from deltalake import DeltaTable

from common.config import load
from consumer.cli import run
from consumer.pipeline.metrics import Totals
from consumer.settings import ConsumerSettings
from schemas.latency import LatencyRecord
from schemas.tables import KINDS
from support.kafka import QUICK, ROOT
from support.killed import Killed
from support.records import bounds
from support.topics import Topics

QUICK_CYCLES = ("consumer.cycle=50ms", "consumer.idle-flush=1h")


class World:
    """Topics, and what a consumer of them is told."""

    def __init__(self, bootstrap: str, topics: Topics, folder: Path, shards: int = 4) -> None:
        self.bootstrap, self.topics, self.shards, self.folder = bootstrap, topics, shards, folder
        self.events = topics("events", shards, max_message_bytes="20000000")
        self.control = topics("control", 2, cleanup_policy="compact")
        self.latency = topics("latency", 2)
        self.poison = topics("poison", 1)
        options = {"acks": "all", "linger.ms": 0, "compression.type": "lz4", "message.max.bytes": 20_000_000}
        self._producer = Producer({"bootstrap.servers": bootstrap, **options, **QUICK})

    def overrides(self, *more: str, lake: str = "lake") -> list[str]:
        """Return the texts for `--set`."""
        own = {
            "kafka.bootstrap-servers": self.bootstrap,
            "kafka.events-topic": self.events,
            "kafka.control-topic": self.control,
            "kafka.latency-topic": self.latency,
            "kafka.poison-topic": self.poison,
            "kafka.shards": str(self.shards),
            "lake.uri": str(self.folder / lake),
            "consumer.group": f"group-{lake}-{self.events}",
        }
        return [f"{key}={value}" for key, value in own.items()] + [*QUICK_CYCLES, *more]

    def consume(self, *more: str, lake: str = "lake") -> Totals:
        """Read to the end in this process."""
        settings = load(ConsumerSettings, overrides=self.overrides(*more, lake=lake))
        return run(settings, threading.Event(), until_end=True)

    def send(self, records: Iterable[tuple[int, bytes]], topic: str = "") -> None:
        """Produce (partition, value) to the events topic and wait.

        All are made before the first goes: who follows and flushes soon is to find both hosts' together.
        """
        for partition, value in list(records):
            self._producer.produce(topic or self.events, value=value, partition=partition)
            self._producer.poll(0)
        assert self._producer.flush(60) == 0

    def beat(self, key: bytes, value: bytes, partition: int = 0) -> None:
        """Produce one heartbeat, or what else the control topic takes, and wait."""
        refused: list[object] = []

        def told(error: object, _: Message) -> None:
            refused.extend([error] if error else [])

        self._producer.produce(self.control, value, key, partition, told)
        assert self._producer.flush(60) == 0
        assert refused == []

    def beat_at(self, key: bytes, value: bytes, timestamp_ms: int) -> None:
        """Produce one heartbeat with a time of its own, to a topic that has the producers' times."""
        self._producer.produce(self.control, value, key, 0, timestamp=timestamp_ms)
        assert self._producer.flush(60) == 0

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Let the broker delete the records below a Kafka offset, as retention would."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap, **QUICK})
        for future in admin.delete_records([TopicPartition(topic, partition, before)]).values():
            future.result(60)

    def rows(self, kind: str, lake: str = "lake") -> list[tuple[Any, ...]]:
        """Return the rows of a kind, all columns and the hour they are filed under, sorted."""
        table = read_kind(self.folder / lake, kind)
        return sorted((tuple(row.values()) for row in table.to_pylist()), key=repr)

    def matched(self) -> int:
        """Return the number of matches in the lake so far, 0 while there is none."""
        return len(self.rows("match")) if (self.folder / "lake" / "_delta_log").exists() else 0

    def latencies(self, topic: str = "") -> list[LatencyRecord]:
        """Return every record of the latency topic, or of another one of one partition."""
        messages = self._read(topic, 1) if topic else self._read(self.latency, 2)
        return [msgspec.json.decode(m.value() or b"", type=LatencyRecord) for m in messages]

    def poisoned(self) -> list[tuple[dict[str, str], bytes]]:
        """Return headers and value of every record of the poison topic."""
        found = []
        for message in self._read(self.poison, 1):
            headers = dict(message.headers() or [])
            texts = {name: value.decode() for name, value in headers.items() if isinstance(value, bytes)}
            found.append((texts, message.value() or b""))
        return found

    def _read(self, topic: str, partitions: int) -> list[Message]:
        return read_topic(self.bootstrap, topic, partitions)


def wait_for(true: Callable[[], bool], seconds: float = 60.0) -> None:
    """Return once it is true; fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "did not become true in time"
        time.sleep(0.1)


def halted(pid: int) -> bool:
    """Say whether a process is stopped (SIGSTOP)."""
    state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    return state == "T"


def read_topic(bootstrap: str, topic: str, partitions: int) -> list[Message]:
    """Return every record there is."""
    options = {"bootstrap.servers": bootstrap, "group.id": "look", "enable.auto.commit": False, **QUICK}
    consumer = Consumer(options)
    try:
        found: list[Message] = []
        for number in range(partitions):
            low, high = bounds(consumer, TopicPartition(topic, number))
            consumer.assign([TopicPartition(topic, number, low)])
            while low < high:
                for message in consumer.consume(high - low, timeout=10):
                    found.append(message)
                    low = (message.offset() or 0) + 1
        return found
    finally:
        consumer.close()


def read_kind(lake: Path, kind: str) -> pa.Table:
    """Return the rows of a kind."""
    columns = [*KINDS[kind].names, "date", "hour"]
    found = DeltaTable(lake).to_pyarrow_dataset().to_table(filter=pc.field("kind") == kind, columns=columns)
    return pa.table(found)


class Runner(Killed):
    """Consumers in processes of their own, one at a time, that can be killed (support/consumer_runner.py)."""

    def __init__(self, world: World | None = None, *, cwd: Path = ROOT) -> None:
        self.world = world
        """Of the consumers that are started next."""
        self._cwd = cwd

    def __enter__(self) -> Self:
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.consumer_runner"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=self._cwd,
            env=environment,
        )
        self._number, self._child = 0, 0
        return self

    def start(
        self,
        *more: str,
        lake: str = "lake",
        until_end: bool = True,
        kill: tuple[str, int] | None = None,
        halt: tuple[str, int] | None = None,
        unchecked: bool = False,
    ) -> int:
        """Start a consumer and return its process id."""
        assert self.world is not None
        self._number += 1
        self.output = self.world.folder / f"output-{id(self)}-{self._number}"
        job = {
            "set": self.world.overrides(*more, lake=lake),
            "until_end": until_end,
            "kill": kill,
            "halt": halt,
            "unchecked": unchecked,
            "output": str(self.output),
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        self._child = self._answer()
        return self._child

    def wait(self) -> int:
        """Return the exit code of the consumer that was started, negative for a signal."""
        code, self._child = self._answer(), 0
        return code

    def end(self) -> None:
        """Kill the consumer that is still there, if one is: not yet waited for, its id is no other's."""
        if self._child:
            with suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGKILL)
            self.wait()

    def run(self, *more: str, lake: str = "lake", kill: tuple[str, int] | None = None) -> int:
        """Read to the end, or to the kill; return the exit code."""
        self.start(*more, lake=lake, kill=kill)
        return self.wait()

    def stop(self, pid: int, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        os.kill(pid, number)
        return self.wait()

    def _answer(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())
