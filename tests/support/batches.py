# SPDX-License-Identifier: Apache-2.0
"""Made-up traffic whose truth is known: hosts that talk over TCP and report it as ``EventBatch`` values.

Every send's bytes are read by exactly one read at the other end, so a complete, undisturbed run has one match
per send and nothing unmatched. The same seed gives the same bytes. Vectorised, so benchmarks can use it too.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from schemas import batch as batch_codec
from schemas import control as control_codec
from schemas.batch import SECTIONS, EventBatch, Flow, Process
from schemas.columns import U64
from schemas.control import Heartbeat
from schemas.event import STRUCTS, Audit, Flag, Kind
from schemas.key import shard_of
from schemas.section import Section, pack

SERVER_PORT = 5432
ONE_PIECE = int(Flag.FIRST_PIECE | Flag.LAST_PIECE)
KERNEL = Process(pid=0, name="kernel")


@dataclass(frozen=True)
class Connection:
    """A connection that ``client`` opened to ``server`` (both index ``Fleet.hosts``)."""

    name: int
    client: int
    server: int
    number: int

    def flow(self, host: int, opener: int = 0) -> Flow:
        """Return the end of this connection that lies on ``host``."""
        opened = host == self.client
        ends = [(_address(self.client), 30_000 + self.number), (_address(self.server), SERVER_PORT)]
        local, remote = ends if opened else reversed(ends)
        role = 1 if opened else 2
        return Flow(self.name, role - 1, 4, role, *local, *remote, 4_026_531_840, opener)


@dataclass
class Fleet:
    """Hosts in a ring, each the client of the next; ``connections`` in every shard.

    With ``turns`` every round also has a connect of each client, and a close and a segment sent again of each
    end.
    """

    shards: int = 4
    connections: int = 6
    hosts: tuple[str, ...] = ("alpha", "beta")
    boots: tuple[str, ...] = ("boot-1", "boot-1")
    start_ns: int = 1_000_000_000_000
    realtime_offset_ns: int = 1_760_000_000_000_000_000
    seed: int = 0
    turns: bool = False
    sends: int = 0
    events: int = 0
    _numbers: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)
        self._now = self.start_ns
        self._connections = [
            self._connect(shard, i) for shard in range(self.shards) for i in range(self.connections)
        ]
        self._positions = np.zeros((len(self._connections), 2), dtype=np.uint64)

    def talk(self, messages: int) -> Iterator[tuple[int, bytes]]:
        """Let every connection send ``messages`` each way; yield (shard, value), one a host and shard."""
        traffic = _exchange(self._random, self._now, self._positions, messages)
        self._now += messages * 1_000_000 + 50_000_000
        self.sends += traffic.sent.size
        for shard in range(self.shards):
            for host in range(len(self.hosts)):
                batch = self._pack(host, shard, traffic)
                if batch.events:
                    yield shard, batch_codec.encode(batch)

    def heartbeat(self, host: int, sequence: int) -> tuple[bytes, bytes]:
        """Return (key, value) of the host's heartbeat after what it sent so far."""
        sent = {shard: number - 1 for (of, shard), (number, _) in self._numbers.items() if of == host}
        value = Heartbeat(
            version=control_codec.VERSION,
            host=self.hosts[host],
            boot=self.boots[host],
            epoch=self.realtime_offset_ns + self.start_ns,
            sequence=sequence,
            sent_at_ns=self.realtime_offset_ns + self._now,
            monotonic_ns=self._now,
            oldest_undelivered_ns=0,
            acknowledged=sent,
            totals=(control_codec.Total("agent", "delivered", self.events),),
        )
        return self.hosts[host].encode(), control_codec.encode(value)

    def _connect(self, shard: int, number: int) -> Connection:
        name = int(self._random.integers(1, 2**40)) * self.shards + shard
        number += shard * self.connections
        assert shard_of(name, self.shards) == shard
        client = number % len(self.hosts)
        return Connection(name, client, (client + 1) % len(self.hosts), number)

    def _pack(self, host: int, shard: int, traffic: "_Traffic") -> EventBatch:
        first = shard * self.connections
        mine = self._connections[first : first + self.connections]
        picked = [first + i for i, c in enumerate(mine) if host in (c.client, c.server)]
        ends = np.array([int(self._connections[i].server == host) for i in picked], dtype=np.intp)
        rows = np.array(picked, dtype=np.intp)
        sends = pack(Kind.SEND, traffic.sends(rows, ends))
        receives = pack(Kind.RECEIVE, traffic.receives(rows, 1 - ends))
        arrivals = pack(Kind.ARRIVAL, traffic.arrivals(rows, 1 - ends))
        opened = np.array([self._connections[i].client == host for i in picked], dtype=bool)
        turns = _turns(traffic.begin, opened) if self.turns else {}
        told = [sends, receives, arrivals, *turns.values()]
        events = sum(section.events for section in told)
        sequence, cumulative = self._numbers.get((host, shard), (0, 0))
        self._numbers[host, shard] = (sequence + 1, cumulative + events)
        self.events += events
        batch = EventBatch(
            version=batch_codec.VERSION,
            host=self.hosts[host],
            boot=self.boots[host],
            epoch=self.realtime_offset_ns + self.start_ns,
            shards=self.shards,
            shard=shard,
            sequence=sequence,
            cumulative=cumulative,
            events=events,
            packed_ns=self._now,
            age_ns=self._now - traffic.begin,
            realtime_offset_ns=self.realtime_offset_ns,
            flows=tuple(self._connections[i].flow(host, 1000 + host if self.turns else 0) for i in picked),
            processes=(KERNEL, Process(1000 + host, f"app-{host}", label=f"app-{host}.service")),
            sends=sends,
            receives=receives,
            arrivals=arrivals,
        )
        return replace(batch, **turns)


@dataclass(frozen=True)
class _Traffic:
    """All messages of one round: arrays of (connections, 2 directions, messages)."""

    begin: int
    sent: NDArray[np.int64]
    arrived: NDArray[np.int64]
    read: NDArray[np.int64]
    position: U64
    length: U64
    merged: NDArray[np.bool_]
    """The read of this message waited for the next one and took both."""

    def sends(self, rows: NDArray[np.intp], directions: NDArray[np.intp]) -> dict[str, U64]:
        """Return the columns of the sends of these connections in these directions."""
        table = self._columns(self.sent[rows, directions], process=1)
        table["position"] = self.position[rows, directions].ravel()
        table["length"] = self.length[rows, directions].ravel()
        table["duration_ns"] = table["length"] * np.uint64(2) + np.uint64(900)
        table["flags"][:] = ONE_PIECE
        return table

    def arrivals(self, rows: NDArray[np.intp], directions: NDArray[np.intp]) -> dict[str, U64]:
        """Return the columns of the arrivals: one a message, the position is the end of the range."""
        table = self._columns(self.arrived[rows, directions], process=0)
        table["position"] = (self.position + self.length)[rows, directions].ravel()
        return table

    def receives(self, rows: NDArray[np.intp], directions: NDArray[np.intp]) -> dict[str, U64]:
        """Return the columns of the reads: some take two messages at once."""
        begin = self.position.copy()
        begin[..., 1:] = np.where(self.merged[..., :-1], self.position[..., :-1], self.position[..., 1:])
        length = self.position + self.length - begin
        table = self._columns(self.read[rows, directions], process=1)
        table["position"] = begin[rows, directions].ravel()
        table["length"] = length[rows, directions].ravel()
        kept = ~self.merged[rows, directions].ravel()
        return {name: column[kept] for name, column in table.items()}

    def _columns(self, times: NDArray[np.int64], process: int) -> dict[str, U64]:
        flows, messages = times.shape
        count = flows * messages
        return {
            "flow": np.repeat(np.arange(flows, dtype=np.uint64), messages),
            "process": np.full(count, process, dtype=np.uint64),
            "time_ns": times.ravel().astype(np.uint64),
            "srtt_us": np.full(count, 180, dtype=np.uint64),
            "thread": np.full(count, 4711, dtype=np.uint64),
            "flags": np.zeros(count, dtype=np.uint64),
        }


def _exchange(random: np.random.Generator, now: int, positions: U64, messages: int) -> _Traffic:
    """Make one round and advance ``positions`` (connections, 2) in place."""
    shape = (positions.shape[0], 2, messages)
    length = np.exp(random.normal(6.0, 1.5, shape)).astype(np.uint64) + np.uint64(1)
    total = np.cumsum(length, axis=2, dtype=np.uint64)
    position = positions[:, :, None] + total - length
    positions += total[:, :, -1]
    sent = now + np.arange(messages, dtype=np.int64) * 1_000_000 + random.integers(0, 400_000, shape)
    sent[:, 1] += 500_000
    arrived = sent + random.integers(20_000, 90_000, shape)
    read = np.maximum.accumulate(arrived + random.exponential(30_000, shape).astype(np.int64) + 1_500, axis=2)
    merged = random.random(shape) < 0.1
    merged[..., -1] = False
    merged[..., 1:] &= ~merged[..., :-1]
    return _Traffic(now, sent, arrived, read, position, length, merged)


def _turns(begin: int, opened: NDArray[np.bool_]) -> dict[str, Section]:
    """Return a close and a retransmit of each flow, a connect of those ``opened`` here."""
    columns = {}
    for kind, flow in (
        (Kind.CONNECT, np.flatnonzero(opened)),
        (Kind.CLOSE, np.arange(opened.size)),
        (Kind.RETRANSMIT, np.arange(opened.size)),
    ):
        numbers = {
            name: (flow * 7 + at).astype(np.uint64) for at, name in enumerate(STRUCTS[kind].__struct_fields__)
        }
        numbers |= {"flow": flow.astype(np.uint64), "time_ns": begin + numbers["flow"]}
        numbers |= {"process": np.full(flow.size, int(kind is Kind.CONNECT), dtype=np.uint64)}
        if kind is Kind.CLOSE:
            numbers["audit"] %= np.uint64(len(Audit))
        columns[SECTIONS[kind]] = pack(kind, numbers)
    return columns


def _address(host: int) -> bytes:
    return bytes(10) + b"\xff\xff" + bytes([10, 0, 0, 1 + host])
