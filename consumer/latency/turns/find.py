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

from consumer.latency.intervals import I32, I64, Bools
from consumer.latency.turns.runs import Runs
from consumer.latency.turns.tables import EARLY, PAUSED, Exchanges, no_exchanges, take

PART = 3
"""A request whose parts lie more than 1/PART of its turn apart is PAUSED."""


class Found(NamedTuple):
    """The exchanges that clients saw, those of servers, and the ends of those not proved (one entry each)."""

    clients: tuple[Exchanges, ...]
    servers: tuple[Exchanges, ...]
    unproved: I32


def all_of(parts: Sequence[Found]) -> Found:
    """Return what is found in all parts; at least one is given."""
    clients = tuple(table for part in parts for table in part.clients)
    servers = tuple(table for part in parts for table in part.servers)
    return Found(clients, servers, np.concatenate([part.unproved for part in parts]))


def find(runs: Runs, client: Bools, wanted: Bools) -> Found:
    """Return what runs prove: one for each response run that a request run follows.

    ``wanted`` (n,) says which runs are looked at as requests.
    """
    end = runs.end
    if end.size < 3:  # noqa: PLR2004 - request, response, next request
        return Found((no_exchanges(),), (no_exchanges(),), end[:0])
    ask = np.flatnonzero(runs.asks[:-2] & wanted[:-2] & (end[2:] == end[:-2]))
    before = np.maximum(ask - 1, 0)
    seen = (ask > 0) & (end[before] == end[ask])
    answered = np.where(seen, runs.stop[before], 0)
    proved = (runs.begin[ask + 1] == answered) & (runs.begin[ask + 2] == runs.stop[ask])
    unproved = end[ask[~proved]]
    ask = ask[proved]
    answer = ask + 1
    asking = client[end[ask]]
    early = ~asking & (runs.arrived[answer] > runs.stop[ask])
    exchanges = Exchanges(
        end[ask],
        runs.stop[ask],
        runs.begin[answer],
        runs.last[ask],
        runs.first[answer],
        runs.offset[answer],
        np.where(asking, runs.last_process[ask], runs.first_process[answer]),
        marks_early(early) | marks_paused(runs.pause[ask], runs.first[answer] - runs.last[ask]),
        runs.born[ask + 2],
    )
    return Found((take(exchanges, asking),), (take(exchanges, ~asking),), unproved)


def marks_early(early: Bools) -> NDArray[np.int8]:
    """Return EARLY where bytes behind the request were there early, (n,)."""
    return early.astype(np.int8) * np.int8(EARLY)


def marks_paused(pause: I64, turn: I64) -> NDArray[np.int8]:
    """Return PAUSED where (n,) pauses in requests are long against their turns, ns."""
    return (pause > turn // PART).astype(np.int8) * np.int8(PAUSED)
