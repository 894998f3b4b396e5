# SPDX-License-Identifier: Apache-2.0
"""The partitions that are ours, each with its memory; positions and states come from the lake alone."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa
import structlog

from common.errors import RuntimeFailure
from consumer.engine import Record
from consumer.pipeline.replay import Replay
from consumer.pipeline.saved import remark, unpack
from consumer.pipeline.work import Engine, Work
from consumer.source.topics import (
    Mark,
    OnTruncated,
    Partition,
    Topic,
    check_identity,
    check_partitions,
    check_position,
    check_unchanged,
)
from lake.facts import Facts
from schemas.order import HEARTBEATS

MakeEngine = Callable[[Partition, bytes | None], Engine]
"""An engine for a partition, new or with the state it had."""

log = structlog.get_logger()


class Source(Protocol):
    """What is needed of Kafka to take partitions over."""

    def describe(self, names: Iterable[str]) -> dict[str, Topic]:
        """Return what the broker says of these topics now."""

    def watermarks(self, partition: Partition) -> tuple[int, int]:
        """Return the first Kafka offset there is and the one after the last."""

    def marks(self, partitions: Iterable[Partition]) -> dict[Partition, Mark]:
        """Return what the group noted for these partitions."""

    def seek(self, offsets: Mapping[Partition, int]) -> None:
        """Read on from these Kafka offsets."""


@dataclass(frozen=True)
class Rules:
    """Which topics are read, and what they must be."""

    events_topic: str
    control_topic: str
    shards: int
    accept_new_topic: bool = False
    on_truncated: OnTruncated = "stop"
    outputs: tuple[str, ...] = ()
    """Topics that must exist, for what we send."""

    @property
    def topics(self) -> tuple[str, str]:
        """The topics that are read."""
        return self.events_topic, self.control_topic

    def ours(self, partition: Partition) -> bool:
        """Say whether a partition's records are for the lake: orders to agents are not."""
        return partition.topic != self.control_topic or partition.number == HEARTBEATS


@dataclass
class Owned:
    """Takes partitions over from the lake, and forgets them."""

    source: Source
    lake: Facts
    make: MakeEngine
    rules: Rules
    clock: Callable[[], float] = time.monotonic
    works: dict[Partition, Work] = field(default_factory=dict)
    topics: dict[str, Topic] = field(default_factory=dict)
    bounds: dict[Partition, int] = field(default_factory=dict)
    """Where to stop reading; a partition without one is followed for ever."""

    def identify(self) -> dict[str, Topic]:
        """Refuse topics that are not the ones of the settings and of the lake; return what they are."""
        found = self.source.describe((*self.rules.topics, *self.rules.outputs))
        found = {name: found[name] for name in self.rules.topics}
        check_partitions(
            self.rules.events_topic, found[self.rules.events_topic], self.rules.shards, "kafka.shards"
        )
        for name, topic in found.items():
            known = self.lake.known_topic_ids(name)
            check_identity(name, topic, known, accept_new=self.rules.accept_new_topic)
        check_unchanged(self.topics, found)
        self.topics = found
        return found

    def check_unchanged(self) -> None:
        """Refuse a topic that is not the one it was. Asked after reading, it holds for all that was read."""
        found = self.source.describe(self.topics)
        check_unchanged(self.topics, found)
        events = self.rules.events_topic
        if events in found:
            check_partitions(events, found[events], self.rules.shards, "kafka.shards")

    def take_over(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        """Load these partitions after all checks; return where to read each from.

        One whose records are not for the lake is read from its end and kept no memory of.
        """
        self.identify()
        offsets = {p: self.source.watermarks(p)[1] for p in partitions if not self.rules.ours(p)}
        partitions = [partition for partition in partitions if self.rules.ours(partition)]
        for partition in partitions:
            self.works[partition] = self._load(partition)
        self._pass_over_published(partitions)
        log.info("partitions taken over", partitions=[f"{p.topic}/{p.number}" for p in partitions])
        return offsets | {partition: self.works[partition].kafka_offset for partition in partitions}

    def reload(self) -> None:
        """Forget the memory of all partitions and read each on from where the lake says it is."""
        for partition, work in self.works.items():
            self.works[partition] = self._load(partition, work.committed)
        self.source.seek({partition: work.kafka_offset for partition, work in self.works.items()})

    def put_right(self, partitions: Iterable[Partition]) -> None:
        """Read these on, in which the broker has no record where we are: the policy says whether and where.

        Raises:
            ConfigError: the topic is another one now, or the policy is to stop.
        """
        self.check_unchanged()
        offsets = {}
        for partition in partitions:
            if partition in self.works:
                offsets[partition] = self._place(self.works[partition])
            else:
                offsets[partition] = self.source.watermarks(partition)[1]
        self.source.seek(offsets)

    def forget(self, partitions: Iterable[Partition]) -> None:
        """Let these partitions go."""
        for partition in partitions:
            self.works.pop(partition, None)

    def take(self, batches: Mapping[Partition, Sequence[Record]]) -> None:
        """Apply records; those of partitions that are not ours any more are passed over."""
        now = self.clock()
        for partition, records in batches.items():
            if partition in self.works:
                self.works[partition].take(records, now)

    def _load(self, partition: Partition, beginning: int | None = None) -> Work:
        """Return the memory the lake has of a partition, at a place where the broker has records.

        Where the lake has none it is empty, at ``beginning`` or the broker's first record. Where its newest
        state is damaged the engine is an earlier one, to be brought up to date.
        """
        topic_id = self.topics[partition.topic].id
        resume = self.lake.resume(topic_id, partition.number)
        outbox: list[pa.Table] = []
        state, committed, flushed, named, shift = None, beginning, True, "", 0
        if resume is not None:
            committed, flushed = resume.next_offset, resume.flushed
            if resume.behind is None or not resume.behind.fresh:
                state, outbox, shift = unpack(resume.state, f"{partition.topic}/{partition.number}")
            named = "" if resume.behind else remark(topic_id, resume.state)
        if committed is None:
            committed = self.source.watermarks(partition)[0]
        engine, replay = self.make(partition, state), None
        if resume is not None and resume.behind is not None:
            replay, outbox = Replay(engine, resume.behind, committed, outbox, shift), []
            shift = replay.shift
            log.warning(
                "a damaged state is made again",
                partition=f"{partition.topic}/{partition.number}",
                from_offset=replay.kafka_offset,
                why=replay.damage,
            )
        bound = self.bounds.get(partition)
        work = Work(
            partition, topic_id, engine, committed, flushed, self.clock(), outbox, bound, named, shift, replay
        )
        self._place(work)
        return work

    def _place(self, work: Work) -> int:
        """Move to where the broker has records, if the policy allows it; return that Kafka offset.

        Heartbeats hold totals: the next one says what deleted ones said, so those are passed over unasked.
        A state that is made again needs every record.
        """
        low, high = self.source.watermarks(work.partition)
        at = work.kafka_offset
        if work.replay is not None:
            work.replay.require_from(low)
        elif work.partition.topic == self.rules.control_topic and at <= high:
            work.pass_over(low)
        elif (to := check_position(work.partition, at, low, high, self.rules.on_truncated)) != at:
            log.warning(
                "the broker has no record where the lake stands: going on elsewhere",
                topic=work.partition.topic,
                partition=work.partition.number,
                lake=at,
                to=to,
                skipped=max(0, to - at),
            )
            work.jump(to, self.clock())
        return work.kafka_offset

    def _pass_over_published(self, partitions: Sequence[Partition]) -> None:
        """Empty the outboxes of which the group noted, for exactly this commit, that all was published.

        The note saves sending again what was sent, and no more: a group that does not answer fails nothing.
        """
        waiting = [partition for partition in partitions if self.works[partition].outbox]
        if not waiting:
            return
        try:
            marks = self.source.marks(waiting)
        except RuntimeFailure as error:
            log.warning("latencies of the last commit are published again", error=str(error))
            return
        for partition, mark in marks.items():
            if mark == self.works[partition].mark:
                self.works[partition].outbox.clear()
