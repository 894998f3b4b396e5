# SPDX-License-Identifier: Apache-2.0
"""One partition's memory between commits. What it hands over depends on the records and flushes alone.

Records below the next Kafka offset are passed over, so nothing that is read twice is counted twice.

Offsets in the lake only rise. They are Kafka's, until a broker loses records that were read and gives their
offsets to others: from then on ``shift`` is between the two.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from consumer.engine import EventEngine, Output, Peers, Poison, Record
from consumer.engine.arrow import broker_ns
from consumer.pipeline.replay import Replay
from consumer.pipeline.saved import pack, remark
from consumer.pipeline.skipped import truncated
from consumer.pipeline.words import hear, is_hear, jumped
from consumer.source.topics import Mark, Partition
from lake.facts import PartitionCommit
from lake.older import FLUSH

OUTBOX_ROWS = 200_000
"""Most rows kept for a Kafka that cannot be published to; older ones are given up and counted."""


class Engine(Protocol):
    """What turns one partition's records into rows."""

    def apply(self, records: Sequence[Record]) -> Output:
        """Take records in order; return the rows they complete."""

    def flush(self) -> Output:
        """Close what is open, as if time had passed."""

    def snapshot(self) -> bytes:
        """Return all that is remembered."""


@dataclass
class Work:
    """A partition that is ours, in lake offsets: from ``committed`` to ``next_offset`` (applied)."""

    partition: Partition
    topic_id: str
    engine: Engine
    committed: int
    flushed: bool
    """Nothing is open in the engine."""
    quiet_since: float
    outbox: list[pa.Table] = field(default_factory=list)
    """Histogram rows that are committed and not yet published."""
    bound: int | None = None
    """Records from this Kafka offset on are not ours to take."""
    remark: str = ""
    """Names the state that was committed last."""
    shift: int = 0
    """Lake offset minus Kafka offset."""
    replay: Replay | None = None
    """Set while the engine is behind what is committed: records are needed from before that."""

    def __post_init__(self) -> None:
        self.next_offset = self.committed
        self._mark_offset = self.next_offset - self.shift
        self._end_replay()
        self._committed_flushed = self.flushed
        self._remark = self.remark
        self.end = 0
        """Where the broker last said that the partition ends, a Kafka offset."""
        self.waiting_since_ms: int | None = None
        """Broker's time from which on all that came may be uncommitted; None before the first record."""
        self._last_ms = 0
        self._reached_ms: int | None = None
        self.clear()

    def clear(self) -> None:
        """Begin a new, empty part."""
        self.rows: dict[str, list[pa.Table]] = {}
        self.poison: list[Poison] = []
        self.told: list[tuple[int, str]] = []
        self.records = 0
        self.size = 0

    @property
    def kafka_offset(self) -> int:
        """The Kafka offset of the next record that is needed."""
        return self.next_offset - self.shift if self.replay is None else self.replay.kafka_offset

    @property
    def moved(self) -> bool:
        """Whether there is something to commit."""
        return self.next_offset != self.committed or self.flushed != self._committed_flushed

    @property
    def mark(self) -> Mark:
        """What the group notes once all of the last commit is published: of that commit and no other."""
        return Mark(self._mark_offset, self.remark)

    def take(self, records: Sequence[Record], now: float) -> None:
        """Apply the records that are new."""
        if self.replay is not None:
            records = self.replay.take(records)
            self._end_replay()
            self.quiet_since = now
        begin, end = self.next_offset - self.shift, self.bound
        new = [r for r in records if r.kafka_offset >= begin and (end is None or r.kafka_offset < end)]
        if not new:
            return
        self._keep(self.engine.apply(new))
        self.next_offset = new[-1].kafka_offset + 1 + self.shift
        if not self.records:
            self.waiting_since_ms = new[0].timestamp_ms
        self._last_ms = new[-1].timestamp_ms
        self._reached_ms = max(self._last_ms, self._reached_ms or 0)
        self.records += len(new)
        self.size += sum(len(record.value) for record in new)
        self.flushed = False
        self.quiet_since = now

    def hear(self, peers: Peers) -> None:
        """Take what is known of other hosts; where it is news it becomes part of the partition's history."""
        assert isinstance(self.engine, EventEngine)  # noqa: S101 - callers look
        if peers != self.engine.peers:
            self.engine.hear(peers)
            if self.told and self.told[-1][0] == self.next_offset and is_hear(self.told[-1][1]):
                self.told.pop()
            self.told.append((self.next_offset, hear(peers)))

    def reached(self, end: int) -> None:
        """Learn that the partition ends at an offset and was read up to there."""
        self.end = end
        if self.replay is not None:
            self.replay.require_from(end)

    def pass_over(self, kafka_offset: int) -> None:
        """Go on at a Kafka offset ahead: what was before it says nothing that does not come again."""
        if kafka_offset > self.kafka_offset:
            self.told.append((self.next_offset, jumped(kafka_offset)))
            self.next_offset = kafka_offset + self.shift

    def jump(self, kafka_offset: int, now: float) -> None:
        """Go on at another Kafka offset since the broker has no record at ours; the next commit covers it.

        Ahead: the records in between were never read. Back: the broker lost what we had read, and gives those
        offsets to other records; one lake offset stands for the jump, so that the lake's still rise.
        """
        self.told.append((self.next_offset, jumped(kafka_offset)))
        if kafka_offset < self.kafka_offset:
            self.next_offset += 1
            self.shift = self.next_offset - kafka_offset
        else:
            skipped = truncated(self.partition, kafka_offset - self.kafka_offset)
            self._keep(Output({"ledger": skipped}))
            self.next_offset = kafka_offset + self.shift
        self.flushed, self.quiet_since, self.end = False, now, 0

    def flush(self) -> None:
        """Close what is open; the commit that follows makes this part of the partition's history."""
        if not self.flushed:
            self._keep(self.engine.flush())
            self.told.append((self.next_offset, FLUSH))
            self.flushed = True

    def part(self) -> PartitionCommit:
        """Return what the next commit holds of this partition."""
        rows = {kind: pa.concat_tables(tables) for kind, tables in self.rows.items()}
        outbox = [*self.outbox, *self.rows.get("histogram", [])]
        state = pack(self.engine.snapshot(), outbox, self.shift)
        self._remark = remark(self.topic_id, state)
        return PartitionCommit(
            topic=self.partition.topic,
            topic_id=self.topic_id,
            partition=self.partition.number,
            from_offset=self.committed,
            to_offset=self.next_offset,
            state=state,
            flushed=self.flushed,
            rows=rows,
            told=tuple(self.told),
            reached_ns=None if self._reached_ms is None else broker_ns(self._reached_ms),
        )

    def settle(self) -> None:
        """All up to here is in the lake, as ``part`` gave it."""
        self.outbox += self.rows.get("histogram", [])
        self.committed, self.remark, self._mark_offset = self.next_offset, self._remark, self.kafka_offset
        if self.records:
            self.waiting_since_ms = self._last_ms
        self._committed_flushed = self.flushed
        self.clear()

    def trim(self) -> int:
        """Give up the oldest of an outbox that grew too long; return the number of rows given up."""
        given_up = 0
        while sum(table.num_rows for table in self.outbox) > OUTBOX_ROWS:
            given_up += self.outbox.pop(0).num_rows
        return given_up

    def _end_replay(self) -> None:
        if self.replay is not None and self.replay.done:
            self.outbox = self.replay.outbox
            self.replay = None

    def _keep(self, output: Output) -> None:
        self.poison += output.poison
        for kind, table in output.rows.items():
            if table.num_rows:
                self.rows.setdefault(kind, []).append(table)
