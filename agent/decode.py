# SPDX-License-Identifier: Apache-2.0
"""Record bytes of the kernel to numpy arrays, without a Python object per event.

The layouts mirror bpf/event.h; a test holds them equal.
"""

import operator
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.errors import WirelagError

RECORD_VERSION = 1
STREAM_FACTS = 16
KIND_CONNECTION, KIND_TASK, KIND_TOTALS = 16, 17, 18

RECORD_DTYPE = np.dtype(
    [("first_sequence", "=u8"), ("count", "=u4"), ("cpu", "=u2"), ("stream", "u1"), ("version", "u1")]
)
_HEAD = struct.Struct("=QIHBB")
"""The same, for one record at a time."""
_STREAM = operator.itemgetter(slice(12, 15))
"""CPU and stream of a record, as bytes."""
EVENT_DTYPE = np.dtype(
    [
        ("time_ns", "=u8"),
        ("duration_ns", "=u8"),
        ("sock", "=u8"),
        ("position", "=u8"),
        ("length", "=u4"),
        ("iss", "=u4"),
        ("irs", "=u4"),
        ("srtt_us", "=u4"),
        ("tgid", "=u4"),
        ("tid", "=u4"),
        ("flags", "=u2"),
        ("kind", "u1"),
        ("cpu", "u1"),
        ("rates", "=u4"),
    ]
)
CONNECTION_DTYPE = np.dtype(
    [
        ("time_ns", "=u8"),
        ("sock", "=u8"),
        ("cgroup", "=u8"),
        ("local_address", "u1", 16),
        ("remote_address", "u1", 16),
        ("netns", "=u4"),
        ("iss", "=u4"),
        ("irs", "=u4"),
        ("local_port", "=u2"),
        ("remote_port", "=u2"),
        ("family", "=u2"),
        ("role", "u1"),
        ("opener_comm", "S16"),
        ("padding", "u1"),
        ("opener_tgid", "=u4"),
        ("reserved", "u1", 11),
        ("kind", "u1"),
        ("flags", "=u4"),
    ]
)
TASK_DTYPE = np.dtype(
    [
        ("time_ns", "=u8"),
        ("start_ns", "=u8"),
        ("cgroup", "=u8"),
        ("comm", "S16"),
        ("leader_comm", "S16"),
        ("tgid", "=u4"),
        ("tid", "=u4"),
        ("reserved", "u1", 43),
        ("kind", "u1"),
        ("flags", "=u4"),
    ]
)
TOTALS_DTYPE = np.dtype(
    [
        ("time_ns", "=u8"),
        ("sock", "=u8"),
        ("opened_ns", "=u8"),
        ("sent_bytes", "=u8"),
        ("received_bytes", "=u8"),
        ("read_bytes", "=u8"),
        ("base_sent", "=u8"),
        ("base_read", "=u8"),
        ("retransmitted_bytes", "=u8"),
        ("iss", "=u4"),
        ("irs", "=u4"),
        ("srtt_us", "=u4"),
        ("min_rtt_us", "=u4"),
        ("retransmits", "=u4"),
        ("sent_segments", "=u4"),
        ("received_segments", "=u4"),
        ("state", "=u2"),
        ("role", "u1"),
        ("reserved", "u1", 4),
        ("kind", "u1"),
        ("flags", "=u4"),
    ]
)
SPAN_DTYPE = np.dtype([("cpu", "=u2"), ("stream", "u1"), ("first", "=u8"), ("count", "=u4")])


class MalformedRecordError(WirelagError):
    """A record that the programs of this version cannot have written."""


class Decoded(NamedTuple):
    """What the records held. Events are in order within one stream, in none across streams."""

    events: NDArray[Any]
    """(n,) of EVENT_DTYPE."""
    connections: NDArray[Any]
    """(c,) of CONNECTION_DTYPE."""
    tasks: NDArray[Any]
    """(t,) of TASK_DTYPE."""
    totals: NDArray[Any]
    """(e,) of TOTALS_DTYPE: none unless the capture was asked for lives."""
    spans: NDArray[Any]
    """(r,) of SPAN_DTYPE: which slots of which stream each record held."""


def decode(records: Sequence[bytes]) -> Decoded:
    """Decode whole records as they came from the perf buffer.

    Raises:
        MalformedRecordError: a record's sizes do not agree, or its version or a slot's kind is another one.
    """
    events: list[memoryview] = []
    facts: list[memoryview] = []
    spans = []
    # Streams one after the other: within each, events are in order, so few sorted runs remain to be merged.
    for record in sorted(records, key=_STREAM):
        first, count, cpu, stream, slots = _open(record)
        spans.append((cpu, stream, first, count))
        (facts if stream & STREAM_FACTS else events).append(slots)
    told = np.frombuffer(b"".join(facts), CONNECTION_DTYPE)
    kind = told["kind"]
    if not np.isin(kind, (KIND_CONNECTION, KIND_TASK, KIND_TOTALS)).all():
        raise MalformedRecordError(f"fact of unknown kind {kind.max()}")
    return Decoded(
        np.frombuffer(b"".join(events), EVENT_DTYPE),
        told[kind == KIND_CONNECTION],
        told[kind == KIND_TASK].view(TASK_DTYPE),
        told[kind == KIND_TOTALS].view(TOTALS_DTYPE),
        np.array(spans, SPAN_DTYPE),
    )


class _Opened(NamedTuple):
    """A record's head and its slots."""

    first: int
    length: int
    cpu: int
    stream: int
    slots: memoryview


def _open(record: bytes) -> _Opened:
    """Split a record into head and slots; the perf buffer pads records to its own alignment."""
    if len(record) < _HEAD.size:
        raise MalformedRecordError(f"record of {len(record)} bytes, its head alone has {_HEAD.size}")
    first, count, cpu, stream, version = _HEAD.unpack_from(record)
    if version != RECORD_VERSION:
        raise MalformedRecordError(f"record of version {version}, this agent reads {RECORD_VERSION}")
    slot = CONNECTION_DTYPE if stream & STREAM_FACTS else EVENT_DTYPE
    end = _HEAD.size + count * slot.itemsize
    if not end <= len(record) < end + 8:
        raise MalformedRecordError(f"record of {len(record)} bytes for {count} slots: {end} expected")
    return _Opened(first, count, cpu, stream, memoryview(record)[_HEAD.size : end])


class SequenceCheck:
    """Finds holes in the streams: slots the kernel numbered that never came."""

    def __init__(self) -> None:
        self._next: dict[tuple[int, int], int] = {}

    def update(self, spans: NDArray[Any]) -> int:
        """Take (r,) spans in the order they came; return the number of missing slots."""
        missing = 0
        for cpu, stream, first, count in spans.tolist():
            missing += first - self._next.get((cpu, stream), 0)
            self._next[cpu, stream] = first + count
        return missing
