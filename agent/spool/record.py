# SPDX-License-Identifier: Apache-2.0
"""What one row of a spool file says, and the checksums that tell whether it still says so.

``head_crc`` covers the row's number and head, ``crc`` also the value: where only the value is damaged, the
head still tells how many events are lost with it.
"""

import struct
import zlib
from typing import NamedTuple

_HEAD = struct.Struct("<QIQIq")
_MARK = struct.Struct("<IQ")


class Run(NamedTuple):
    """The agent run that packed the records of a file."""

    host: str
    boot: str
    epoch: int
    """Realtime nanoseconds at which it started."""
    shards: int


NOBODY = Run("", "", 0, 0)
"""A run that packs nothing: of programs that only take records out."""


class Record(NamedTuple):
    """One Kafka record; its own identity is inside ``value``, unchanged."""

    shard: int
    sequence: int
    events: int
    oldest_ns: int
    """CLOCK_MONOTONIC of its oldest event."""
    value: bytes


class Place(NamedTuple):
    """Where a record is: number of the file, its shard, number of the row (from 1)."""

    file: int
    shard: int
    row: int


class Given(NamedTuple):
    """A record taken out, until it is told what became of it."""

    place: Place
    own: bool
    """Packed by the run that opened the spool."""
    record: Record
    run: Run = NOBODY
    """Who packed it."""


class Loss(NamedTuple):
    """Records of one shard that are gone."""

    reason: str
    """``quota``, ``disk-full``, ``disk-error`` or ``corrupt``."""
    own: bool
    shard: int
    records: int
    events: int
    through: int | None = None
    """All records of the shard up to this sequence are decided; None: that cannot be said."""
    oldest_ns: int | None = None
    """CLOCK_MONOTONIC of the oldest event of what is left of the shard, where ``through`` is known."""
    run: Run = NOBODY
    """Who packed them."""


def crcs(row: int, record: Record) -> tuple[int, int]:
    """Return (head_crc, crc) of a row.

    Raises:
        struct.error: a number is outside what a head can hold.
    """
    head = _HEAD.pack(row, record.shard, record.sequence, record.events, record.oldest_ns)
    head_crc = zlib.crc32(head)
    return head_crc, zlib.crc32(record.value, head_crc)


def mark_crc(shard: int, row: int) -> int:
    """Return the checksum of a mark (how far a shard of a file was taken out).

    Raises:
        struct.error: a number is outside what a mark can hold.
    """
    return zlib.crc32(_MARK.pack(shard, row))
