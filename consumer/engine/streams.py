# SPDX-License-Identifier: Apache-2.0
"""The ``Stream`` of every agent run that a partition has heard of, bounded in number.

A run that began (its epoch) after the first record that was read here has all its batches in what is read
here, so whatever of it is missing is a gap. An older run may have had batches before that record, which were
never offered. Both moments come from different clocks: an error between them decides only about agents
that started within it of the first record.
"""

from consumer.engine.peers import Gaps
from consumer.engine.sequence import Stream
from schemas.batch import EventBatch

MAX_STREAMS = 16_384
Key = tuple[str, str, int, int]
"""Host, boot, epoch, shard."""


class Streams:
    """Agent runs by key; beyond ``MAX_STREAMS`` the one that was not heard for longest is forgotten."""

    def __init__(self) -> None:
        self.streams: dict[Key, Stream] = {}
        self.gaps = Gaps()
        self.since_ns: int | None = None
        """Of runs that began up to then not all may be known: realtime, None before the first record."""

    def knows(self, batch: EventBatch) -> bool:
        """Say whether the batch was taken before."""
        stream = self.streams.get(_key(batch))
        return stream is not None and stream.knows(batch.sequence)

    def take(self, batch: EventBatch, broker_ns: int) -> dict[str, int]:
        """Take a batch that is not known, at the broker's time; returns ledger reason -> events."""
        if self.since_ns is None:
            self.since_ns = broker_ns
        key = _key(batch)
        stream = self.streams.pop(key, None) or Stream(whole=batch.epoch > self.since_ns)
        self.streams[key] = stream
        if len(self.streams) > MAX_STREAMS:
            self._forget(next(iter(self.streams)))
        counts = stream.take(batch.sequence, batch.cumulative, batch.events)
        if counts["gap"]:
            self.gaps.note(key, counts["gap"], stream.gap, broker_ns // 1_000_000)
        return counts

    def reached(self, key: Key, sequence: int) -> bool:
        """Say whether a batch with this number or a higher one was taken."""
        stream = self.streams.get(key)
        return stream is not None and stream.highs[-1][0] > sequence

    def _forget(self, key: Key) -> None:
        """Forget a run; should it be heard of again, what was counted of it is not counted anew as a gap."""
        del self.streams[key]
        assert self.since_ns is not None  # noqa: S101 - a batch was taken
        self.since_ns = max(self.since_ns, key[2])


def _key(batch: EventBatch) -> Key:
    return batch.host, batch.boot, batch.epoch, batch.shard
