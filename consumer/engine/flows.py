# SPDX-License-Identifier: Apache-2.0
"""What is known of connections, their ends and the processes there: dense numbers for texts.

A connection has a number; its end e has the number ``2 * connection + e``, which is also the number of the
flow that this end sends. Numbers rise in the order of first hearing and are only ever squeezed, never
exchanged, so the order of rows does not depend on when that happens. Python objects are made for each new
connection or process, none for events.
"""

from collections.abc import Sequence
from socket import AF_INET, AF_INET6, inet_ntop
from typing import NamedTuple

import numpy as np

from consumer.engine.ledger import clip
from consumer.engine.names import Names
from consumer.engine.peers import Homes, is_loopback
from consumer.engine.thinned import Thinned
from consumer.latency.intervals import I32, I64, Bools
from consumer.latency.sampling import EVERYTHING, Rates, rates_of
from schemas.batch import EventBatch, Flow, Process

_MAPPED = bytes(10) + b"\xff\xff"
UNHEARD = -1
_FIRST_ROOM = 256


class Actor(NamedTuple):
    """A process on a host, while its agent keeps events by these rates."""

    host: str
    process: Process
    rates: Rates = EVERYTHING

    @property
    def text(self) -> str:
        """The process's name; labels change with each container, so only rules put them into edges."""
        return self.process.name or ("kernel" if not self.process.pid else "?")


class End(NamedTuple):
    """One end of a connection, as its agent sees it."""

    host: str
    boot: str
    epoch: int
    flow: Flow
    first_seen_ns: int
    opener: Process | None = None
    """Who made the socket, None where no agent said so."""
    flipped_ms: int = 0
    """The broker's time at which a run other than the last, of the same host, spoke of it; 0 = not lately."""


def address_text(address: bytes) -> str:
    """Return 16 bytes as people write them: ``10.0.0.5`` (also for mapped addresses), ``fd00::1``."""
    if address.startswith(_MAPPED):
        return inet_ntop(AF_INET, address[12:])
    return inet_ntop(AF_INET6, address)


class Flows:
    """The connections of a partition, and what their ends are to be called."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.numbers: dict[int, int] = {}
        """Connection key -> number."""
        self.keys: list[int] = []
        """Number -> connection key."""
        self.ends: list[End | None] = []
        """End number -> facts, None while not heard of."""
        self.actors: list[Actor] = []
        self._actor_numbers: dict[Actor, int] = {}
        self.heard: I64 = np.zeros(_FIRST_ROOM, dtype=np.int64)
        """End number -> broker ms of its last record (room for more ends than there are)."""
        self.last_actor: I32 = np.full(_FIRST_ROOM, UNHEARD, dtype=np.int32)
        """End number -> actor of its newest event, -1 = none so far."""
        self.fresh: list[int] = []
        """Ends first heard of since the last tick."""
        self.changed: list[int] = []
        """Ends of which another ``flow`` is known since this was emptied last."""
        self.thinned = Thinned()
        self.homes = Homes()
        self.arrived: I64 = np.zeros(_FIRST_ROOM, dtype=np.int64)
        """Flow number -> highest position that arrived, of what an arrival told."""
        self.read: I64 = np.zeros(_FIRST_ROOM, dtype=np.int64)
        """Flow number -> highest position that was read."""
        self.twice: dict[int, int] = {}
        """End number -> ``flipped_ms``, where that is not 0."""

    @property
    def flows(self) -> int:
        """All flow numbers are below this."""
        return len(self.ends)

    def enter(self, batch: EventBatch, broker_ms: int) -> tuple[list[int], list[int]]:
        """Return the end number of each flow and the actor number of each process of a batch."""
        ends = [self._end(batch, flow, broker_ms) for flow in batch.flows]
        self.heard[ends] = broker_ms
        self.thinned.note(batch, broker_ms)
        rates = rates_of(batch)
        return ends, [self._actor(Actor(batch.host, process, rates)) for process in batch.processes]

    def _end(self, batch: EventBatch, flow: Flow, broker_ms: int) -> int:
        number = self.numbers.get(flow.connection)
        if number is None:
            number = self._add(flow.connection)
        at = 2 * number + flow.end
        end = self.ends[at]
        if end is None:
            self.ends[at] = _new_end(batch, flow, oldest_ns(batch))
            self.homes.note(flow.local_address, batch.host)
            self.fresh.append(at)
            self.changed.append(at)
        elif end.epoch != batch.epoch or end.host != batch.host or end.boot != batch.boot:
            again = _new_end(batch, flow, end.first_seen_ns)
            if end.host == batch.host and end.boot == batch.boot:
                again = again._replace(flipped_ms=broker_ms)
                self.twice[at] = broker_ms
            self.ends[at] = again
            self.changed.append(at)
            self.homes.note(flow.local_address, batch.host)
        elif flow.role and end.flow.role != flow.role:
            self.ends[at] = end._replace(flow=flow)
            self.changed.append(at)
        elif flow.opener and end.opener is None:
            self.ends[at] = end._replace(opener=batch.opener(flow))
        return at

    def _add(self, connection: int) -> int:
        number = len(self.keys)
        self.numbers[connection] = number
        self.keys.append(connection)
        self.ends += (None, None)
        if len(self.ends) > self.heard.size:
            self._remember(self.heard, self.last_actor, self.arrived, self.read)
        return number

    def _actor(self, actor: Actor) -> int:
        number = self._actor_numbers.get(actor)
        if number is None:
            number = self._actor_numbers[actor] = len(self.actors)
            self.actors.append(actor)
        return number

    def agent(self, number: int) -> tuple[str, str, int]:
        """Return (host, boot, epoch) of the agent at an end."""
        end = self.ends[number]
        return (end.host, end.boot, end.epoch) if end is not None else ("", "", 0)

    def home(self, number: int) -> str:
        """Return the host of an end, of one not heard of by its address; empty where it is not known."""
        end, other = self.ends[number], self.ends[number ^ 1]
        if end is not None:
            return end.host
        if other is None:
            return ""
        address = other.flow.remote_address
        return other.host if is_loopback(address) else self.homes.hosts.get(address, "")

    def idle(self, before_ms: int | I64) -> Bools:
        """Say which connections, by number, no end of which was heard since ``before_ms`` (one, or each)."""
        heard = self.heard[: self.flows].reshape(-1, 2)
        quiet: Bools = heard.max(axis=1) <= before_ms
        return quiet

    def forget(self, gone: Bools) -> I32:
        """Forget connections; returns (flows,) new flow numbers, -1 for those forgotten."""
        kept = np.flatnonzero(~gone)
        both = (2 * kept[:, None] + (0, 1)).reshape(-1)
        renumbered = np.full(self.flows, -1, dtype=np.int32)
        renumbered[both] = np.arange(both.size, dtype=np.int32)
        self.keys = [self.keys[number] for number in kept.tolist()]
        self.numbers = {key: number for number, key in enumerate(self.keys)}
        self.ends = [self.ends[at] for at in both.tolist()]
        self._find_twice()
        self._remember(self.heard[both], self.last_actor[both], self.arrived[both], self.read[both])
        return renumbered

    def forget_twice(self, before_ms: int) -> None:
        """Take ends that did not flip since for those of one run: the other one has ended."""
        for at in [at for at, flipped_ms in self.twice.items() if flipped_ms <= before_ms]:
            del self.twice[at]
            end = self.ends[at]
            self.ends[at] = end and end._replace(flipped_ms=0)

    def _find_twice(self) -> None:
        flipped = ((at, end.flipped_ms) for at, end in enumerate(self.ends) if end is not None)
        self.twice = {at: flipped_ms for at, flipped_ms in flipped if flipped_ms}

    def _remember(self, heard: I64, last_actor: I32, arrived: I64, read: I64) -> None:
        """Keep (at most as many as ends) values by end number, with room for as many ends again."""
        room = max(_FIRST_ROOM, 2 * len(self.ends))
        self.heard, self.arrived, self.read = (_grown(column, room) for column in (heard, arrived, read))
        self.last_actor = np.full(room, UNHEARD, dtype=np.int32)
        self.last_actor[: last_actor.size] = last_actor

    def forget_actors(self, used: Bools) -> I32:
        """Forget the actors not used; returns (actors,) new numbers, -1 for those forgotten."""
        kept = np.flatnonzero(used)
        renumbered = np.full(len(self.actors), -1, dtype=np.int32)
        renumbered[kept] = np.arange(kept.size, dtype=np.int32)
        self.actors = [self.actors[number] for number in kept.tolist()]
        self._actor_numbers = {actor: number for number, actor in enumerate(self.actors)}
        known = self.last_actor >= 0
        self.last_actor[known] = renumbered[self.last_actor[known]]
        return renumbered

    def restore(self, known: "Known", heard: I64, last_actor: I32, tops: tuple[I64, I64]) -> None:
        """Take over what a snapshot holds."""
        self.keys, self.ends, self.actors = list(known.keys), list(known.ends), list(known.actors)
        self.changed = [at for at, end in enumerate(self.ends) if end is not None]
        self.numbers = {key: number for number, key in enumerate(self.keys)}
        self._find_twice()
        self._actor_numbers = {actor: number for number, actor in enumerate(self.actors)}
        self._remember(heard, last_actor, *tops)


class Known(NamedTuple):
    """The objects of a snapshot."""

    keys: Sequence[int]
    ends: Sequence[End | None]
    actors: Sequence[Actor]


def _grown(values: I64, room: int) -> I64:
    grown = np.zeros(room, dtype=np.int64)
    grown[: values.size] = values
    return grown


def _new_end(batch: EventBatch, flow: Flow, first_seen_ns: int) -> End:
    return End(batch.host, batch.boot, batch.epoch, flow, first_seen_ns, batch.opener(flow))


def oldest_ns(batch: EventBatch) -> int:
    """Return the realtime of a batch's oldest event, as its host saw it."""
    return clip(batch.packed_ns - batch.age_ns + batch.realtime_offset_ns)
