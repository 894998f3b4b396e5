# SPDX-License-Identifier: Apache-2.0
"""Find the exchanges among runs: a request run and the response run after it, proved by the bytes around.

Told is (request end r, response begin w) only where the calls next to both were seen: the response byte
before w was moved before request byte r - 1, and request byte r was moved after response byte w (or there
is none). Then no call of this end lies between that is not seen, whatever else was lost.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from consumer.latency.intervals import I64, Bools, Index
from consumer.latency.turns.runs import Runs
from consumer.latency.turns.tables import BROKEN, EARLY, PAUSED, Exchanges, join, no_exchanges, take

PART = 3
"""A request whose parts lie more than 1/PART of its turn apart is PAUSED."""


class Found(NamedTuple):
    """The exchanges that clients saw, those of servers, and what is known of those not proved."""

    clients: tuple[Exchanges, ...]
    servers: tuple[Exchanges, ...]
    unproved: Exchanges
    """One row for each response: BROKEN, or unmarked where only what was before it is not known."""


def all_of(parts: Sequence[Found]) -> Found:
    """Return what is found in all parts; at least one is given."""
    clients = tuple(table for part in parts for table in part.clients)
    servers = tuple(table for part in parts for table in part.servers)
    return Found(clients, servers, join(*(part.unproved for part in parts)))


def find(runs: Runs, client: Bools, wanted: Bools) -> Found:
    """Return what runs prove: one for each response run that a request run follows.

    ``wanted`` (n,) says which runs are looked at as requests.
    """
    end = runs.end
    if end.size < 3:  # noqa: PLR2004 - request, response, next request
        return Found((no_exchanges(),), (no_exchanges(),), no_exchanges())
    ask = np.flatnonzero(runs.asks[:-2] & wanted[:-2] & (end[2:] == end[:-2]))
    before = np.maximum(ask - 1, 0)
    seen = (ask > 0) & (end[before] == end[ask])
    answered = np.where(seen, runs.stop[before], 0)
    behind, goes_on = runs.begin[ask + 1] == answered, runs.begin[ask + 2] == runs.stop[ask]
    proved = behind & goes_on
    unproved = no_exchanges()
    if not proved.all():
        broken = (~goes_on | (seen & ~behind))[~proved]
        unproved = _exchanges(runs, ask[~proved], client, ask[~proved] + 2)
        unproved = unproved._replace(marks=broken.astype(np.int8) * np.int8(BROKEN))
        ask = ask[proved]
    exchanges = _exchanges(runs, ask, client, ask + 2)
    asking = client[exchanges.end]
    return Found((take(exchanges, asking),), (take(exchanges, ~asking),), unproved)


def left_open(runs: Runs, client: Bools, gone: Bools) -> Exchanges:
    """Return the last exchange of ends that are ``gone``, by end number: nothing came to prove it."""
    end = runs.end
    last = np.flatnonzero(np.append(end[1:] != end[:-1], True) & gone[end]) if end.size else end[:0]
    last = last[last > 0]
    last = last[~runs.asks[last] & runs.asks[last - 1] & (end[last - 1] == end[last])]
    found = _exchanges(runs, last - 1, client, last)
    return found._replace(marks=np.zeros_like(found.marks))


def _exchanges(runs: Runs, ask: Index, client: Bools, proof: Index) -> Exchanges:
    """Return requests with the responses after them; ``proof`` are the runs that tell of their end."""
    answer, end = ask + 1, runs.end[ask]
    asking = client[end]
    early = ~asking & (runs.arrived[answer] > runs.stop[ask])
    return Exchanges(
        end,
        runs.stop[ask],
        runs.begin[answer],
        runs.last[ask],
        runs.first[answer],
        runs.offset[answer],
        np.where(asking, runs.last_process[ask], runs.first_process[answer]),
        marks_early(early) | marks_paused(runs.pause[ask], runs.first[answer] - runs.last[ask]),
        runs.born[proof],
    )


def marks_early(early: Bools) -> NDArray[np.int8]:
    """Return EARLY where bytes behind the request were there early, (n,)."""
    return early.astype(np.int8) * np.int8(EARLY)


def marks_paused(pause: I64, turn: I64) -> NDArray[np.int8]:
    """Return PAUSED where (n,) pauses in requests are long against their turns, ns."""
    return (pause > turn // PART).astype(np.int8) * np.int8(PAUSED)
