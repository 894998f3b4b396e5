# SPDX-License-Identifier: Apache-2.0
"""Reads the heartbeats beside the group, whoever owns their partition, and tells the engines what follows.

Every process needs all of them. Where they cannot be read nothing stops: the watermarks stand still, so that
what waits closes once their hosts count as silent.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from common.errors import RuntimeFailure
from common.throttle import Throttle
from consumer.engine import EventEngine, Record
from consumer.pipeline.watermarks import Follower, Watermarks
from consumer.pipeline.work import Work
from consumer.source.topics import Partition
from schemas.order import HEARTBEATS

EVERY_SECONDS = 1.0
LIMIT = 10_000
"""Heartbeats taken at once."""
BACK = 50_000
"""Heartbeats read at the start, the newest."""
PATIENCE_SECONDS = 10.0
"""How long engines are told nothing new at the start, until the heartbeats that there are have been read."""

log = structlog.get_logger()


class Beats(Protocol):
    """What is needed of Kafka to read the heartbeats: a reader of its own."""

    def watermarks(self, partition: Partition) -> tuple[int, int]:
        """Return the first Kafka offset there is and the one after the last."""

    def assign(self, offsets: Mapping[Partition, int]) -> None:
        """Read these partitions, in no group."""

    def poll(self, limit: int, timeout: float) -> dict[Partition, list[Record]]:
        """Return the next records."""

    def ends(self) -> dict[Partition, int]:
        """Return the partition ends met since the last call."""


@dataclass
class PeerWatch:
    """Tells works of an events topic what is known of hosts, at most once a second."""

    source: Beats
    events_topic: str
    control_topic: str
    known: Watermarks
    tick_ms: int
    clock: Callable[[], float] = time.monotonic
    _followers: dict[int, tuple[Work, Follower]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._throttle = Throttle()
        self._due = self.clock()
        self._begun = self._caught_up = False
        self._until = self.clock() + PATIENCE_SECONDS
        self._partition = Partition(self.control_topic, HEARTBEATS)

    def catch_up(self, stopped: Callable[[], bool]) -> None:
        """Read the heartbeats that there are now; returns without them where they cannot be had in time."""
        self._until = self.clock() + PATIENCE_SECONDS
        while not self._caught_up and self._read(0.2) and self.clock() < self._until and not stopped():
            pass

    def turn(self, works: Iterable[Work], *, now: bool = False) -> None:
        """Tell the engines of these works what is known, if it is due or is to be ``now``."""
        if not now and self.clock() < self._due:
            return
        self._due = self.clock() + EVERY_SECONDS
        self._read(0)
        if not self._caught_up and self.clock() < self._until:
            return  # engines go on with what they were told last
        for work in works:
            own = work.partition.topic == self.events_topic and work.replay is None
            if own and isinstance(work.engine, EventEngine):
                work.hear(self._follower(work).peers(work.engine, self.known))

    def cut(self, batches: Mapping[Partition, list[Record]]) -> list[dict[Partition, list[Record]]]:
        """Return the same records in parts, none of which goes on beyond a tick, in order.

        What closes at a tick depends on what is known by then, also where hours are read at once.
        """
        parts: list[dict[Partition, list[Record]]] = []
        for partition, records in batches.items():
            part, tick = -1, -1
            for record in records:
                if part < 0 or record.timestamp_ms // self.tick_ms > tick:
                    part, tick = part + 1, record.timestamp_ms // self.tick_ms
                if part == len(parts):
                    parts.append({})
                parts[part].setdefault(partition, []).append(record)
        return parts or [{}]

    def _follower(self, work: Work) -> Follower:
        """Return what follows a work; one that was loaded anew begins anew."""
        number = work.partition.number
        before = self._followers.get(number)
        if before is None or before[0] is not work:
            before = self._followers[number] = (work, Follower(number))
        return before[1]

    def _read(self, seconds: float) -> bool:
        try:
            if not self._begun:
                low, high = self.source.watermarks(self._partition)
                self.source.assign({self._partition: max(low, high - BACK)})
                self._begun = True
            for records in self.source.poll(LIMIT, seconds).values():
                self.known.take(records)
            self._caught_up |= self._partition in self.source.ends()
        except RuntimeFailure as error:
            if (silent := self._throttle.due("heartbeats")) is not None:
                log.warning("heartbeats cannot be read", error=str(error), more=silent)
            return False
        return True
