# SPDX-License-Identifier: Apache-2.0
"""What one event says: open this file first.

An event is one call, one arrival in the kernel, or one turn in the life of a connection; not a segment on
the wire (``TcpRetransmit`` is the one exception). Times are the host's CLOCK_MONOTONIC in nanoseconds; stream
positions are 64-bit byte counts that start at 0 with the first payload byte of one direction and never wrap.
``EventBatch`` (batch.py) is these Structs in columns; a property test holds the two equal.
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
    CONNECT = 4
    CLOSE = 5
    RETRANSMIT = 6


class Audit(IntEnum):
    """How the bytes in a connection's events compare with the kernel's own count of its bytes."""

    COMPLETE = 0
    """Every byte that moved since the agent follows the connection is in an event."""
    PARTIAL = 1
    """Some are in none; ``missing_sent`` and ``missing_received`` say how many."""
    BLIND = 2
    """The connection's calls do not count bytes of its stream; the flow's ``marks`` say why."""
    SAMPLED = 3
    """Events were sampled out on purpose, so the bytes cannot be compared."""


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
    FAILED = 1 << 11
    """Connect: no connection came of it; ``error`` says why, 0 = the kernel does not say. Retransmit: the
    segment could not be handed to the network."""
    OLDER = 1 << 12
    """Close: the opening was not seen, so ``duration_ns`` is 0 and bytes before the agent count as seen."""
    ABORTED = 1 << 13
    """Close: by a reset or an error, of either side, not by both sides' FINs."""
    OPEN = 1 << 14
    """Close: it is not one yet, but an account of a connection that goes on, told every few minutes."""


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
SynTime = Annotated[
    int, described("ns", Packing.DELTA, TIME_BITS, "CLOCK_MONOTONIC of the host when the SYN was sent")
]
CloseTime = Annotated[
    int, described("ns", Packing.DELTA, TIME_BITS, "CLOCK_MONOTONIC of the host when TCP was done with it")
]
RetransmitTime = Annotated[
    int, described("ns", Packing.DELTA, TIME_BITS, "CLOCK_MONOTONIC of the host when it was sent again")
]
Handshake = Annotated[
    int, described("ns", Packing.PLAIN, 62, "time from the SYN until established, or until given up")
]
Lifetime = Annotated[
    int, described("ns", Packing.PLAIN, 62, "time from the opening (SYN sent or accepted) to the close")
]


def _bytes(meaning: str) -> msgspec.Meta:
    return described("bytes", Packing.PLAIN, POSITION_BITS, meaning)


def _segments(meaning: str) -> msgspec.Meta:
    return described("segments", Packing.PLAIN, 32, meaning)


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


class TcpConnect(msgspec.Struct, frozen=True, kw_only=True, tag="connect"):
    """One attempt to open a connection, told by its opener once it is decided."""

    flow: FlowIndex
    process: ProcessIndex
    time_ns: SynTime
    duration_ns: Handshake
    error: Annotated[int, described("errno", Packing.PLAIN, 32, "why it failed, 0 = established or not told")]
    retransmits: Annotated[int, _segments("SYNs sent again")]
    srtt_us: Srtt
    thread: Thread
    flags: Flags


class TcpClose(msgspec.Struct, frozen=True, kw_only=True, tag="close"):
    """The end of an established connection with this kernel's totals; both ends tell their own.

    With ``Flag.OPEN`` it is an account in between: totals up to then.
    """

    flow: FlowIndex
    process: ProcessIndex
    time_ns: CloseTime
    duration_ns: Lifetime
    sent_bytes: Annotated[int, _bytes("given to the stream by this end, without its FIN")]
    received_bytes: Annotated[int, _bytes("in this kernel, without the peer's FIN")]
    unread_bytes: Annotated[int, _bytes("of those received, never taken by the application")]
    missing_sent: Annotated[int, _bytes("of those sent, in no event of this agent")]
    missing_received: Annotated[int, _bytes("of those the application took, in no event of this agent")]
    retransmitted_bytes: Annotated[int, _bytes("sent again")]
    retransmits: Annotated[int, _segments("sent again")]
    sent_segments: Annotated[int, _segments("sent, all kinds")]
    received_segments: Annotated[int, _segments("received, all kinds")]
    min_rtt_us: Annotated[
        int, described("us", Packing.PLAIN, 32, "smallest round trip the kernel saw lately, 0 = none")
    ]
    srtt_us: Srtt
    audit: Annotated[int, described("enum", Packing.PLAIN, 8, "see the audit table")]
    flags: Flags


class TcpRetransmit(msgspec.Struct, frozen=True, kw_only=True, tag="retransmit"):
    """One segment sent again: bytes [position, position + length) of this end's stream."""

    flow: FlowIndex
    process: ProcessIndex
    time_ns: RetransmitTime
    position: Position
    length: Length
    srtt_us: Srtt
    flags: Flags


Event = TcpSend | TcpReceive | TcpArrival | TcpConnect | TcpClose | TcpRetransmit
STRUCTS: dict[Kind, type[Event]] = {
    Kind.SEND: TcpSend,
    Kind.RECEIVE: TcpReceive,
    Kind.ARRIVAL: TcpArrival,
    Kind.CONNECT: TcpConnect,
    Kind.CLOSE: TcpClose,
    Kind.RETRANSMIT: TcpRetransmit,
}
