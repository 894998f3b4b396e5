# SPDX-License-Identifier: Apache-2.0
"""The ``Stream`` of every agent run that a partition has heard of, bounded in number."""

from consumer.engine.sequence import Stream
from schemas.batch import EventBatch

MAX_STREAMS = 16_384
Key = tuple[str, str, int, int]
"""Host, boot, epoch, shard."""


class Streams:
    """Agent runs by key; beyond ``MAX_STREAMS`` the one that was not heard for longest is forgotten."""

    def __init__(self) -> None:
        self.streams: dict[Key, Stream] = {}

    def knows(self, batch: EventBatch) -> bool:
        """Say whether the batch was taken before."""
        stream = self.streams.get(_key(batch))
        return stream is not None and stream.knows(batch.sequence)

    def take(self, batch: EventBatch) -> dict[str, int]:
        """Take a batch that is not known; returns ledger reason -> events."""
        key = _key(batch)
        stream = self.streams.pop(key, None) or Stream()
        self.streams[key] = stream
        if len(self.streams) > MAX_STREAMS:
            del self.streams[next(iter(self.streams))]
        return stream.take(batch.sequence, batch.cumulative, batch.events)


def _key(batch: EventBatch) -> Key:
    return batch.host, batch.boot, batch.epoch, batch.shard
