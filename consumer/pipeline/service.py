# SPDX-License-Identifier: Apache-2.0
"""The loops: follow the topics until told to stop, or read them to their present end.

Whatever a cycle raises, memory is thrown away and read again from the lake, so that a failure costs time and
never rows. What a person has to mend (ConfigError, LakeCorruptError) ends the loop at once.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import structlog

from common.errors import RuntimeFailure
from common.throttle import Throttle
from consumer.engine import Record
from consumer.pipeline.cycle import Cycle, Marker
from consumer.pipeline.metrics import Metrics
from consumer.pipeline.owned import Owned, Source
from consumer.pipeline.peers import PeerWatch
from consumer.pipeline.watch import Watch
from consumer.pipeline.work import Work
from consumer.source.topics import Partition
from lake.errors import LakeCorruptError

POLL_SECONDS = 0.1
MOST_WAIT = 60.0

log = structlog.get_logger()


class Owner(Protocol):
    """Who is told which partitions are ours."""

    def assigned(self, partitions: list[Partition]) -> Mapping[Partition, int]:
        """Take these over."""

    def revoked(self, partitions: list[Partition], *, lost: bool) -> None:
        """Let these go."""


class Reader(Source, Marker, Protocol):
    """What is needed of Kafka to read."""

    def subscribe(self, topics: Iterable[str], owner: Owner) -> None:
        """Join the group."""

    def assign(self, offsets: Mapping[Partition, int]) -> None:
        """Read these partitions, in no group."""

    def poll(self, limit: int, timeout: float) -> dict[Partition, list[Record]]:
        """Return the next records."""

    def ends(self) -> dict[Partition, int]:
        """Return the partition ends met since the last call."""

    def astray(self) -> set[Partition]:
        """Return the partitions whose reading ended since the last call: the broker has no record there."""


@dataclass(frozen=True)
class Pace:
    """When to commit."""

    cycle: float
    """Seconds from one commit to the next."""
    cycle_bytes: int
    """Commit sooner when the records since the last commit have this many bytes."""
    idle_flush: float
    """Seconds after which a quiet partition's open events are closed."""
    poll_records: int = 256
    """Records taken from Kafka at once."""
    most_failures: int | None = None
    """Give up after so many failed cycles in a row; None: never."""


@dataclass
class Service:
    """Reads, commits and publishes what is ours; the owner of a group's partitions."""

    reader: Reader
    owned: Owned
    cycle: Cycle
    metrics: Metrics
    pace: Pace
    stop: threading.Event
    alive: Callable[[], None]
    """Called at least each time the loop turns."""
    watch: Watch
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], object] | None = None
    """Waits so many seconds, or until told to stop."""
    peers: PeerWatch | None = None
    """Tells engines of hosts that are behind."""

    def __post_init__(self) -> None:
        self._throttle = Throttle()
        self._failures = 0
        self._astray: set[Partition] = set()
        self._due = self.clock() + self.pace.cycle
        self.trouble: str | None = None
        """Why the last cycle failed, None where it did not: what the health check says."""

    def assigned(self, partitions: list[Partition]) -> Mapping[Partition, int]:
        """Take these over, of the group's doing."""
        offsets = self.owned.take_over(partitions)
        self.metrics.partitions.set(len(self.owned.works))
        return offsets

    def revoked(self, partitions: list[Partition], *, lost: bool) -> None:
        """Commit what we have of these, unless another may hold them already; then forget them."""
        leaving = [self.owned.works[p] for p in partitions if p in self.owned.works]
        if not lost:
            try:
                self.cycle.run(leaving)
            except RuntimeFailure as error:
                log.warning("partitions left without a commit", error=str(error))
        self.owned.forget(partitions)
        self.metrics.partitions.set(len(self.owned.works))

    def follow(self) -> None:
        """Read as a member of the group until told to stop; what was read by then is committed."""
        with self._forgetting():
            self._catch_up()
            self.reader.subscribe(self.owned.rules.topics, self)
            while not self.stop.is_set():
                self._turn()
                self._flush_idle()
            self._run_cycle()

    def until_end(self) -> None:
        """Read all partitions to the ends they have now, close what is open, commit."""
        topics = self.owned.identify()
        everything = [Partition(name, n) for name, topic in topics.items() for n in range(topic.partitions)]
        self.owned.bounds = {partition: self.reader.watermarks(partition)[1] for partition in everything}
        self.reader.assign(self.owned.take_over(everything))
        self._catch_up()
        self._hear(now=True)
        while not self.stop.is_set():
            if not self._at_end():
                self._turn()
                continue
            self._hear(now=True)
            for work in self.owned.works.values():
                work.flush()
            if self._run_cycle():
                break
        if self.stop.is_set():
            self._run_cycle()
        self._require_published()

    @contextmanager
    def _forgetting(self) -> Iterator[None]:
        """Let nothing that was in memory when something broke be committed on the way out of the group."""
        try:
            yield
        except BaseException:
            self.owned.works.clear()
            raise

    def _turn(self) -> None:
        """Poll once, and run a cycle when it is due."""
        self.alive()
        wait = min(POLL_SECONDS, max(0.0, self._due - self.clock()))
        self._take(self.reader.poll(self.pace.poll_records, wait))
        for partition, end in self.reader.ends().items():
            if partition in self.owned.works:
                self.owned.works[partition].reached(end)
        self._put_right()
        self.watch.turn(list(self.owned.works.values()))
        size = sum(work.size for work in self.owned.works.values())
        if size >= self.pace.cycle_bytes or self.clock() >= self._due:
            self._run_cycle()

    def _take(self, batches: dict[Partition, list[Record]]) -> None:
        """Apply records, and between two ticks what is known of other hosts by then."""
        parts = self.peers.cut(batches) if self.peers is not None else [batches]
        for part in parts:
            self.owned.take(part)
            self._hear(now=len(parts) > 1)

    def _catch_up(self) -> None:
        if self.peers is not None:
            self.peers.catch_up(self.stop.is_set)

    def _hear(self, *, now: bool = False) -> None:
        if self.peers is not None:
            self.peers.turn(self.owned.works.values(), now=now)

    def _put_right(self) -> None:
        """Go on in partitions in which the broker has no record at our place, or be stopped by the policy."""
        self._astray |= self.reader.astray()
        if self._astray:
            try:
                self.owned.put_right(self._astray)
                self._astray = set()
            except RuntimeFailure as error:
                if (silent := self._throttle.due("astray")) is not None:
                    log.warning("cannot go on in a partition yet", error=str(error), more=silent)

    def _at_end(self) -> bool:
        bounds = self.owned.bounds
        return all(
            work.replay is None and max(work.kafka_offset, work.end) >= bounds[p]
            for p, work in self.owned.works.items()
        )

    def _flush_idle(self) -> None:
        """Close what is open in partitions of which the broker says that there is nothing more to read."""
        now = self.clock()
        for work in self.owned.works.values():
            if work.replay is None and not work.flushed and now - work.quiet_since >= self.pace.idle_flush:
                work.quiet_since = now  # asks again after another such time
                at_end = self._is_read_to_end(work)
                if at_end is None:
                    return  # to ask for each of them would take as long again
                if at_end:
                    work.flush()
                    self.metrics.flushes.inc()

    def _is_read_to_end(self, work: Work) -> bool | None:
        """Return None where no broker tells: one that is away may have more for us."""
        try:
            return self.reader.watermarks(work.partition)[1] <= max(work.kafka_offset, work.end)
        except RuntimeFailure as error:
            if (silent := self._throttle.due("watermarks")) is not None:
                log.warning(
                    "cannot tell whether a partition is read to its end", error=str(error), more=silent
                )
            return None

    def _run_cycle(self) -> bool:
        """Commit and publish; after a failure read again from the lake. Says whether all went well."""
        works: Sequence[Work] = list(self.owned.works.values())
        moved = any(work.moved for work in works)
        try:
            self.cycle.run(works)
        except LakeCorruptError:
            raise
        except RuntimeFailure as error:
            self._recover(error)
            return False
        finally:
            self._due = self.clock() + self.pace.cycle
        self.trouble = None
        if moved:  # a cycle without anything to commit does not show that a commit would succeed
            self._failures = 0
        return True

    def _recover(self, error: RuntimeFailure) -> None:
        """Throw memory away and read it from the lake again, as often as it takes."""
        trouble: RuntimeFailure | None = error
        while trouble is not None and not self.stop.is_set():
            self._note_failure(trouble)
            self._wait()
            try:
                self.owned.reload()
                trouble = None
            except LakeCorruptError:
                raise
            except RuntimeFailure as again:
                trouble = again

    def _note_failure(self, error: RuntimeFailure) -> None:
        self._failures += 1
        self.trouble = str(error)
        name = type(error).__name__
        self.metrics.failures.labels(name).inc()
        if (silent := self._throttle.due(name)) is not None:
            log.error("cycle failed, reading again from the lake", error=str(error), kind=name, more=silent)
        if self.pace.most_failures is not None and self._failures >= self.pace.most_failures:
            raise error

    def _wait(self) -> None:
        """Wait longer from failure to failure; the first one is followed by no wait."""
        until = self.clock() + min(MOST_WAIT, (2 ** (self._failures - 1) - 1) * self.pace.cycle)
        pause = self.pause or self.stop.wait
        while (left := until - self.clock()) > 0 and not self.stop.is_set():
            pause(min(left, 1.0))
            self.alive()

    def _require_published(self) -> None:
        waiting = sum(table.num_rows for work in self.owned.works.values() for table in work.outbox)
        if waiting:
            raise RuntimeFailure(
                f"{waiting} latency records could not be published; they are kept and go out when "
                "a consumer runs next"
            )
