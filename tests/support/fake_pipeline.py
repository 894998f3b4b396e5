# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for Kafka, the lake and the engine, so that the pipeline's own rules are tested quickly."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from common.errors import RuntimeFailure
from consumer.engine import Output, Poison, Record
from consumer.publish.message import Delivery, Outgoing
from consumer.source.lag import NOT_KNOWN, Keeping, Span
from consumer.source.topics import Mark, Partition, Topic
from lake.errors import StalePositionError
from lake.facts import PartitionCommit, Resume

EVENTS = Partition("events", 0)
HOUR = pa.array([0], pa.int64())


class FakeEngine:
    """Remembers the values it was given; each gives one histogram row at the next flush or after three."""

    def __init__(self, held: Sequence[int] = ()) -> None:
        self.held = list(held)

    def apply(self, records: Sequence[Record]) -> Output:
        output = Output()
        for record in records:
            if record.value == b"bad":
                output.poison.append(Poison(record.kafka_offset, "not-msgpack", "bad", record.value))
            else:
                self.held.append(record.kafka_offset)
        if len(self.held) >= 3:
            output.rows.update(self.flush().rows)
        return output

    def flush(self) -> Output:
        held, self.held = self.held, []
        return Output({"histogram": histogram(held)} if held else {})

    def snapshot(self) -> bytes:
        return b",".join(str(offset).encode() for offset in self.held)

    @classmethod
    def restored(cls, blob: bytes | None) -> "FakeEngine":
        return cls([int(part) for part in (blob or b"").split(b",") if part])


def histogram(ticks: Sequence[int]) -> pa.Table:
    """Return one histogram row for each tick."""
    n = len(ticks)
    numbers = {"topic_partition": pa.array([0] * n, pa.int32()), "tick": pa.array(list(ticks), pa.int64())}
    texts = {"edge": ["a > b"] * n, "measure": ["delivery"] * n, "clock": ["same_host"] * n}
    texts |= {"sender_host": ["alpha"] * n, "receiver_host": ["alpha"] * n}
    figures = dict.fromkeys(
        ("window_start_ns", "window_ns", "n", "seen", "sum_ns", "min_ns", "max_ns"), [7] * n
    )
    rest = {"negative": [0] * n, "scale": [5] * n, "buckets": [[89]] * n, "counts": [[7]] * n}
    return pa.table({**numbers, **texts, **figures, **rest})


@dataclass
class FakeLake:
    """One partition's row of commits, with the fence."""

    state: Resume | None = None
    commits: list[PartitionCommit] = field(default_factory=list)
    fail: list[str] = field(default_factory=list)
    """What the next commits do: `before` or `after` the durable point, `stale`, or `` for all well."""
    topic_ids: set[str] = field(default_factory=set)

    def resume(self, _topic_id: str, _partition: int) -> Resume | None:
        return self.state

    def known_topic_ids(self, _topic: str) -> set[str]:
        return self.topic_ids

    def commit(self, parts: Sequence[PartitionCommit]) -> int:
        fate = self.fail.pop(0) if self.fail else ""
        if fate == "stale":
            raise StalePositionError("another writer")
        if fate == "before":
            raise RuntimeFailure("disk full")
        for part in parts:
            assert self.state is None or part.from_offset == self.state.next_offset
            self.state = Resume(part.to_offset, part.state, part.flushed)
            self.commits.append(part)
        if fate == "after":
            raise RuntimeFailure("answer lost")
        return len(self.commits)


@dataclass
class FakeKafka:
    """One partition of events, a sender and a group's notes."""

    records: list[bytes] = field(default_factory=list)
    position: int = 0
    low: int = 0
    topic_id: str = "id-1"
    sent: list[Outgoing] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    noted: dict[Partition, Mark] = field(default_factory=dict)
    away: bool = False
    kept: Keeping = NOT_KNOWN
    mute: bool = False
    """The group's coordinator does not answer."""

    def describe(self, names: Iterable[str]) -> dict[str, Topic]:
        return {name: Topic(self.topic_id, 1) for name in names}

    def watermarks(self, partition: Partition) -> tuple[int, int]:
        if self.away:
            raise RuntimeFailure("no broker")
        return self.low, len(self.records) if partition == EVENTS else 0

    def astray(self) -> set[Partition]:
        return {EVENTS} if self.position < self.low or self.position > len(self.records) else set()

    def spans(self, partitions: Iterable[Partition]) -> dict[Partition, Span]:
        return {partition: Span(*self.watermarks(partition)) for partition in partitions}

    def keeping(self, _topic: str) -> Keeping:
        return self.kept

    def marks(self, partitions: Iterable[Partition]) -> dict[Partition, Mark]:
        if self.mute:
            raise RuntimeFailure("timed out")
        return {p: self.noted[p] for p in partitions if p in self.noted}

    def mark(self, marks: Mapping[Partition, Mark]) -> None:
        self.noted.update(marks)

    def seek(self, offsets: Mapping[Partition, int]) -> None:
        self.position = offsets.get(EVENTS, self.position)

    def assign(self, offsets: Mapping[Partition, int]) -> None:
        self.seek(offsets)

    def subscribe(self, topics: Iterable[str], owner: object) -> None:
        pass

    def poll(self, limit: int, timeout: float) -> dict[Partition, list[Record]]:
        del timeout
        if self.astray():
            return {}
        taken = self.records[self.position : self.position + limit]
        found = [Record(self.position + i, 1000, value) for i, value in enumerate(taken)]
        self.position += len(taken)
        return {EVENTS: found} if found else {}

    def ends(self) -> dict[Partition, int]:
        return {}

    def send(self, batch: Iterable[Outgoing]) -> Delivery:
        records = list(batch)
        delivery = self.deliveries.pop(0) if self.deliveries else Delivery(len(records), 0, 0, "")
        if not delivery.failed:
            self.sent += records
        return delivery
