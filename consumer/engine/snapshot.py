# SPDX-License-Identifier: Apache-2.0
"""The state of an ``EventEngine`` as bytes: ``load`` of ``save`` gives an engine that answers alike for ever.

msgpack: texts and dictionaries as they are, columns of what waits as differences cut into byte planes, which
zstd shrinks to 15-30 bytes an event. Records collected since the last tick are kept as they came and decoded
again.
"""

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from consumer.engine import collect
from consumer.engine.flows import Actor, End, Known
from consumer.engine.ledger import clip
from consumer.engine.peers import NOBODY, Peers
from consumer.engine.records import Record
from consumer.engine.sequence import Stream
from consumer.engine.settings import SnapshotError, check_fits, seal, unseal
from consumer.latency.intervals import DTYPES, I64, Arrivals, Receives, Sends
from consumer.latency.islands import Islands
from consumer.latency.match import Open
from consumer.latency.sampling import Rates
from schemas import columns as codec
from schemas.batch import Flow, Process, columns, decode
from schemas.errors import RecordError

if TYPE_CHECKING:
    from consumer.engine.events import EventEngine

VERSION = 3
_READ = (1, 2, 3)
"""Versions that are taken over; what earlier ones did not know is as if nothing had been noted."""
_KINDS = (Sends, Receives, Arrivals, Islands)


class _Stream(msgspec.Struct, frozen=True, array_like=True):
    agent: tuple[str, str, int, int]
    lows: list[tuple[int, int]]
    highs: list[tuple[int, int]]
    totals: tuple[str, str, str]
    """Stored, top, gap: as text, since what a lying agent says may need more than 64 bits."""
    earlier: str = "0"
    whole: bool = True


class _End(msgspec.Struct, frozen=True, array_like=True):
    host: str
    boot: str
    epoch: int
    flow: Flow
    first_seen_ns: int
    opener: Process | None = None
    flipped_ms: int = 0


class _Counted(msgspec.Struct, frozen=True, array_like=True):
    host: str
    boot: str
    epoch: int
    stage: str
    reason: str
    events: int
    minute: int | None = None
    latest_ns: int = 0


class _Table(msgspec.Struct, frozen=True, array_like=True):
    size: int
    columns: tuple[bytes, ...]


class _Turns(msgspec.Struct, frozen=True, array_like=True):
    columns: dict[str, tuple[int, bytes]]
    """Of the state and of what waits: rows, and the values."""
    below: dict[int, int]


class _State(msgspec.Struct, frozen=True, array_like=True, tag="wirelag.events.state"):
    version: int
    topic_partition: int
    broker_ms: int | None
    last_tick: int | None
    streams: list[_Stream]
    ledger: list[_Counted]
    keys: list[int]
    ends: list[_End | None]
    heard: bytes
    actors: list[tuple[str, Process]]
    last_actor: bytes
    waiting: tuple[_Table, _Table, _Table, _Table]
    collected: list[tuple[int, int, int, bytes]]
    since_ns: int | None = None
    thinned_hosts: list[tuple[str, int]] = []
    thinned_addresses: list[tuple[bytes, int]] = []
    peers: Peers = NOBODY
    homes: list[tuple[bytes, str]] = []
    gaps: list[tuple[tuple[str, str, int, int], int]] = []
    arrived: bytes | None = None
    read: bytes | None = None
    actor_rates: list[tuple[int, int]] | None = None
    turns: _Turns | None = None


def save(engine: "EventEngine") -> bytes:
    """Return the engine's state."""
    flows = engine.flows
    state = _State(
        version=VERSION,
        topic_partition=engine.topic_partition,
        broker_ms=engine.broker_ms,
        last_tick=engine.last_tick,
        streams=[_stream(key, stream) for key, stream in engine.streams.streams.items()],
        ledger=[
            _Counted(*key, clip(events), minute, latest)
            for (key, minute), (events, latest) in engine.ledger.counts.items()
        ],
        keys=flows.keys,
        ends=[None if end is None else _End(*end) for end in flows.ends],
        heard=_pack(flows.heard[: flows.flows]),
        actors=[(actor.host, actor.process) for actor in flows.actors],
        last_actor=_pack(flows.last_actor[: flows.flows].astype(np.int64)),
        waiting=tuple(_table(table) for table in engine.waiting),  # type: ignore[arg-type] # four of them
        collected=[(item.broker_ms, *item.record) for item in engine.collected],
        since_ns=engine.streams.since_ns,
        thinned_hosts=list(flows.thinned.hosts.items()),
        thinned_addresses=list(flows.thinned.addresses.items()),
        peers=engine.peers,
        homes=list(flows.homes.hosts.items()),
        gaps=list(engine.streams.gaps.runs.items()),
        arrived=_pack(flows.arrived[: flows.flows]),
        read=_pack(flows.read[: flows.flows]),
        actor_rates=[(actor.rates.connection, actor.rates.block) for actor in flows.actors],
        turns=_Turns(_saved(engine.turns.arrays()), engine.whole.below),
    )
    return seal(msgspec.msgpack.encode(state))


def load(engine: "EventEngine", blob: bytes) -> None:
    """Put a state into a new engine; raises SnapshotError where it does not fit."""
    body = unseal(blob)
    try:
        head = msgspec.msgpack.decode(body, type=_Head)
        version = VERSION if head.version in _READ else head.version
        check_fits((version, head.topic_partition), (VERSION, engine.topic_partition))
        _fill(engine, msgspec.msgpack.decode(body, type=_State))
    except (msgspec.MsgspecError, ValueError, LookupError, OverflowError, RecordError) as error:
        raise SnapshotError(f"snapshot cannot be read: {error}") from error


class _Head(msgspec.Struct, frozen=True, array_like=True, tag="wirelag.events.state"):
    version: int
    topic_partition: int


def _fill(engine: "EventEngine", state: _State) -> None:
    engine.broker_ms, engine.last_tick = state.broker_ms, state.last_tick
    for one in state.streams:
        engine.streams.streams[one.agent] = _restored(one)
    engine.streams.since_ns = state.since_ns
    engine.ledger.counts = {
        ((row.host, row.boot, row.epoch, row.stage, row.reason), row.minute): (row.events, row.latest_ns)
        for row in state.ledger
    }
    ends = [None if one is None else End(*(getattr(one, name) for name in End._fields)) for one in state.ends]
    if len(ends) != 2 * len(state.keys):
        raise SnapshotError(f"snapshot holds {len(ends)} ends of {len(state.keys)} connections")
    known = Known(state.keys, ends, _actors(state))
    last_actor = _unpack(state.last_actor, len(ends), "last_actor").astype(np.int32)
    tops = _tops(state.arrived, len(ends)), _tops(state.read, len(ends))
    engine.flows.restore(known, _unpack(state.heard, len(ends), "heard"), last_actor, tops)
    engine.flows.homes.hosts = dict(state.homes)
    engine.streams.gaps.runs = dict(state.gaps)
    engine.peers = state.peers
    engine.flows.thinned.hosts = dict(state.thinned_hosts)
    engine.flows.thinned.addresses = dict(state.thinned_addresses)
    engine.waiting = Open(*(_rows(kind, table) for kind, table in zip(_KINDS, state.waiting, strict=True)))
    if state.turns is not None:
        engine.turns.load({name: _unpack(*_column(name, one)) for name, one in state.turns.columns.items()})
        engine.whole.below = state.turns.below
    engine.turns.refresh(engine.flows)
    for broker_ms, kafka_offset, timestamp_ms, value in state.collected:
        _collect(engine, broker_ms, Record(kafka_offset, timestamp_ms, value))


def _actors(state: _State) -> list[Actor]:
    if state.actor_rates is None:
        return [Actor(*actor) for actor in state.actors]
    both = zip(state.actors, state.actor_rates, strict=True)
    return [Actor(*actor, Rates(*rates)) for actor, rates in both]


def _collect(engine: "EventEngine", broker_ms: int, record: Record) -> None:
    batch = decode(record.value)
    tables = collect.wanted(columns(batch))
    engine.collected.append(collect.Collected(batch, tables, broker_ms, record))
    engine.collected_events += batch.events


def _stream(key: tuple[str, str, int, int], stream: Stream) -> _Stream:
    totals = (str(stream.stored), str(stream.top), str(stream.gap))
    return _Stream(key, stream.lows, stream.highs, totals, str(stream.earlier), stream.whole)


def _restored(one: _Stream) -> Stream:
    stream = Stream(whole=one.whole)
    stream.lows, stream.highs = one.lows, one.highs
    stream.stored, stream.top, stream.gap = (int(total) for total in one.totals)
    stream.earlier = int(one.earlier)
    return stream


def _table(table: Any) -> _Table:  # noqa: ANN401 - any of the four
    packed = []
    for name, column in table._asdict().items():
        values = column.astype(np.int64, copy=False)
        packed.append(_pack(values - table.begin if name == "end" and "begin" in table._fields else values))
    return _Table(table.flow.size, tuple(packed))


def _rows(kind: Any, table: _Table) -> Any:  # noqa: ANN401 - any of the four
    found: dict[str, NDArray[Any]] = {}
    for name, buffer in zip(kind._fields, table.columns, strict=True):
        values = _unpack(buffer, table.size, name)
        if name == "end" and "begin" in found:
            values += found["begin"]
        found[name] = values.astype(DTYPES.get(name, np.int64))
    return kind(**found)


def _saved(columns: dict[str, NDArray[Any]]) -> dict[str, tuple[int, bytes]]:
    return {name: (column.size, _pack(column.astype(np.int64))) for name, column in columns.items()}


def _column(name: str, saved: tuple[int, bytes]) -> tuple[bytes, int, str]:
    return saved[1], saved[0], name


def _tops(buffer: bytes | None, size: int) -> I64:
    return np.zeros(size, dtype=np.int64) if buffer is None else _unpack(buffer, size, "tops")


def _pack(values: I64) -> bytes:
    return codec.pack_plain(codec.zigzag(np.diff(values, prepend=0)))


def _unpack(buffer: bytes, size: int, name: str) -> I64:
    steps = codec.unzigzag(codec.unpack_plain(buffer, size, 64, name))
    return np.cumsum(steps)
