# SPDX-License-Identifier: Apache-2.0
"""What one event says: open this file first.

An event is one call (or one arrival in the kernel), not a segment on the wire. Times are the host's
CLOCK_MONOTONIC in nanoseconds; stream positions are 64-bit byte counts that start at 0 with the first payload
byte of one direction and never wrap. ``EventBatch`` (batch.py) is these Structs in columns; a property test
holds the two equal.
"""

from enum import IntEnum, IntFlag
from typing import Annotated

import msgspec

from schemas.field import Packing, described

POSITION_BITS = 62
TIME_BITS = 62


class Kind(IntEnum):
    """The kinds of event, as numbered in the kernel's slots and on the wire."""

    SEND = 1
    RECEIVE = 2
    ARRIVAL = 3


class Flag(IntFlag):
    """Marks on an event. Bits are shared by all kinds; the kernel program uses the same numbers."""

    LAST_PIECE = 1 << 0
    """Send: the last piece of its call (a call with one piece has FIRST_PIECE and LAST_PIECE)."""
    FIRST_PIECE = 1 << 1
    """Send: the first piece of its call."""
    UNCERTAIN = 1 << 2
    """The position was derived from the result of the call, not read under the socket lock."""
    FAST_OPEN = 1 << 3
    """Send: data went out with the SYN (TCP Fast Open)."""
    BACKLOG = 1 << 4
    """Arrival: handled from the socket's backlog, so stamped later than the data reached the kernel."""
    SHARED_READ = 1 << 5
    """Receive: one of several readers (or MSG_WAITALL), positions taken from the socket's own cursor."""
    TRUNCATED = 1 << 6
    """Receive: MSG_TRUNC, the bytes were consumed and thrown away."""
    URGENT = 1 << 7
    """Send or receive of out-of-band data."""
    NO_ROLE = 1 << 8
    """Which end opened the connection is not known; positions may be one too high or low."""
    NO_ARRIVAL = 1 << 9
    """Receive: no arrival was seen for some of its bytes (below SO_RCVLOWAT, or with the SYN)."""
    NO_CALL = 1 << 10
    """Receive: the bytes were consumed, but no call's end was seen (splice, readers in the kernel)."""


Time = Annotated[
    int, described("ns", Packing.DELTA, TIME_BITS, "CLOCK_MONOTONIC of the host when the call started")
]
EndTime = Annotated[
    int, described("ns", Packing.DELTA, TIME_BITS, "CLOCK_MONOTONIC of the host when the call ended")
]
ArrivalTime = Annotated[
    int,
    described(
        "ns", Packing.DELTA, TIME_BITS, "CLOCK_MONOTONIC of the host when the socket was told of the data"
    ),
]
Position = Annotated[
    int, described("bytes", Packing.CONTINUE, POSITION_BITS, "stream position of the first byte of the range")
]
ArrivalPosition = Annotated[
    int,
    described(
        "bytes",
        Packing.DELTA,
        POSITION_BITS,
        "bytes of this direction in the receiving kernel so far (range end)",
    ),
]
Length = Annotated[int, described("bytes", Packing.PLAIN, 32, "bytes in the range")]
Duration = Annotated[
    int,
    described(
        "ns", Packing.PLAIN, 48, "time inside the call: from its first piece under the lock to its return"
    ),
]
Srtt = Annotated[
    int,
    described("us", Packing.DELTA, 32, "the kernel's smoothed round-trip time of this end (srtt_us >> 3)"),
]
Flags = Annotated[int, described("bits", Packing.PLAIN, 16, "marks, see the flag table")]
Thread = Annotated[int, described("id", Packing.DELTA, 32, "kernel thread id of the caller")]
FlowIndex = Annotated[int, described("index", Packing.RUN, 16, "entry of the batch's flow dictionary")]
ProcessIndex = Annotated[
    int, described("index", Packing.RUN, 16, "entry of the batch's process dictionary, 0 = not in a process")
]


class TcpSend(msgspec.Struct, frozen=True, kw_only=True, tag="send"):
    """One piece of one send call: bytes [position, position + length) entered the stream, none between."""

    flow: FlowIndex
    process: ProcessIndex
    time_ns: Time
    position: Position
    length: Length
    duration_ns: Duration
    srtt_us: Srtt
    thread: Thread
    flags: Flags


class TcpReceive(msgspec.Struct, frozen=True, kw_only=True, tag="receive"):
    """One read (or piece of a read): bytes [position, position + length) were consumed by the application."""

    flow: FlowIndex
    process: ProcessIndex
    time_ns: EndTime
    position: Position
    length: Length
    srtt_us: Srtt
    thread: Thread
    flags: Flags


class TcpArrival(msgspec.Struct, frozen=True, kw_only=True, tag="arrival"):
    """The receiving kernel has all bytes below ``position`` and told the socket so; in no process's name."""

    flow: FlowIndex
    process: ProcessIndex
    time_ns: ArrivalTime
    position: ArrivalPosition
    flags: Flags


Event = TcpSend | TcpReceive | TcpArrival
STRUCTS: dict[Kind, type[TcpSend] | type[TcpReceive] | type[TcpArrival]] = {
    Kind.SEND: TcpSend,
    Kind.RECEIVE: TcpReceive,
    Kind.ARRIVAL: TcpArrival,
}
