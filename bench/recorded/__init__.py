# SPDX-License-Identifier: Apache-2.0
"""Batches that a real agent sent, kept in a file to be replayed: no file is in git, make one with ``record``.

A file is a row of (partition, length, value): two little-endian u32, then the bytes as they were in Kafka.
"""

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from schemas import batch as codec
from schemas.batch import EventBatch

_HEAD = struct.Struct("<II")
_WORD = 2**64
_STEP = 0x9E37_79B9


def write(path: Path, records: Iterable[tuple[int, bytes]]) -> int:
    """Write (partition, value) to a new file; return their number."""
    written = 0
    with path.open("wb") as stream:
        for partition, value in records:
            stream.write(_HEAD.pack(partition, len(value)) + value)
            written += 1
    return written


def read(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield (partition, value)."""
    with path.open("rb") as stream:
        while head := stream.read(_HEAD.size):
            partition, length = _HEAD.unpack(head)
            yield partition, stream.read(length)


def copies(values: list[tuple[int, bytes]], events: int) -> Iterator[tuple[int, bytes]]:
    """Yield the recording again and again up to ``events`` events, each time of other connections."""
    batches = [(partition, codec.decode(value)) for partition, value in values]
    sent = copy = 0
    while sent < events and batches:
        for partition, batch in batches:
            sent += batch.events
            yield partition, codec.encode(renamed(batch, copy))
        copy += 1


def renamed(batch: EventBatch, copy: int) -> EventBatch:
    """Return the batch as if another agent had sent it of other connections of the same shard."""
    if not copy:
        return batch
    step = copy * _STEP * batch.shards
    flows = tuple(
        msgspec.structs.replace(flow, connection=_moved(flow.connection, step)) for flow in batch.flows
    )
    return msgspec.structs.replace(batch, epoch=batch.epoch + copy, flows=flows)


def _moved(connection: int, step: int) -> int:
    return connection + step if connection + step < _WORD else connection - step
