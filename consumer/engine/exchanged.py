# SPDX-License-Identifier: Apache-2.0
"""Histogram rows of exchanges: server turns, client turns, network time (docs/turns.md).

An edge begins with the client. ``seen`` counts the exchanges told, ``spoiled`` those of them that are marked
(of network time, that crossed too), ``n`` the others. The window is that of the begin of the turn, by the
clock of the host that measured it; of network time, of the client's.
"""

import numpy as np
import pyarrow as pa

from consumer.engine.arrow import Place
from consumer.engine.facts import Rows, describe, link
from consumer.engine.flows import UNHEARD, Flows
from consumer.engine.parts import Edges, Measure, part_rows
from consumer.engine.turns import Told
from consumer.latency.sampling import whole_connection
from consumer.latency.turns.network import Joined
from schemas.clock import ONE_HOST, TWO_HOSTS

SERVER, CLIENT, NETWORK = "server-turn", "client-turn", "network"


def rows_of(place: Place, told: Told, flows: Flows, window_ns: int) -> pa.Table | None:
    """Return the parts of one tick, None where no exchange was told."""
    tables = []
    if told.exchanges.end.size:
        tables.append(_turns(place, told, flows, window_ns))
    if told.both.mine.size or told.both.across.size:
        tables.append(_network(place, told.both, flows, window_ns))
    return pa.concat_tables(tables) if tables else None


def _turns(place: Place, told: Told, flows: Flows, window_ns: int) -> pa.Table:
    """Return those of both turns at once: who told an exchange says which it is."""
    own = told.exchanges
    serving = ~told.client[own.end]
    client, server = own.process.copy(), own.process.copy()
    client[serving] = server[~serving] = UNHEARD
    linked = link(Rows(own.end ^ serving, client, server))
    links = describe(flows, linked.triples)
    measures = [SERVER if known else CLIENT for known in (linked.triples.sender == UNHEARD).tolist()]
    keeps = [
        whole_connection(one.rates[measure == SERVER]) for one, measure in zip(links, measures, strict=True)
    ]
    edges = Edges(links, keeps, measures)
    group = edges.group(linked.rows(), (own.asked + own.offset) // window_ns)
    measure = Measure(None, ONE_HOST, own.turn, ~own.pipelined, spoils=True)
    return part_rows(place, edges, group, measure, window_ns)


def _network(place: Place, both: Joined, flows: Flows, window_ns: int) -> pa.Table:
    size = both.across.size
    every, clients = both.every, np.concatenate((both.mine, both.across))
    unknown = np.full(size, UNHEARD, dtype=np.int32)
    servers = np.concatenate((every.process[both.theirs], unknown))
    values = np.concatenate((both.network, np.zeros(size, dtype=np.int64)))
    plain = np.concatenate((~both.pipelined, np.zeros(size, dtype=bool)))
    linked = link(Rows(every.end[clients], every.process[clients], servers))
    links = describe(flows, linked.triples)
    edges = Edges(links, [whole_connection(*one.rates) for one in links])
    group = edges.group(linked.rows(), (every.asked[clients] + every.offset[clients]) // window_ns)
    measure = Measure(NETWORK, TWO_HOSTS, values, plain, spoils=True)
    return part_rows(place, edges, group, measure, window_ns)
