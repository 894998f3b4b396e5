# SPDX-License-Identifier: Apache-2.0
"""Network time: client turn - server turn of the same exchange, joined by byte positions, with no clock.

Each difference is of stamps of one host, so clocks need not agree. An exchange that both ends saw has one
name, (connection, request end, response begin). Where the two ends agree on one of the positions and not on
the other, requests or responses crossed on the way: the client's is *crossed*, which proves pipelining.
"""

from typing import NamedTuple

import numpy as np

from consumer.latency.axis import Points, coordinates, places
from consumer.latency.intervals import I32, I64, Bools, Index
from consumer.latency.turns.tables import EARLY, PAUSED, Exchanges, join, take


class Joined(NamedTuple):
    """What is decided: rows of one table."""

    every: Exchanges
    mine: Index
    """(n,) Those of clients, each with the row of the server's word for the same exchange."""
    theirs: Index
    across: Index
    """Of clients: the server saw another request end or response begin."""
    old: Index
    """Of either end: not seen by the other within the horizon."""

    @property
    def client(self) -> Exchanges:
        """The exchanges that both ends saw, as the clients did; ``server`` is the same row by row."""
        return take(self.every, self.mine)

    @property
    def server(self) -> Exchanges:
        """The same as the servers saw them."""
        return take(self.every, self.theirs)

    @property
    def crossed(self) -> Exchanges:
        """Exchanges of clients that prove pipelining."""
        return take(self.every, self.across)

    @property
    def alone(self) -> Exchanges:
        """Exchanges that one end saw."""
        return take(self.every, self.old)

    @property
    def network(self) -> I64:
        """(n,) ns: the request's and the response's way together; never negative but for clock rates."""
        turn = self.every.turn
        way: I64 = turn[self.mine] - turn[self.theirs]
        return way

    @property
    def pipelined(self) -> Bools:
        """Paused when sent, or known for early at the server; pauses on the way mean nothing."""
        marks = self.every.marks
        told: Bools = ((marks[self.mine] & (PAUSED | EARLY)) | (marks[self.theirs] & EARLY)) != 0
        return told


def meet(waiting: Exchanges, new: Exchanges, client: Bools, expire_before: int) -> tuple[Exchanges, Joined]:
    """Join what waits and what is new; what was born up to ``expire_before`` (broker ms) waits no longer.

    ``client`` is by end number. Returns what waits still, and what is decided. Each end names an exchange
    once.
    """
    every = join(waiting, new)
    if not every.end.size:
        none = np.zeros(0, dtype=np.intp)
        return every, Joined(every, none, none, none, none)
    connection, asks = every.end >> 1, client[every.end]
    mine, theirs = _same(every, connection, asks)
    rest = np.ones(every.end.size, dtype=bool)
    rest[mine] = rest[theirs] = False
    left = np.flatnonzero(rest)
    crossed, spoiled = np.zeros((2, every.end.size), dtype=bool)
    for column in (every.request_end, every.response_begin):
        ordered = left[np.lexsort((~asks[left], column[left], connection[left]))]
        at = _partners(ordered, asks, connection, column)
        crossed[ordered[at]] = spoiled[ordered[at + 1]] = True
    rest &= ~crossed
    every = every._replace(marks=every.marks | np.where(spoiled, EARLY, 0).astype(every.marks.dtype))
    old = rest & (every.born <= expire_before)
    told = Joined(every, mine, theirs, np.flatnonzero(crossed), np.flatnonzero(old))
    return take(every, rest & ~old), told


def _same(every: Exchanges, connection: I32, asks: Bools) -> tuple[Index, Index]:
    """Return the rows of clients and servers that are of one name, pair by pair."""
    sides = np.flatnonzero(asks), np.flatnonzero(~asks)
    points = [Points(connection[side], (every.request_end[side],)) for side in sides]
    mine, theirs = (line[0] for line in coordinates(points, int(connection.max()) + 1))
    orders = np.argsort(mine, kind="stable"), np.argsort(theirs, kind="stable")
    mine, theirs = mine[orders[0]], theirs[orders[1]]
    at = places(theirs, mine)
    at[at == theirs.size] = 0
    found = np.zeros(mine.size, dtype=bool)
    if theirs.size:
        np.equal(theirs[at], mine, out=found)
    found[1:] &= mine[1:] != mine[:-1]
    pairs = sides[0][orders[0][found]], sides[1][orders[1][at[found]]]
    same = every.response_begin[pairs[0]] == every.response_begin[pairs[1]]
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
