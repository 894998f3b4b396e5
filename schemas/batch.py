# SPDX-License-Identifier: Apache-2.0
"""``EventBatch``: one value of the topic ``wirelag.events.v1``, decodable with no other record.

A batch holds events of one host and one shard. Its head numbers it (sequence, events before it) so that repeats and
gaps are exact numbers; its dictionaries name connections and processes once; its sections hold the events (section.py).
msgpack arrays, compressed by Kafka (docs/design.md says why there). Readers take versions N and N-1 and ignore
fields they do not know at the end of any array.
"""

from typing import Any

import msgspec

from schemas.errors import RecordError
from schemas.event import STRUCTS, Kind
from schemas.section import EMPTY, MAX_EVENTS, Columns, Section, unpack

VERSION = 1
READS = (1,)
TAG = "wirelag.events"
MAX_RECORD_BYTES = 8 * 1024 * 1024
MAX_SHARDS = 65_536
_WORD = 2**63


class Flow(msgspec.Struct, frozen=True, array_like=True):
    """One end of one connection, as its host sees it."""

    connection: int
    """64-bit keyed hash of the two initial sequence numbers: equal at both ends, unchanged by NAT (key.py)."""
    end: int
    """0 or 1: which end this host is. The direction of a byte is the ``end`` of its sender."""
    family: int
    """4 or 6 (IPv4-mapped IPv6 addresses are 4)."""
    role: int
    """1: this end opened the connection; 2: it accepted it; 0: not known."""
    local_address: bytes
    """16 bytes, IPv4 as ::ffff:a.b.c.d."""
    local_port: int
    """This end's port."""
    remote_address: bytes
    """The peer as this end sees it, 16 bytes (after NAT it may differ from what the peer calls itself)."""
    remote_port: int
    """The peer's port as this end sees it."""
    netns: int
    """Inode of the network namespace."""


class Process(msgspec.Struct, frozen=True, array_like=True):
    """Who made a call. Entry 0 of every dictionary is ``pid`` 0: the kernel, for arrivals."""

    pid: int
    """Process id (thread group) in the host's first pid namespace."""
    name: str
    """comm of the process (of its main thread)."""
    cgroup: int = 0
    """Id of the cgroup (v2), 0 = not known."""
    label: str = ""
    """Unit, container or pod, empty = not known."""


class EventBatch(msgspec.Struct, frozen=True, array_like=True, tag=TAG):
    """Head, dictionaries and sections of one record."""

    version: int
    """Schema version."""
    host: str
    """Name of the host that observed the events."""
    boot: str
    """The kernel's boot id; two hosts with one boot id share one clock."""
    epoch: int
    """Realtime nanoseconds at which the agent started: a restarted agent numbers its batches anew."""
    shards: int
    """Number of shards = partitions of the topic."""
    shard: int
    """connection mod shards."""
    sequence: int
    """0, 1, 2 … of this (host, boot, epoch, shard)."""
    cumulative: int
    """Events in the batches before this one in the same (host, boot, epoch, shard)."""
    events: int
    """Events in this batch, all kinds."""
    packed_ns: int
    """CLOCK_MONOTONIC when the batch was packed."""
    age_ns: int
    """Age of the batch's oldest event when it was packed."""
    realtime_offset_ns: int
    """CLOCK_REALTIME minus CLOCK_MONOTONIC when the batch was packed."""
    flows: tuple[Flow, ...]
    """Connections in this batch."""
    processes: tuple[Process, ...]
    """Processes in this batch; entry 0 is the kernel."""
    sends: Section = EMPTY
    """TcpSend events."""
    receives: Section = EMPTY
    """TcpReceive events."""
    arrivals: Section = EMPTY
    """TcpArrival events."""

    def section(self, kind: Kind) -> Section:
        """Return the section of a kind."""
        return {Kind.SEND: self.sends, Kind.RECEIVE: self.receives, Kind.ARRIVAL: self.arrivals}[kind]


class _Head(msgspec.Struct, frozen=True, array_like=True, tag=TAG):
    version: int


_encoder = msgspec.msgpack.Encoder()
_head_decoder = msgspec.msgpack.Decoder(_Head)
_decoder = msgspec.msgpack.Decoder(EventBatch)


def encode(batch: EventBatch) -> bytes:
    """Return the record's value."""
    return _encoder.encode(batch)


def decode(value: bytes) -> EventBatch:
    """Return the batch in a record's value, its head and dictionaries checked; raises RecordError only."""
    if len(value) > MAX_RECORD_BYTES:
        raise RecordError("too-large", f"record of {len(value)} bytes, allowed are {MAX_RECORD_BYTES}")
    try:
        head = _head_decoder.decode(value)
        if head.version not in READS:
            raise RecordError("version", f"event batch of version {head.version}, this reader takes {READS}")
        batch = _decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise RecordError("not-msgpack", f"not an event batch: {error}") from error
    _check_head(batch)
    _check_dictionaries(batch)
    return batch


def columns(batch: EventBatch) -> dict[Kind, Columns]:
    """Unpack every section; raises RecordError where a column is not what the head says."""
    tables = {kind: unpack(kind, batch.section(kind)) for kind in STRUCTS}
    for kind, table in tables.items():
        _check_index(kind, table, "flow", len(batch.flows))
        _check_index(kind, table, "process", len(batch.processes))
    return tables


def rows(batch: EventBatch) -> list[Any]:
    """Return the events as ``TcpSend``, ``TcpReceive`` and ``TcpArrival`` objects: for people and tests, not for speed."""
    found: list[Any] = []
    for kind, table in columns(batch).items():
        struct = STRUCTS[kind]
        names = list(table)
        found += [
            struct(**dict(zip(names, row, strict=True)))
            for row in zip(*(table[n].tolist() for n in names), strict=True)
        ]
    return found


def _check_head(batch: EventBatch) -> None:
    numbers = (batch.epoch, batch.sequence, batch.cumulative, batch.packed_ns, batch.age_ns)
    if not all(0 <= number < _WORD for number in numbers) or abs(batch.realtime_offset_ns) >= _WORD:
        raise RecordError(
            "limits", f"a number of the head is out of range: {numbers}, {batch.realtime_offset_ns}"
        )
    if not 0 < batch.shards <= MAX_SHARDS or not 0 <= batch.shard < batch.shards:
        raise RecordError("limits", f"shard {batch.shard} of {batch.shards}")
    total = batch.sends.events + batch.receives.events + batch.arrivals.events
    if batch.events != total or not 0 <= total <= MAX_EVENTS:
        raise RecordError(
            "limits", f"head says {batch.events} events, sections hold {total}, allowed are {MAX_EVENTS}"
        )
    if len(batch.host) > 255 or len(batch.boot) > 64 or not batch.host:
        raise RecordError("limits", "host is empty or over 255 characters, or boot over 64")


def _check_dictionaries(batch: EventBatch) -> None:
    if len(batch.flows) > MAX_EVENTS or not 0 < len(batch.processes) <= MAX_EVENTS:
        raise RecordError("limits", f"{len(batch.flows)} flows and {len(batch.processes)} processes")
    for flow in batch.flows:
        ports = 0 <= flow.local_port < 65_536 and 0 <= flow.remote_port < 65_536
        ids = (
            0 <= flow.connection < 2**64
            and flow.end in {0, 1}
            and flow.role in {0, 1, 2}
            and flow.family in {4, 6}
        )
        if not (
            ports
            and ids
            and len(flow.local_address) == len(flow.remote_address) == 16
            and 0 <= flow.netns < _WORD
        ):
            raise RecordError("limits", f"flow out of range: {flow}")
        if flow.connection % batch.shards != batch.shard:
            raise RecordError(
                "limits", f"connection {flow.connection:#x} does not belong to shard {batch.shard}"
            )
    for process in batch.processes:
        if (
            not (0 <= process.pid < 2**32 and 0 <= process.cgroup < 2**64)
            or len(process.name) > 64
            or len(process.label) > 512
        ):
            raise RecordError("limits", f"process out of range: {process.pid} {process.name[:64]!r}")


def _check_index(kind: Kind, table: Columns, name: str, size: int) -> None:
    if table[name].size and int(table[name].max()) >= size:
        message = (
            f"{kind.name.lower()}: {name} index {int(table[name].max())}, the dictionary has {size} entries"
        )
        raise RecordError("column", message)
