# SPDX-License-Identifier: Apache-2.0
"""Find the exchanges among runs: a request run and the response run after it, proved by the bytes around.

Told is (request end r, response begin w) only where the calls next to both were seen: the response byte
before w was moved before request byte r - 1, and request byte r was moved after response byte w (or there
is none). Then no call of this end lies between that is not seen, whatever else was lost.
"""

from typing import NamedTuple, Protocol

import numpy as np

from consumer.latency.intervals import I32, I64, Bools, Index
from consumer.latency.turns.tables import EARLY, PAUSED, Exchanges, no_exchanges

PART = 3
"""A request whose parts lie more than 1/PART of its turn apart is PAUSED."""


class Spans(Protocol):
    """(n,) runs, by end and, of one end, in order of time: what they are, and more of some of them."""

    @property
    def end(self) -> I32:
        """Whose run it is."""

    @property
    def asks(self) -> Bools:
        """It moved a request."""

    @property
    def begin(self) -> I64:
        """Position of the first call."""

    @property
    def first(self) -> I64:
        """Time of the first call."""

    @property
    def stop(self) -> I64:
        """Position behind the last call."""

    @property
    def last(self) -> I64:
        """Time of the last call."""

    @property
    def pause(self) -> I64:
        """The longest time between two calls on neighbouring bytes, ns."""

    def more(self, ask: Index, answer: Index, again: Index) -> "More":
        """Return what else is told of exchanges, by the places of their runs."""


class More(NamedTuple):
    """(n,) of exchanges."""

    arrived: I64
    """Of the response's run: bytes of the inbound direction known to be in the kernel at its first call."""
    offset: I64
    """Of the response's first call."""
    asker: I32
    """Who made the request's last call."""
    answerer: I32
    """Who made the response's first call."""
    born: I64
    """Of the next request's first call."""


class Found(NamedTuple):
    """The exchanges, and the ends of those that were not proved (one entry each)."""

    exchanges: Exchanges
    unproved: I32


def find(runs: Spans, client: Bools, wanted: Bools) -> Found:
    """Return what runs prove: one for each response run that a request run follows.

    ``wanted`` (n,) says which runs are looked at as requests.
    """
    end = runs.end
    if end.size < 3:  # noqa: PLR2004 - request, response, next request
        return Found(no_exchanges(), end[:0])
    ask = np.flatnonzero(runs.asks[:-2] & wanted[:-2] & (end[2:] == end[:-2]))
    stop, begin = runs.stop[ask], runs.begin[ask + 1]
    before = np.maximum(ask - 1, 0)
    seen = (ask > 0) & (end[before] == end[ask])
    proved = (begin == np.where(seen, runs.stop[before], 0)) & (runs.begin[ask + 2] == stop)
    if not proved.all():
        unproved = end[ask[~proved]]
        ask, stop, begin = ask[proved], stop[proved], begin[proved]
    else:
        unproved = end[:0]
    asked, answered, own = runs.last[ask], runs.first[ask + 1], end[ask]
    asking = client[own]
    more = runs.more(ask, ask + 1, ask + 2)
    marks = (EARLY * (~asking & (more.arrived > stop))).astype(np.int8)
    marks |= (PAUSED * (runs.pause[ask] > (answered - asked) // PART)).astype(np.int8)
    process = np.where(asking, more.asker, more.answerer)
    exchanges = Exchanges(own, stop, begin, asked, answered, more.offset, process, marks, more.born)
    return Found(exchanges, unproved)
