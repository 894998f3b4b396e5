# SPDX-License-Identifier: Apache-2.0
"""Up to when each host's events are in a partition, by heartbeats and in the broker's time. Pure.

A heartbeat that the broker stamped T and that calls its oldest undelivered event A old says that all the
host's events before T - A are in Kafka; no host's clock is asked. A partition takes that for true once it
has read what the heartbeat calls acknowledged in its shard, since the control topic may be ahead of the data.
Until then it goes by what it took last, and keeps to one heartbeat: newer ones would move the goal for ever.
"""

from collections.abc import Iterable
from typing import NamedTuple

from consumer.engine import EventEngine, Peers, Record
from schemas.control import decode
from schemas.errors import RecordError

MOST_HOSTS = 65_536


class Patience(NamedTuple):
    """How long a host is waited for, in milliseconds of the broker's time."""

    slack: int
    """A watermark that is not further behind counts as none: heartbeats come every few seconds."""
    silence: int
    """Without a heartbeat for so long a host is waited for no longer."""
    longest: int
    """A host that is further behind is waited for no longer than this."""


class Beat(NamedTuple):
    """What a heartbeat says."""

    run: tuple[str, str, int]
    """Host, boot, epoch."""
    at_ms: int
    """The broker's time."""
    watermark_ms: int
    acknowledged: dict[int, int]
    """Shard -> last sequence."""
    ended: bool
    """Nothing of this run will come."""


class Taken(NamedTuple):
    """What a partition knows of a host."""

    watermark_ms: int
    goal: Beat | None
    """Taken for true once the partition is there; None: nothing to wait for."""


class Watermarks:
    """The newest heartbeat of each host, whoever of its agents spoke last."""

    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self.beats: dict[str, Beat] = {}

    def take(self, records: Iterable[Record]) -> None:
        """Take records of the control partition; what is no heartbeat is for others to report."""
        for record in records:
            try:
                beat = decode(record.value)
            except RecordError:
                continue
            age_ms = -(-beat.oldest_undelivered_ns // 1_000_000)
            self.beats.pop(beat.host, None)
            self.beats[beat.host] = Beat(
                (beat.host, beat.boot, beat.epoch),
                record.timestamp_ms,
                record.timestamp_ms - age_ms,
                beat.acknowledged,
                beat.final and not age_ms,
            )
            if len(self.beats) > MOST_HOSTS:
                del self.beats[next(iter(self.beats))]


class Follower:
    """What one partition made of the heartbeats so far."""

    def __init__(self, shard: int) -> None:
        self._shard = shard
        self._taken: dict[str, Taken] = {}

    def peers(self, engine: EventEngine, known: Watermarks) -> Peers:
        """Return what an engine is to be told now, of hosts that it has heard of and that are not in time."""
        now = engine.broker_ms
        if now is None:
            return engine.peers
        patience, behind, silent = known.patience, {}, []
        for host in sorted(set(engine.flows.homes.hosts.values())):
            beat = known.beats.get(host)
            if beat is None:
                continue
            watermark = self._watermark(host, beat, engine, now, patience)
            gone = now - beat.at_ms > patience.silence or (beat.ended and watermark >= beat.at_ms)
            if gone or watermark < now - patience.longest:
                silent.append(host)
            elif watermark < now - patience.slack:
                behind[host] = watermark
        return Peers(behind, tuple(silent))

    def _watermark(self, host: str, beat: Beat, engine: EventEngine, now: int, patience: Patience) -> int:
        before = self._taken.get(host) or Taken(engine.peers.behind.get(host, now), None)
        goal = before.goal if before.goal is not None and before.goal.run == beat.run else beat
        watermark = before.watermark_ms
        if self._is_there(goal, engine, now, patience):
            watermark, goal = goal.watermark_ms, beat
            if self._is_there(beat, engine, now, patience):
                watermark, goal = beat.watermark_ms, beat
        self._taken[host] = Taken(watermark, goal)
        return watermark

    def _is_there(self, beat: Beat, engine: EventEngine, now: int, patience: Patience) -> bool:
        """Say whether the partition was read to where a heartbeat speaks of, by number or beyond its time.

        By number alone it would wait for ever for batches that were deleted before this lake began.
        """
        last = beat.acknowledged.get(self._shard)
        if last is None or now > beat.at_ms + patience.slack:
            return True
        return engine.streams.reached((*beat.run, self._shard), last)
