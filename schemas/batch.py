# SPDX-License-Identifier: Apache-2.0
"""``EventBatch``: one value of the topic ``wirelag.events.v1``, decodable with no other record.

A batch holds events of one host and one shard. Its head numbers it (sequence, events before it) so that
repeats and gaps are exact numbers; its dictionaries name connections and processes once; its sections hold
the events (section.py). msgpack arrays, compressed by Kafka (docs/design.md says why there). Readers take
versions N and N-1 and ignore fields they do not know at the end of any array. Ranges stand beside the fields:
whatever bytes arrive, ``decode`` and ``columns`` return what is within them or raise RecordError.
"""

from enum import IntFlag
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from schemas.errors import RecordError
from schemas.event import STRUCTS, Kind
from schemas.section import EMPTY, MAX_EVENTS, Columns, Section, unpack

VERSION = 1
READS = (1,)
TAG = "wirelag.events"
MAX_RECORD_BYTES = 8 * 1024 * 1024
MAX_SHARDS = 65_536

Natural = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Whole = Annotated[int, Meta(ge=-(2**63) + 1, le=2**63 - 1)]
Nanoseconds = Annotated[int, Meta(ge=0, le=2**63 - 1, extra={"unit": "ns"})]
Word = Annotated[int, Meta(ge=0)]  # msgpack itself has no number above 2^64 - 1
Port = Annotated[int, Meta(ge=0, le=65_535)]
FULL_RATE = 65_536
Rate = Annotated[int, Meta(ge=0, le=FULL_RATE)]
Address = Annotated[bytes, Meta(min_length=16, max_length=16)]


class Mark(IntFlag):
    """Marks on a connection, in ``Flow.marks``; the kernel program uses the same numbers."""

    OLDER = 1 << 0
    """Opened before the agent came, or its opening was not seen."""
    NO_ROLE = 1 << 1
    """The opener is not known: every position may be one too low."""
    MPTCP = 1 << 2
    """Blind: a subflow of multipath TCP; no sends, receives and arrivals are told."""
    ULP = 1 << 3
    """Blind: kernel TLS or another upper layer; none are told from then on."""
    REPLACED = 1 << 4
    """Blind: a sockmap or the like took over; none are told from then on."""
    REPAIR = 1 << 5
    """Blind: moved by TCP_REPAIR, which sets sequence numbers without moving bytes."""


BLIND = Mark.MPTCP | Mark.ULP | Mark.REPLACED | Mark.REPAIR


class Flow(msgspec.Struct, frozen=True, array_like=True):
    """One end of one connection, as its host sees it."""

    connection: Word
    """64-bit keyed hash of the two initial sequence numbers: equal at both ends, unchanged by NAT."""
    end: Annotated[int, Meta(ge=0, le=1)]
    """0 or 1: which end this host is. The direction of a byte is the ``end`` of its sender."""
    family: Annotated[int, Meta(ge=4, le=6)]
    """4 or 6 (IPv4-mapped IPv6 addresses are 4)."""
    role: Annotated[int, Meta(ge=0, le=2)]
    """1: this end opened the connection; 2: it accepted it; 0: not known."""
    local_address: Address
    """16 bytes, IPv4 as ::ffff:a.b.c.d."""
    local_port: Port
    """This end's port."""
    remote_address: Address
    """The peer as this end sees it, 16 bytes (after NAT it may differ from what the peer calls itself)."""
    remote_port: Port
    """The peer's port as this end sees it."""
    netns: Natural
    """Inode of the network namespace."""
    opener: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 0
    """pid of who made the socket (where it was accepted: of who listens), 0 = not known; it has an entry in
    ``processes``. Who uses the socket is told with each event."""
    marks: Annotated[int, Meta(ge=0, le=2**16 - 1)] = 0
    """What is particular to the connection, see ``Mark``."""


class Process(msgspec.Struct, frozen=True, array_like=True):
    """Who made a call. Entry 0 of every dictionary is ``pid`` 0: the kernel, for arrivals."""

    pid: Annotated[int, Meta(ge=0, le=2**32 - 1)]
    """Process id (thread group) in the host's first pid namespace."""
    name: Annotated[str, Meta(max_length=64)]
    """comm of the process (of its main thread)."""
    cgroup: Word = 0
    """Id of the cgroup (v2), 0 = not known."""
    label: Annotated[str, Meta(max_length=512)] = ""
    """What its cgroup was made for: some of `user:UID`, `pod:UID`, `container:ID` (12 hexadecimal digits, or
    a name), `unit:NAME`, in this order with `/` between; empty = none, or not known. Values have no `/`."""


class EventBatch(msgspec.Struct, frozen=True, array_like=True, tag=TAG):
    """Head, dictionaries and sections of one record."""

    version: int
    """Schema version."""
    host: Annotated[str, Meta(min_length=1, max_length=255)]
    """Name of the host that observed the events."""
    boot: Annotated[str, Meta(max_length=64)]
    """The kernel's boot id; two hosts with one boot id share one clock."""
    epoch: Nanoseconds
    """Realtime nanoseconds at which the agent started: a restarted agent numbers its batches anew."""
    shards: Annotated[int, Meta(ge=1, le=MAX_SHARDS)]
    """Number of shards = partitions of the topic."""
    shard: Annotated[int, Meta(ge=0, le=MAX_SHARDS - 1)]
    """connection mod shards."""
    sequence: Natural
    """0, 1, 2 … of this (host, boot, epoch, shard)."""
    cumulative: Natural
    """Events in the batches before this one in the same (host, boot, epoch, shard)."""
    events: Annotated[int, Meta(ge=0, le=MAX_EVENTS)]
    """Events in this batch, all kinds."""
    packed_ns: Nanoseconds
    """CLOCK_MONOTONIC when the batch was packed."""
    age_ns: Nanoseconds
    """Age of the batch's oldest event when it was packed."""
    realtime_offset_ns: Whole
    """CLOCK_REALTIME minus CLOCK_MONOTONIC when the batch was packed."""
    flows: Annotated[tuple[Flow, ...], Meta(max_length=MAX_EVENTS)]
    """Connections in this batch."""
    processes: Annotated[tuple[Process, ...], Meta(min_length=1, max_length=MAX_EVENTS)]
    """Processes in this batch; entry 0 is the kernel."""
    sends: Section = EMPTY
    """TcpSend events."""
    receives: Section = EMPTY
    """TcpReceive events."""
    arrivals: Section = EMPTY
    """TcpArrival events."""
    connects: Section = EMPTY
    """TcpConnect events."""
    closes: Section = EMPTY
    """TcpClose events."""
    retransmits: Section = EMPTY
    """TcpRetransmit events."""
    connection_rate: Rate = FULL_RATE
    """Of 65,536 connections, how many have all their events kept (docs/wire-format.md, Sampling)."""
    block_rate: Rate = FULL_RATE
    """Of 65,536 blocks of 64 KiB of a stream, how many have the events that touch them kept."""

    def section(self, kind: Kind) -> Section:
        """Return the section of a kind."""
        found: Section = getattr(self, SECTIONS[kind])
        return found

    def opener(self, flow: Flow) -> Process | None:
        """Return who made the socket of a flow, None where that is not known."""
        if not flow.opener:
            return None
        return next((process for process in self.processes if process.pid == flow.opener), None)


SECTIONS = {
    Kind.SEND: "sends",
    Kind.RECEIVE: "receives",
    Kind.ARRIVAL: "arrivals",
    Kind.CONNECT: "connects",
    Kind.CLOSE: "closes",
    Kind.RETRANSMIT: "retransmits",
}
"""Field of ``EventBatch`` by kind."""
_NAMES = tuple(SECTIONS.values())


class _Head(msgspec.Struct, frozen=True, array_like=True, tag=TAG):
    version: int


_encoder = msgspec.msgpack.Encoder()
_head_decoder = msgspec.msgpack.Decoder(_Head)
_decoder = msgspec.msgpack.Decoder(EventBatch)
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError)


def encode(batch: EventBatch) -> bytes:
    """Return the record's value."""
    return _encoder.encode(batch)


def decode(value: bytes) -> EventBatch:
    """Return the batch in a record's value, its head and dictionaries checked; raises RecordError only."""
    if len(value) > MAX_RECORD_BYTES:
        raise RecordError("too-large", f"record of {len(value)} bytes, allowed are {MAX_RECORD_BYTES}")
    try:
        version = _head_decoder.decode(value).version
    except _UNREADABLE as error:
        raise RecordError("not-msgpack", f"not an event batch: {error}") from error
    if version not in READS:
        raise RecordError("version", f"event batch of version {version}, this reader takes {READS}")
    try:
        batch = _decoder.decode(value)
    except _UNREADABLE as error:
        raise RecordError("limits", f"not an event batch: {error}") from error
    _check_sums(batch)
    _check_flows(batch)
    return batch


def columns(batch: EventBatch) -> dict[Kind, Columns]:
    """Unpack every section; raises RecordError where a column is not what the head says."""
    tables = {kind: unpack(kind, batch.section(kind)) for kind in STRUCTS}
    for kind, table in tables.items():
        _check_index(kind, table, "flow", len(batch.flows))
        _check_index(kind, table, "process", len(batch.processes))
    return tables


def rows(batch: EventBatch) -> list[Any]:
    """Return the events as Structs, kind by kind: for people and tests, not for speed."""
    found: list[Any] = []
    for kind, table in columns(batch).items():
        struct = STRUCTS[kind]
        names = list(table)
        values = zip(*(table[name].tolist() for name in names), strict=True)
        found += [struct(**dict(zip(names, row, strict=True))) for row in values]
    return found


def _check_sums(batch: EventBatch) -> None:
    if batch.shard >= batch.shards:
        raise RecordError("limits", f"shard {batch.shard} of {batch.shards}")
    total = sum(getattr(batch, name).events for name in _NAMES)
    if batch.events != total:
        raise RecordError("limits", f"head says {batch.events} events, sections hold {total}")


def _check_flows(batch: EventBatch) -> None:
    for flow in batch.flows:
        if flow.family not in {4, 6}:
            raise RecordError("limits", f"family {flow.family}, allowed are 4 and 6")
        if flow.connection % batch.shards != batch.shard:
            message = f"connection {flow.connection:#x} does not belong to shard {batch.shard}"
            raise RecordError("limits", message)


def _check_index(kind: Kind, table: Columns, name: str, size: int) -> None:
    top = int(table[name].max()) if table[name].size else -1
    if top >= size:
        message = f"{kind.name.lower()}: {name} index {top}, the dictionary has {size} entries"
        raise RecordError("column", message)
