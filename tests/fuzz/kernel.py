# SPDX-License-Identifier: Apache-2.0
"""Targets: the kernel's records as the agent reads them. Each slot counts, or the record is refused."""

import struct

from agent.decode import (
    CONNECTION_DTYPE,
    EVENT_DTYPE,
    RECORD_VERSION,
    STREAM_FACTS,
    MalformedRecordError,
    SequenceCheck,
    decode,
)
from fuzz.target import Target

_HEAD = struct.Struct("=QIHBB")
_CUT = b"\xff\x00CUT\x00\xff"
"""Between the records of one input."""


def kernel(data: bytes) -> None:
    """Decode all records of an input together."""
    records = data.split(_CUT)
    try:
        found = decode(records)
    except MalformedRecordError:
        return
    slots = sum(len(table) for table in (found.events, found.connections, found.tasks, found.totals))
    assert slots == int(found.spans["count"].sum())
    assert len(found.spans) == len(records)
    SequenceCheck().update(found.spans)


def _seeds() -> list[bytes]:
    events = bytearray(3 * EVENT_DTYPE.itemsize)
    facts = bytearray(3 * CONNECTION_DTYPE.itemsize)
    kind = CONNECTION_DTYPE.fields["kind"][1]  # type: ignore[index] # it has fields
    for number, value in enumerate((16, 17, 18)):
        facts[number * CONNECTION_DTYPE.itemsize + kind] = value
    first = _HEAD.pack(0, 3, 1, 0, RECORD_VERSION) + events
    second = _HEAD.pack(7, 3, 1, STREAM_FACTS, RECORD_VERSION) + facts
    return [first, second, first + _CUT + second + bytes(4), _HEAD.pack(0, 0, 0, 0, RECORD_VERSION)]


TARGETS = [Target("kernel", kernel, _seeds, 20_000)]
