# SPDX-License-Identifier: Apache-2.0
"""What an engine is told, and what keeps its snapshot from being taken for another's."""

from typing import Annotated
from zlib import crc32

import msgspec

from common.errors import RuntimeFailure
from consumer.engine.names import EdgeName, Owner

_CRC_BYTES = 4
Positive = Annotated[int, msgspec.Meta(gt=0)]


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """Part of the answer: engines that differ here give different rows, so a partition keeps its settings."""

    tick_ms: Positive = 5_000
    """Broker time between ticks."""
    horizon_ms: Positive = 60_000
    """Broker time an event waits for its other end, and a flow is remembered without events."""
    window_ns: Positive = 60_000_000_000
    """Length of a histogram's window."""
    max_open_events: Positive = 4_000_000
    """Events that wait from tick to tick; beyond it the oldest are evicted and counted."""
    max_tick_events: Positive = 1_000_000
    """Events collected at most before a tick is made, whatever the broker's time says."""
    match_rows: Positive | None = None
    """Rows of kind match that a tick gives at most, about; the rest is in histograms alone. None: all."""
    edge_names: tuple[EdgeName, ...] = ()
    """What ends are called in edges, the first that matches; without one ``process@host:port``."""
    owners: tuple[Owner, ...] = ()
    """Who owns an end, the first that matches."""


class SnapshotError(RuntimeFailure):
    """A snapshot is damaged, or of another version or partition. An older one may still be good."""


def seal(body: bytes) -> bytes:
    """Return a snapshot's content with its checksum."""
    return body + crc32(body).to_bytes(_CRC_BYTES, "little")


def unseal(blob: bytes) -> bytes:
    """Return what was sealed; raises SnapshotError where a byte of it differs."""
    body = blob[:-_CRC_BYTES]
    if seal(body) != blob:
        raise SnapshotError(f"snapshot of {len(blob)} bytes: checksum differs")
    return body


def check_fits(found: tuple[int, int], expected: tuple[int, int]) -> None:
    """Raise SnapshotError where (version, topic partition) is another."""
    if found != expected:
        what = f"version {found[0]} of partition {found[1]}"
        raise SnapshotError(f"snapshot is {what}, expected {expected[0]} of {expected[1]}")
