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
from consumer.engine.parts import ONE_HOST, TWO_HOSTS, Edges, Measure, part_rows
from consumer.engine.turns import Told
from consumer.latency.intervals import I32
from consumer.latency.sampling import whole_connection
from consumer.latency.turns.network import Joined
from consumer.latency.turns.tables import join

SERVER, CLIENT, NETWORK = "server-turn", "client-turn", "network"


def rows_of(place: Place, told: Told, flows: Flows, window_ns: int) -> pa.Table | None:
    """Return the parts of one tick, None where no exchange was told."""
    tables = []
    if told.clients.end.size or told.servers.end.size:
        tables.append(_turns(place, told, flows, window_ns))
    if told.both.mine.size or told.both.across.size:
        tables.append(_network(place, told.both, flows, window_ns))
    return pa.concat_tables(tables) if tables else None


def _turns(place: Place, told: Told, flows: Flows, window_ns: int) -> pa.Table:
    """Return those of both turns at once: who told an exchange says which it is."""
    clients, servers = told.clients, told.servers
    both = join(clients, servers)
    linked = link(
        Rows(
            np.concatenate((clients.end, servers.end ^ 1)),
            np.concatenate((clients.process, _nobody(servers.end.size))),
            np.concatenate((_nobody(clients.end.size), servers.process)),
        )
    )
    links = describe(flows, linked.triples)
    measures = [SERVER if known else CLIENT for known in (linked.triples.sender == UNHEARD).tolist()]
    keeps = [
        whole_connection(one.rates[measure == SERVER]) for one, measure in zip(links, measures, strict=True)
    ]
    edges = Edges(links, keeps, measures)
    group = edges.group(linked.rows(), (both.asked + both.offset) // window_ns)
    measure = Measure(None, ONE_HOST, both.turn, ~both.pipelined, spoils=True)
    return part_rows(place, edges, group, measure, window_ns)


def _nobody(size: int) -> I32:
    return np.full(size, UNHEARD, dtype=np.int32)


def _network(place: Place, both: Joined, flows: Flows, window_ns: int) -> pa.Table:
    every, mine, values, plain = both.clients, both.mine, both.network, ~both.pipelined
    servers = both.servers.process[both.theirs]
    if both.across.size:
        size = both.across.size
        mine, servers = np.concatenate((mine, both.across)), np.concatenate((servers, _nobody(size)))
        values = np.concatenate((values, np.zeros(size, dtype=np.int64)))
        plain = np.concatenate((plain, np.zeros(size, dtype=bool)))
    linked = link(Rows(every.end[mine], every.process[mine], servers))
    links = describe(flows, linked.triples)
    edges = Edges(links, [whole_connection(*one.rates) for one in links])
    group = edges.group(linked.rows(), (every.asked + every.offset)[mine] // window_ns)
    measure = Measure(NETWORK, TWO_HOSTS, values, plain, spoils=True)
    return part_rows(place, edges, group, measure, window_ns)
