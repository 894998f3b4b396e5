# SPDX-License-Identifier: Apache-2.0
"""Find the exchanges among runs: a request run and the response run after it, proved by the bytes around.

Told is (request end r, response begin w) only where the calls next to both were seen: the response byte
before w was moved before request byte r - 1, and request byte r was moved after response byte w (or there
is none). Then no call of this end lies between that is not seen, whatever else was lost.
"""

from typing import NamedTuple

import numpy as np

from consumer.latency.intervals import I32, Bools
from consumer.latency.turns.runs import Runs
from consumer.latency.turns.tables import EARLY, PAUSED, Exchanges, no_exchanges

PART = 3
"""A request whose parts lie more than 1/PART of its turn apart is PAUSED."""


class Found(NamedTuple):
    """The exchanges, and the ends of those that were not proved (one entry each)."""

    exchanges: Exchanges
    unproved: I32


def find(runs: Runs, client: Bools) -> Found:
    """Return what runs prove: one for each response run that a request run follows."""
    end = runs.end
    if end.size < 3:  # noqa: PLR2004 - request, response, next request
        return Found(no_exchanges(), end[:0])
    ask = np.flatnonzero(runs.asks[:-2] & (end[2:] == end[:-2]))
    answer, again = ask + 1, ask + 2
    before = ask - 1
    seen = (before >= 0) & (end[np.maximum(before, 0)] == end[ask])
    answered = np.where(seen, runs.stop[np.maximum(before, 0)], 0)
    proved = (runs.begin[answer] == answered) & (runs.begin[again] == runs.stop[ask])
    unproved = end[ask[~proved]]
    ask, answer, again = ask[proved], answer[proved], again[proved]
    asking = client[end[ask]]
    turn = runs.first[answer] - runs.last[ask]
    early = ~asking & (runs.arrived[answer] > runs.stop[ask])
    return Found(
        Exchanges(
            end[ask],
            runs.stop[ask],
            runs.begin[answer],
            runs.last[ask],
            runs.first[answer],
            runs.offset[answer],
            np.where(asking, runs.last_process[ask], runs.first_process[answer]),
            (EARLY * early + PAUSED * (runs.pause[ask] > turn // PART)).astype(np.int8),
            runs.born[again],
        ),
        unproved,
    )
