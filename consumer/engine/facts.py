# SPDX-License-Identifier: Apache-2.0
"""The facts of rows, found once for each group of rows with one flow, sender and receiver.

Rows of a tick are first cut into runs of equal (flow, sender, receiver), then runs into *links*. Python works
on links only; columns of rows are gathers over them.
"""

from typing import NamedTuple

import numpy as np

from consumer.engine import naming
from consumer.engine.crowd import Crowd
from consumer.engine.flows import Actor, End, Flows
from consumer.latency.intervals import I32, I64, Index
from consumer.latency.sampling import EVERYTHING, Rates, both_ends, one_end


class Rows(NamedTuple):
    """(n,) rows: who sent on which flow, and who received; -1 = not known."""

    flow: I32
    sender: I32
    receiver: I32


class Links(NamedTuple):
    """Runs of rows and the distinct triples behind them."""

    starts: Index
    """First row of each run."""
    lengths: I64
    """Rows of each run."""
    link: I64
    """Link of each run."""
    triples: Rows
    """The links: distinct (flow, sender, receiver), sorted."""

    def rows(self) -> I64:
        """Return the link of each row."""
        return np.repeat(self.link, self.lengths)


def link(rows: Rows) -> Links:
    """Group rows; any order of rows will do, but few runs are fast."""
    size = rows.flow.size
    if not size:
        none = np.zeros(0, dtype=np.int64)
        return Links(np.zeros(0, dtype=np.intp), none, none, rows)
    starts = np.flatnonzero(_changes(rows))
    lengths = np.diff(starts, append=size)
    heads = Rows(*(column[starts] for column in rows))
    order = np.lexsort((heads.receiver, heads.sender, heads.flow))
    ordered = Rows(*(column[order] for column in heads))
    fresh = _changes(ordered)
    number = np.empty(starts.size, dtype=np.int64)
    number[order] = np.cumsum(fresh) - 1
    return Links(starts, lengths, number, Rows(*(column[fresh] for column in ordered)))


def _changes(rows: Rows) -> Index:
    changed = np.ones(rows.flow.size, dtype=bool)
    changed[1:] = False
    for column in rows:
        changed[1:] |= column[1:] != column[:-1]
    return changed


class Link(NamedTuple):
    """What a row says about its two sides."""

    connection: int
    direction: int
    ends: tuple[End | None, End | None]
    """By end number, not by direction."""
    actors: tuple[Actor | None, Actor | None]
    """Sender, receiver."""
    edge: str
    flow: int
    """Its number in the partition."""
    thinned: bool
    """The agent of an end lately sampled events out, so a missing partner may never have been sent."""

    @property
    def same_clock(self) -> bool:
        """Both ends are known and share one clock."""
        one, other = self.ends
        return one is not None and other is not None and one.boot == other.boot != ""

    @property
    def boots(self) -> tuple[str | None, str | None]:
        """Sender's and receiver's boot id, where both are known and are not one: of two clocks."""
        sender, receiver = self.ends[self.direction], self.ends[1 - self.direction]
        if sender is None or receiver is None or "" in {sender.boot, receiver.boot}:
            return (None, None)
        return (None, None) if sender.boot == receiver.boot else (sender.boot, receiver.boot)

    @property
    def two_clocks(self) -> bool:
        """Both ends are known, and each has a clock of its own."""
        return self.boots[0] is not None

    @property
    def hosts(self) -> tuple[str | None, str | None]:
        """Sender's and receiver's host, None where there is no agent."""
        sender, receiver = self.ends[self.direction], self.ends[1 - self.direction]
        return (sender and sender.host, receiver and receiver.host)

    @property
    def rates(self) -> tuple[Rates, Rates]:
        """What sender and receiver kept it by; everything where nobody is known."""
        sender, receiver = (EVERYTHING if one is None else one.rates for one in self.actors)
        return sender, receiver

    @property
    def keep(self) -> float:
        """The chance that a message was kept at both ends."""
        return both_ends(*self.rates)

    @property
    def keep_sent(self) -> float:
        """The chance that a send was kept."""
        return one_end(self.rates[0])

    @property
    def heard(self) -> bool:
        """The receiving end has an agent that was heard of."""
        return self.ends[1 - self.direction] is not None


def describe(flows: Flows, triples: Rows) -> list[Link]:
    """Return the facts of each link."""
    found, crowd = [], Crowd()
    for flow, sender, receiver in zip(*(column.tolist() for column in triples), strict=True):
        ends = naming.ends_of(flows, flow)
        actors = (naming.actor_of(flows, sender, flow), naming.actor_of(flows, receiver, flow ^ 1))
        direction = flow & 1
        edge = crowd.of(ends, direction, naming.edge(ends, direction, actors, flows.names))
        thinned = flows.thinned.touches(ends)
        found.append(Link(_int64(flows.keys[flow >> 1]), direction, ends, actors, edge, flow, thinned))
    return found


def _int64(key: int) -> int:
    """Return the signed number with the bits of an unsigned one."""
    return key - (1 << 64) if key >> 63 else key
