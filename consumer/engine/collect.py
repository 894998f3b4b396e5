# SPDX-License-Identifier: Apache-2.0
"""Batches collected since the last tick, and their events as the columns that matching takes.

Columns of many batches are concatenated before any arithmetic, so that small batches cost little more than
large ones.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from consumer.engine.flows import Flows
from consumer.engine.ledger import clip
from consumer.engine.records import Record
from consumer.latency.intervals import I32, I64, Arrivals, Receives, Sends, empty, take
from schemas.batch import EventBatch
from schemas.event import Kind, TcpClose
from schemas.section import Columns

_WANTED = {
    Kind.SEND: ("flow", "process", "time_ns", "position", "length", "duration_ns", "flags"),
    Kind.RECEIVE: ("flow", "process", "time_ns", "position", "length", "flags"),
    Kind.ARRIVAL: ("flow", "time_ns", "position", "flags"),
}
TOLD = {
    Kind.CONNECT: ("duration_ns", "error", "retransmits", "flags"),
    Kind.CLOSE: tuple(
        name for name in TcpClose.__struct_fields__ if name not in {"flow", "process", "time_ns"}
    ),
    Kind.RETRANSMIT: ("position", "length", "srtt_us"),
}
"""What is told of the lives of connections, beside flow, process and time."""


class Collected(NamedTuple):
    """One batch that was taken."""

    batch: EventBatch
    tables: dict[Kind, Columns]
    """What ``wanted`` returned."""
    broker_ms: int
    """The broker's time when it was taken."""
    record: Record
    """As it came, for a snapshot."""


class Lives(NamedTuple):
    """(n,) events in the lives of connections, of one kind, in the order heard."""

    end: I32
    """The end that tells it."""
    actor: I32
    at: I64
    """Realtime, ns."""
    time: I64
    """The host's CLOCK_MONOTONIC."""
    born: I64
    marks: I64
    """Of the connection, as its batch says."""
    columns: dict[str, I64]
    """Those of TOLD."""


class Events(NamedTuple):
    """The new events of a tick."""

    sends: Sends
    receives: Receives
    arrivals: Arrivals
    lives: dict[Kind, Lives]
    """Kinds without any are left out."""


def wanted(tables: dict[Kind, Columns]) -> dict[Kind, Columns]:
    """Return the columns that are needed later; those of lives only where there are any."""
    found = {kind: {name: tables[kind][name] for name in names} for kind, names in _WANTED.items()}
    for kind in TOLD:
        if tables[kind]["flow"].size:
            found[kind] = tables[kind]
    return found


def gather(collected: Sequence[Collected], flows: Flows) -> Events:
    """Enter all dictionaries in ``flows`` and return all events in order; empty ranges are left out."""
    entered = [flows.enter(item.batch, item.broker_ms) for item in collected]
    places = _Places(
        np.array([at for ends, _ in entered for at in ends], dtype=np.int32),
        np.array([at for _, actors in entered for at in actors], dtype=np.int32),
        _before([len(ends) for ends, _ in entered]),
        _before([len(actors) for _, actors in entered]),
        np.array([clip(item.batch.realtime_offset_ns) for item in collected], dtype=np.int64),
        np.array([item.broker_ms for item in collected], dtype=np.int64),
    )
    events = Events(
        _sends(_Columns(collected, Kind.SEND), places),
        _receives(_Columns(collected, Kind.RECEIVE), places),
        _arrivals(_Columns(collected, Kind.ARRIVAL), places),
        {kind: lives for kind in TOLD if (lives := _lives(collected, kind, places)) is not None},
    )
    if Kind.CONNECT in events.lives:
        _introduce(flows, events.lives[Kind.CONNECT])
    flows.last_actor[events.receives.flow ^ 1] = events.receives.process
    flows.last_actor[events.sends.flow] = events.sends.process
    np.maximum.at(flows.arrived, events.arrivals.flow, events.arrivals.end)
    np.maximum.at(flows.read, events.receives.flow, events.receives.end)
    return events


class _Places(NamedTuple):
    """Dictionaries of all batches one behind the other, and where each batch's part begins."""

    ends: I32
    actors: I32
    first_end: I64
    first_actor: I64
    offset: I64
    born: I64


class _Columns:
    """The columns of one kind over all batches."""

    def __init__(self, collected: Sequence[Collected], kind: Kind) -> None:
        self._tables = [item.tables[kind] for item in collected]
        sizes = [table["flow"].size for table in self._tables]
        self._sizes = np.array(sizes, dtype=np.int64)
        self.size = int(self._sizes.sum())

    def __getitem__(self, name: str) -> I64:
        column = np.concatenate([table[name] for table in self._tables])
        return column.view(np.int64)

    def spread(self, per_batch: I64) -> I64:
        """Return for each event the value of its batch."""
        return np.repeat(per_batch, self._sizes)

    def end(self, places: _Places) -> I32:
        """Return for each event the number of the end that saw it."""
        found: I32 = places.ends[self["flow"] + self.spread(places.first_end)]
        return found

    def actor(self, places: _Places) -> I32:
        """Return for each event its actor's number."""
        found: I32 = places.actors[self["process"] + self.spread(places.first_actor)]
        return found


def _sends(columns: _Columns, places: _Places) -> Sends:
    if not columns.size:
        return empty(Sends)
    begin, length = columns["position"], columns["length"]
    return _without_empty(
        Sends(
            flow=columns.end(places),
            begin=begin,
            end=begin + length,
            time=columns["time_ns"],
            offset=columns.spread(places.offset),
            duration=columns["duration_ns"],
            process=columns.actor(places),
            flags=columns["flags"].astype(np.int32),
            born=columns.spread(places.born),
        ),
        length,
    )


def _receives(columns: _Columns, places: _Places) -> Receives:
    if not columns.size:
        return empty(Receives)
    begin, length = columns["position"], columns["length"]
    return _without_empty(
        Receives(
            flow=columns.end(places) ^ 1,
            begin=begin,
            end=begin + length,
            time=columns["time_ns"],
            offset=columns.spread(places.offset),
            process=columns.actor(places),
            flags=columns["flags"].astype(np.int32),
            born=columns.spread(places.born),
        ),
        length,
    )


def _arrivals(columns: _Columns, places: _Places) -> Arrivals:
    if not columns.size:
        return empty(Arrivals)
    return Arrivals(
        flow=columns.end(places) ^ 1,
        end=columns["position"],
        time=columns["time_ns"],
        flags=columns["flags"].astype(np.int32),
        born=columns.spread(places.born),
    )


def _lives(collected: Sequence[Collected], kind: Kind, places: _Places) -> Lives | None:
    at = [number for number, item in enumerate(collected) if kind in item.tables]
    if not at:
        return None
    own = places._replace(
        first_end=places.first_end[at],
        first_actor=places.first_actor[at],
        offset=places.offset[at],
        born=places.born[at],
    )
    columns = _Columns([collected[number] for number in at], kind)
    marks = np.concatenate([_marks(collected[number], kind) for number in at])
    return Lives(
        end=columns.end(own),
        actor=columns.actor(own),
        at=columns["time_ns"] + columns.spread(own.offset),
        time=columns["time_ns"],
        born=columns.spread(own.born),
        marks=marks,
        columns={name: columns[name] for name in TOLD[kind]},
    )


def _marks(item: Collected, kind: Kind) -> I64:
    marks = np.array([flow.marks for flow in item.batch.flows], dtype=np.int64)
    return marks[item.tables[kind]["flow"].view(np.int64)]


def _introduce(flows: Flows, connects: Lives) -> None:
    """Take the caller of a connect for the actor of an end of which no other is known yet."""
    in_process = np.array([actor.process.pid > 0 for actor in flows.actors], dtype=bool)
    new = (flows.last_actor[connects.end] < 0) & in_process[connects.actor]
    flows.last_actor[connects.end[new]] = connects.actor[new]


_Ranged = TypeVar("_Ranged", Sends, Receives)


def _without_empty(table: _Ranged, length: I64) -> _Ranged:
    return table if length.all() else take(table, length > 0)


def _before(sizes: list[int]) -> I64:
    counts = np.array(sizes, dtype=np.int64)
    return np.cumsum(counts) - counts
