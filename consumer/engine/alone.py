# SPDX-License-Identifier: Apache-2.0
"""Rows of exchanges of which one end told and the other did not in time, for a later look (consumer/late).

They are those that waited: both ends know who opened the connection, or the other was not heard and its
address is that of a host with an agent. Of connections of which events were sampled out there are none.
"""

import numpy as np
import pyarrow as pa

from consumer.engine.arrow import Place
from consumer.engine.facts import Rows, describe, link
from consumer.engine.flows import UNHEARD, Flows
from consumer.engine.unmatched import Events, about
from consumer.latency.turns.tables import EARLY, PAUSED, TOLD, Exchanges

CLIENT, SERVER = "client", "server"


def rows_of(place: Place, alone: tuple[Exchanges, Exchanges], flows: Flows) -> pa.Table | None:
    """Return a row for each word of clients and of servers, None where there is none."""
    sides = zip((CLIENT, SERVER), alone, strict=True)
    tables = [_rows(place, side, found, flows) for side, found in sides if found.end.size]
    return pa.concat_tables(tables) if tables else None


def _rows(place: Place, side: str, found: Exchanges, flows: Flows) -> pa.Table:
    """Return the rows of one side."""
    at = 0 if side == CLIENT else 1  # who sends requests, and who receives them
    nobody = np.full(found.end.size, UNHEARD, dtype=np.int32)
    who = (found.process, nobody) if side == CLIENT else (nobody, found.process)
    linked = link(Rows(found.end ^ at, *who))
    links = describe(flows, linked.triples)
    row = linked.rows()
    counted = (found.marks & TOLD) == 0
    if side == CLIENT:
        counted = np.array([one.heard for one in links], dtype=bool)[row]
    columns = {
        "request_end": found.request_end,
        "response_begin": found.response_begin,
        "turn_ns": found.turn,
        "marks": (found.marks & (PAUSED | EARLY)).astype(np.int32),
        "seen": counted.astype(np.int64),
    }
    events = Events(side, at, found.asked, found.offset)
    return about("exchange", place, events, columns, links, row)
