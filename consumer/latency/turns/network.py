# SPDX-License-Identifier: Apache-2.0
"""Network time: client turn - server turn of the same exchange, joined by byte positions, with no clock.

Each difference is of stamps of one host, so clocks need not agree. An exchange that both ends saw has one
name, (connection, request end, response begin). Where the two ends agree on one of the positions and not on
the other, requests or responses crossed on the way: the client's is *crossed*, which proves pipelining.
"""

from typing import NamedTuple

import numpy as np

from consumer.latency.axis import Points, coordinates, places
from consumer.latency.intervals import I64, Bools, Index
from consumer.latency.turns.tables import EARLY, PAUSED, Exchanges, join, take

Parts = tuple[Exchanges, ...]


class Joined(NamedTuple):
    """What is decided: rows of a table of clients' words and of one of servers'."""

    clients: Exchanges
    servers: Exchanges
    mine: Index
    """(n,) Clients' rows, each with the row of the server's word for the same exchange."""
    theirs: Index
    across: Index
    """Of clients: the server saw another request end or response begin."""
    old: tuple[Index, Index]
    """Of clients, and of servers: not seen by the other end within the horizon."""

    @property
    def client(self) -> Exchanges:
        """The exchanges that both ends saw, as the clients did; ``server`` is the same row by row."""
        return take(self.clients, self.mine)

    @property
    def server(self) -> Exchanges:
        """The same as the servers saw them."""
        return take(self.servers, self.theirs)

    @property
    def crossed(self) -> Exchanges:
        """Exchanges of clients that prove pipelining."""
        return take(self.clients, self.across)

    @property
    def alone(self) -> Exchanges:
        """Exchanges that one end saw."""
        return join(take(self.clients, self.old[0]), take(self.servers, self.old[1]))

    @property
    def network(self) -> I64:
        """(n,) ns: the request's and the response's way together; never negative but for clock rates."""
        way: I64 = self.clients.turn[self.mine] - self.servers.turn[self.theirs]
        return way

    @property
    def pipelined(self) -> Bools:
        """Paused when sent, or known for early at the server; pauses on the way mean nothing."""
        mine = (self.clients.marks & (PAUSED | EARLY))[self.mine]
        told: Bools = (mine | (self.servers.marks & EARLY)[self.theirs]) != 0
        return told


def meet(
    waiting: Exchanges, new: Exchanges, client: Bools, expire_before: int | I64
) -> tuple[Exchanges, Joined]:
    """Join what waits and what is new; what was born up to ``expire_before`` (broker ms) waits no longer.

    ``client`` is by end number, and so is ``expire_before`` where it is not one for all. Returns what waits
    still, and what is decided. Each end names an exchange once.
    """
    asks = client[new.end]
    sides = (take(new, asks),), (take(new, ~asks),)
    return meet_sides(waiting, sides, client, expire_before)


def straight(clients: Exchanges, servers: Exchanges) -> tuple[Joined, Exchanges, Exchanges]:
    """Join two tables by whole names alone; returns what is left of both beside."""
    mine, theirs = _same(clients, servers)
    none = mine[:0]
    told = Joined(clients, servers, mine, theirs, none, (none, none))
    left, behind = _others(mine, clients.end.size), _others(theirs, servers.end.size)
    return told, take(clients, left), take(servers, behind)


def meet_sides(
    waiting: Exchanges, new: tuple[Parts, Parts], client: Bools, expire_before: int | I64
) -> tuple[Exchanges, Joined]:
    """Join what waits with what is new of clients and of servers, as ``meet`` does: new rows are the last."""
    asks = client[waiting.end]
    clients, servers = join(take(waiting, asks), *new[0]), join(take(waiting, ~asks), *new[1])
    mine, theirs = _same(clients, servers)
    rests = _others(mine, clients.end.size), _others(theirs, servers.end.size)
    across, spoiled = _crossed(clients, servers, np.flatnonzero(rests[0]), np.flatnonzero(rests[1]))
    rests[0][across] = False
    if spoiled.size:
        servers = servers._replace(marks=servers.marks.copy())
        servers.marks[spoiled] |= EARLY
    olds = tuple(
        _expired(side, np.flatnonzero(rest), expire_before)
        for side, rest in zip((clients, servers), rests, strict=True)
    )
    for rest, old in zip(rests, olds, strict=True):
        rest[old] = False
    still = join(take(clients, rests[0]), take(servers, rests[1]))
    return still, Joined(clients, servers, mine, theirs, across, (olds[0], olds[1]))


def _expired(side: Exchanges, at: Index, before: int | I64) -> Index:
    """Return which of some rows were born up to a time, one for all or each end's."""
    limits = before if isinstance(before, int) else before[side.end[at]]
    return at[side.born[at] <= limits]


def _others(rows: Index, size: int) -> Bools:
    """Say which of so many rows are not among some."""
    rest = np.ones(size, dtype=bool)
    rest[rows] = False
    return rest


def _crossed(clients: Exchanges, servers: Exchanges, asks: Index, answers: Index) -> tuple[Index, Index]:
    """Return the rows of clients and of servers, among some that have no partner, of one half of a name."""
    if not asks.size or not answers.size:
        return asks[:0], answers[:0]
    left = join(take(clients, asks), take(servers, answers))
    rows, asking = np.concatenate((asks, answers)), np.arange(left.end.size) < asks.size
    connection = left.end >> 1
    crossed, spoiled = np.zeros((2, left.end.size), dtype=bool)
    for column in (left.request_end, left.response_begin):
        ordered = np.lexsort((~asking, column, connection))
        at = _partners(ordered, asking, connection, column)
        crossed[ordered[at]] = spoiled[ordered[at + 1]] = True
    return rows[crossed], rows[spoiled]


def _same(clients: Exchanges, servers: Exchanges) -> tuple[Index, Index]:
    """Return the rows of clients and servers that are of one name, pair by pair."""
    if not clients.end.size or not servers.end.size:
        none = np.zeros(0, dtype=np.intp)
        return none, none
    points = [Points(side.end >> 1, (side.request_end,)) for side in (clients, servers)]
    connections = 1 + max(int(table.flow.max()) for table in points)
    mine, theirs = (line[0] for line in coordinates(points, connections))
    # What one stretch found is in order, but for what began before it.
    orders = None
    if not all((line[1:] >= line[:-1]).all() for line in (mine, theirs)):
        orders = np.argsort(mine, kind="stable"), np.argsort(theirs, kind="stable")
        mine, theirs = mine[orders[0]], theirs[orders[1]]
    at = places(theirs, mine)
    at[at == theirs.size] = 0
    found = theirs[at] == mine
    found[1:] &= mine[1:] != mine[:-1]
    pairs = np.flatnonzero(found), at[found]
    if orders is not None:
        pairs = orders[0][pairs[0]], orders[1][pairs[1]]
    same = clients.response_begin[pairs[0]] == servers.response_begin[pairs[1]]
    return pairs if same.all() else (pairs[0][same], pairs[1][same])


def _partners(order: Index, asks: Bools, *names: I64) -> Index:
    """Return the places in the order at which a client's row is followed by a server's of equal names."""
    here, there = order[:-1], order[1:]
    equal = asks[here] & ~asks[there]
    for name in names:
        equal &= name[here] == name[there]
    return np.flatnonzero(equal)


def bounded(waiting: Exchanges, most: int) -> tuple[Exchanges, Exchanges]:
    """Return the ``most`` youngest that wait, and those that must go."""
    excess = max(waiting.end.size - most, 0)
    oldest = np.zeros(waiting.end.size, dtype=bool)
    oldest[np.argsort(waiting.born, kind="stable")[:excess]] = True
    return take(waiting, ~oldest), take(waiting, oldest)
