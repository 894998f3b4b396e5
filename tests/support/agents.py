# SPDX-License-Identifier: Apache-2.0
"""What a running agent says and holds, for tests of its brakes."""

import time
from collections.abc import Callable
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from schemas import batch, control
from schemas.batch import EventBatch
from schemas.control import Heartbeat
from schemas.order import HEARTBEATS
from support.consumer import read_topic
from support.kafka import QUICK
from support.records import bounds
from support.whole_way import SHARDS, Names

PATIENCE_SECONDS = 60.0
_BPF = ("bpf-prog", "bpf-map", "bpf_link", "bpf-raw-tracepoint", "perf_event")


def heartbeats(names: Names) -> list[Heartbeat]:
    """Return all heartbeats, oldest first."""
    return [control.decode(one.value() or b"") for one in read_topic(names.bootstrap, names.control, 1)]


def until(names: Names, enough: Callable[[Heartbeat], bool], patience: float = PATIENCE_SECONDS) -> Heartbeat:
    """Return the newest heartbeat if it is enough, else the first to come that is."""
    options = {"bootstrap.servers": names.bootstrap, "group.id": "hear", "enable.auto.commit": False, **QUICK}
    consumer, beat = Consumer(options), None
    deadline = time.monotonic() + patience
    try:
        low, high = bounds(consumer, TopicPartition(names.control, HEARTBEATS))
        consumer.assign([TopicPartition(names.control, HEARTBEATS, max(low, high - 1))])
        while beat is None or not enough(beat):
            assert time.monotonic() < deadline, f"no such heartbeat; the last is {beat}"
            message = consumer.poll(1.0)
            if message is not None and message.error() is None:
                beat = control.decode(message.value() or b"")
        return beat
    finally:
        consumer.close()


def total(beat: Heartbeat, stage: str, reason: str) -> int:
    """Return one figure of the ledger."""
    return next((one.events for one in beat.totals if (one.stage, one.reason) == (stage, reason)), 0)


def batches(names: Names) -> list[EventBatch]:
    """Return all records of events."""
    return [batch.decode(one.value() or b"") for one in read_topic(names.bootstrap, names.events, SHARDS)]


def in_kernel(pid: int) -> list[str]:
    """Return what a process holds of BPF: programs, maps, links and rings."""
    links = [_target(file) for file in Path(f"/proc/{pid}/fd").iterdir()]
    return sorted(link for link in links if any(name in link for name in _BPF))


def _target(file: Path) -> str:
    try:
        return str(file.readlink())
    except FileNotFoundError:
        return ""
