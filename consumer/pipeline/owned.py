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
        """Refuse a topic that was made anew. Asked after reading, it holds for all that was read."""
        check_unchanged(self.topics, self.source.describe(self.topics))

    def take_over(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        """Load these partitions after all checks; return where to read each from.

        One whose records are not for the lake is read from its end and kept no memory of.
        """
        self.identify()
        offsets = {p: self.source.watermarks(p)[1] for p in partitions if not self.rules.ours(p)}
        partitions = [partition for partition in partitions if self.rules.ours(partition)]
        for partition in partitions:
            low, high = self.source.watermarks(partition)
            work = self._load(partition, low)
            check_position(partition, work.next_offset, low, high)
            self.works[partition] = work
        self._pass_over_published(partitions)
        log.info("partitions taken over", partitions=[f"{p.topic}/{p.number}" for p in partitions])
        return offsets | {partition: self.works[partition].read_from for partition in partitions}

    def reload(self) -> None:
        """Forget the memory of all partitions and read each on from where the lake says it is."""
        for partition, work in self.works.items():
            self.works[partition] = self._load(partition, work.committed)
        self.source.seek({partition: work.read_from for partition, work in self.works.items()})

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

    def _load(self, partition: Partition, beginning: int) -> Work:
        """Return the memory the lake has of a partition, an empty one at ``beginning`` where it has none.

        Where the lake's newest state is damaged its engine is an earlier one, to be brought up to date.
        """
        topic_id = self.topics[partition.topic].id
        resume = self.lake.resume(topic_id, partition.number)
        outbox: list[pa.Table] = []
        state, committed, flushed, named = None, beginning, True, ""
        if resume is not None:
            committed, flushed = resume.next_offset, resume.flushed
            if resume.behind is None or not resume.behind.fresh:
                state, outbox = unpack(resume.state, f"{partition.topic}/{partition.number}")
            named = "" if resume.behind else remark(topic_id, resume.state)
        engine, replay = self.make(partition, state), None
        if resume is not None and resume.behind is not None:
            replay, outbox = self._replay(partition, Replay(engine, resume.behind, committed, outbox)), []
        bound = self.bounds.get(partition)
        work = Work(
            partition, topic_id, engine, committed, flushed, self.clock(), outbox, bound, named, replay
        )
        if partition.topic == self.rules.control_topic:
            # Heartbeats hold totals: the next one says what deleted ones said.
            work.pass_over(self.source.watermarks(partition)[0])
        return work

    def _replay(self, partition: Partition, replay: Replay) -> Replay:
        """Say that a state is made again, if Kafka has what that takes."""
        replay.require_from(self.source.watermarks(partition)[0])
        log.warning(
            "a damaged state is made again",
            partition=f"{partition.topic}/{partition.number}",
            from_offset=replay.kafka_offset,
            why=replay.damage,
        )
        return replay

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
