# SPDX-License-Identifier: Apache-2.0
"""Exchanges of a partition, tick by tick: found at each end, joined between two (docs/turns.md).

Within a flow an agent tells events in the order in which they ended, and a shard's batches come in their
order, so what an end told last settles all that it told. A batch that comes out of its order, and what a lost
one held, cost exchanges and make no false one.
"""

from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from consumer.engine import naming
from consumer.engine.collect import Events, Lives
from consumer.engine.flows import Flows
from consumer.latency.intervals import I32, I64, Bools, Index, Receives, Sends
from consumer.latency.turns import network, state
from consumer.latency.turns.find import left_open
from consumer.latency.turns.tables import (
    BROKEN,
    TOLD,
    Exchanges,
    Seen,
    Totals,
    join,
    made,
    no_exchanges,
    no_totals,
    only,
    seen_at_ends,
    take,
)
from schemas.event import Flag, Kind


class Turned(NamedTuple):
    """(n,) exchanges whose turns are told: what is needed of them, columns as in ``Exchanges``."""

    end: I32
    process: I32
    asked: I64
    offset: I64
    turn: I64
    pipelined: Bools


class Now(NamedTuple):
    """The moment of a tick."""

    expire_before: int | I64
    """What was born up to then waits no longer, broker ms: one for all, or by end number."""
    final: bool


class Told(NamedTuple):
    """The exchanges of a tick, in tables that belong together."""

    clients: list[Turned]
    """Those of clients, whose turns are told at once."""
    servers: list[Turned]
    """Those of servers whose client has an agent wait for what that one saw."""
    both: list[network.Joined]
    """Of exchanges that two ends told, now or before."""
    left: tuple[Exchanges, Exchanges]
    """What clients, and servers, could not tell: each row as often as exchanges are lost."""
    apart: Exchanges
    """Of clients: what has no network time although the server's agent was heard, told or not."""
    alone: tuple[Exchanges, Exchanges]
    """Of clients, and of servers: told, and the other end's word did not come in time."""


class Turns:
    """What is kept from tick to tick."""

    def __init__(self) -> None:
        self.state = state.nothing()
        self.waiting = no_exchanges()
        """Told at one end, not yet at the other."""
        self._client: Bools = np.zeros(0, dtype=bool)
        self._sure: Bools = np.zeros(0, dtype=bool)
        """By end number: it was heard, and knows who opened the connection, so its positions are right."""

    def tick(self, new: Events, partial: I32, flows: Flows, now: Now, idle: Bools) -> Told:
        """Take the events of a tick; ``partial`` ends may lack events; a final one tells what waits, too.

        Connections that are ``idle``, by number, are about to be forgotten.
        """
        self.refresh(flows)
        seen, closed = _certain(new), _totals(new.lives.get(Kind.CLOSE))
        if partial.size:
            whole = np.ones(flows.flows, dtype=bool)
            whole[partial] = False
            seen = only(seen, *(whole[table.end] for table in seen))
            closed = take(closed, whole[closed.end])
        self.state, told = state.follow(self.state, seen, closed, self._client)
        clients, servers, alone = self._joining(told, flows)
        # Most that is new meets at once. The little that does not is put together with what waits.
        straight, *rest = network.straight(clients[0], servers[0])
        sides = (rest[0], *clients[1:]), (rest[1], *servers[1:])
        self.waiting, then = network.meet_sides(self.waiting, sides, self._client, now.expire_before)
        asked = [*map(_turned, (*clients, alone[0]))]
        served = [
            agreed(straight),
            agreed(then),
            _alone(then.servers, then.old[1]),
            _turned(alone[1]),
        ]
        if now.final:
            served.append(_alone(self.waiting, np.flatnonzero(~self._client[self.waiting.end])))
            self.waiting = self.waiting._replace(marks=self.waiting.marks | TOLD)
        left = self._left(told.unproved, flows, idle)
        old = take(then.clients, then.old[0]), take(then.servers, then.old[1])
        apart = _fair(join(left[0], old[0], alone[0]), flows, heard=True)
        old = _fair(old[0], flows), _fair(old[1], flows)
        return Told(asked, served, [straight, then], left, apart, old)

    def _joining(
        self, told: state.Told, flows: Flows
    ) -> tuple[network.Parts, network.Parts, tuple[Exchanges, Exchanges]]:
        """Return the exchanges of both sides that can be joined with the other's, and those that cannot."""
        sides = (told.clients or (no_exchanges(),)), (told.servers or (no_exchanges(),))
        if self._sure.all():
            return *sides, (no_exchanges(), no_exchanges())
        both = [join(*side) for side in sides]
        joining = self._awaited(flows, [side.end for side in both])
        joined = [(take(side, joining[side.end]),) for side in both]
        alone = [take(side, ~joining[side.end]) for side in both]
        return joined[0], joined[1], (alone[0], alone[1])

    def _awaited(self, flows: Flows, ends: list[I32]) -> Bools:
        """Say of which ends, among some, the other's word may come, and names exchanges alike.

        An end that was not heard yet is waited for where its address is that of a host with an agent.
        """
        found = np.repeat(self._sure[::2] & self._sure[1::2], 2)
        for end in np.unique(np.concatenate([one[~found[one]] for one in ends])).tolist():
            found[end] = self._sure[end] and flows.ends[end ^ 1] is None and flows.home(end ^ 1) != ""
        return found

    def _left(self, unproved: Exchanges, flows: Flows, idle: Bools) -> tuple[Exchanges, Exchanges]:
        """Return what clients and servers could not tell, and it was not left out on purpose."""
        if idle.any():
            unproved = join(unproved, left_open(self.state.runs, self._client, np.repeat(idle, 2)))
        if not unproved.end.size:
            return unproved, unproved
        lost = _fair(unproved, flows)
        lost = take(lost, np.repeat(np.arange(lost.end.size), 1 + (lost.marks & BROKEN) // BROKEN))
        return take(lost, self._client[lost.end]), take(lost, ~self._client[lost.end])

    def bounded(self, flows: Flows, most: int) -> I32:
        """Forget what there is most of, the oldest first; return the end of each thing that had to go."""
        self.state = self.state._replace(touched=flows.heard[: flows.flows].copy())
        self.state, gone = state.bounded(self.state, most, most)
        self.waiting, alone = network.bounded(self.waiting, most)
        return np.concatenate((gone.ends, gone.moves, alone.end))

    def refresh(self, flows: Flows) -> None:
        """Find anew who is the client where another word of it was heard."""
        changed, flows.changed = flows.changed, []
        client, sure = (_grown(column, flows.flows) for column in (self._client, self._sure))
        for number in {at & ~1 for at in changed}:
            ends = naming.ends_of(flows, number)
            server = naming.listening_end(ends)
            client[number], client[number + 1] = server == 1, server == 0
            for at, end in enumerate(ends):
                sure[number + at] = end is not None and end.flow.role > 0
        turned = client[: self._client.size] != self._client
        if turned.any():
            turned = _grown(turned, flows.flows)
            self.state = self.state._replace(runs=take(self.state.runs, ~turned[self.state.runs.end]))
            self.waiting = take(self.waiting, ~turned[self.waiting.end])
        self._client, self._sure = client, sure

    def renumber(self, number: I32) -> None:
        """Take new flow numbers, -1 for those forgotten."""
        size = self.state.done.size
        if size:
            self.state = state.renumbered(self.state, number[:size])
        waiting = take(self.waiting, number[self.waiting.end] >= 0)
        self.waiting = waiting._replace(end=number[waiting.end])
        kept = number >= 0
        self._client = _grown(self._client, number.size)[kept]
        self._sure = _grown(self._sure, number.size)[kept]

    def processes(self) -> list[I32]:
        """Return the actors that are named."""
        runs = self.state.runs
        return [self.state.waiting.process, runs.first_process, runs.last_process, self.waiting.process]

    def rename(self, number: I32) -> None:
        """Take new actor numbers."""
        waiting, runs = self.state.waiting, self.state.runs
        self.state = self.state._replace(
            waiting=waiting._replace(process=number[waiting.process]),
            runs=runs._replace(
                first_process=number[runs.first_process], last_process=number[runs.last_process]
            ),
        )
        self.waiting = self.waiting._replace(process=number[self.waiting.process])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all that is kept as named (n,) arrays, for a snapshot."""
        waiting = {f"told.{name}": column for name, column in self.waiting._asdict().items()}
        return state.arrays(self.state) | waiting

    def load(self, found: dict[str, I64]) -> None:
        """Take over what ``arrays`` gave, as int64; raises KeyError where a column is missing."""
        like = state.arrays(state.nothing())
        self.state = state.restored({name: found[name].astype(column.dtype) for name, column in like.items()})
        empty = no_exchanges()
        columns = (found[f"told.{name}"] for name in Exchanges._fields)
        kinds = (column.dtype for column in empty)
        self.waiting = made(empty, [one.astype(kind) for one, kind in zip(columns, kinds, strict=True)])


def _turned(found: Exchanges) -> Turned:
    return Turned(found.end, found.process, found.asked, found.offset, found.turn, found.pipelined)


def agreed(both: network.Joined) -> Turned:
    """Return the exchanges of servers that the clients saw too, marked by what both saw."""
    every, at, pipelined = both.servers, both.theirs, both.pipelined
    new = (every.marks[at] & TOLD) == 0
    if not new.all():
        at, pipelined = at[new], pipelined[new]
    turn = every.turn[at]
    return Turned(every.end[at], every.process[at], every.asked[at], every.offset[at], turn, pipelined)


def _alone(servers: Exchanges, at: Index) -> Turned:
    """Return those among some exchanges of servers whose turns are not yet told."""
    found = take(servers, at)
    return _turned(take(found, (found.marks & TOLD) == 0))


def _fair(found: Exchanges, flows: Flows, *, heard: bool = False) -> Exchanges:
    """Return those of connections of which nothing was sampled out; ``heard``: that both ends tell of."""
    if not found.end.size:
        return found
    of, place = np.unique(found.end >> 1, return_inverse=True)
    every = [naming.ends_of(flows, 2 * number) for number in of.tolist()]
    fair = [not flows.thinned.touches(ends) and not (heard and None in ends) for ends in every]
    return found if all(fair) else take(found, np.array(fair, dtype=bool)[place])


def _certain(new: Events) -> Seen:
    """Return what is at positions that were read where they cannot be wrong."""
    return seen_at_ends(_without_doubt(new.sends), _without_doubt(new.receives), new.arrivals)


_Ranged = TypeVar("_Ranged", Sends, Receives)


def _without_doubt(table: _Ranged) -> _Ranged:
    if not np.bitwise_or.reduce(table.flags) & Flag.UNCERTAIN:
        return table
    return take(table, (table.flags & Flag.UNCERTAIN) == 0)


def _totals(closes: Lives | None) -> Totals:
    """Return what closed ends moved; an account of one that goes on is none."""
    if closes is None:
        return no_totals()
    told = closes.columns
    totals = Totals(
        closes.end,
        told["sent_bytes"],
        told["received_bytes"] - told["unread_bytes"],
        closes.time,
        closes.born,
    )
    return take(totals, (told["flags"] & Flag.OPEN) == 0)


def _grown(values: Bools, size: int) -> Bools:
    grown = np.zeros(size, dtype=bool)
    grown[: values.size] = values
    return grown
