# SPDX-License-Identifier: Apache-2.0
"""Histogram rows of exchanges: server turns, client turns, network time (docs/turns.md).

An edge begins with the client. ``seen`` counts the exchanges told, ``spoiled`` those of them that are marked
(of network time, that crossed too), ``n`` the others. The window is that of the begin of the turn, by the
clock of the host that measured it; of network time, of the client's.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from consumer.engine.arrow import Place
from consumer.engine.facts import Link, Rows, describe, link
from consumer.engine.flows import UNHEARD, Flows
from consumer.engine.parts import ONE_HOST, TWO_HOSTS, Edges, Measure, part_rows
from consumer.engine.turns import Told
from consumer.latency.intervals import I32, I64, Index
from consumer.latency.sampling import whole_connection
from consumer.latency.turns.network import Joined
from consumer.latency.turns.tables import Exchanges, join

SERVER, CLIENT, NETWORK = "server-turn", "client-turn", "network"


class _Turns(NamedTuple):
    """(n,) exchanges of one measure, as the end that measures saw them."""

    end: I32
    at: I64
    """Realtime of their begin, ns."""
    client: I32
    """Who asked."""
    server: I32
    """Who answered."""


def rows_of(place: Place, told: Told, flows: Flows, window_ns: int) -> pa.Table | None:
    """Return the parts of one tick, None where no exchange was told."""
    exchanges = told.exchanges
    turn, plain = exchanges.turn, ~exchanges.pipelined
    asking = told.client[exchanges.end]
    tables = []
    for name, index in ((SERVER, np.flatnonzero(~asking)), (CLIENT, np.flatnonzero(asking))):
        if index.size:
            nobody, process = np.full(index.size, UNHEARD, dtype=np.int32), exchanges.process[index]
            who = (nobody, process) if name == SERVER else (process, nobody)
            own = _Turns(exchanges.end[index], _begun(exchanges, index), *who)
            measure = Measure(name, ONE_HOST, turn[index], plain[index], spoils=True)
            tables.append(_parts(place, own, measure, flows, window_ns))
    if told.both.client.end.size or told.both.crossed.end.size:
        tables.append(_network(place, told.both, flows, window_ns))
    return pa.concat_tables(tables) if tables else None


def _begun(exchanges: Exchanges, index: Index) -> I64:
    begun: I64 = exchanges.asked[index] + exchanges.offset[index]
    return begun


def _network(place: Place, both: Joined, flows: Flows, window_ns: int) -> pa.Table:
    size = both.crossed.end.size
    clients = join(both.client, both.crossed)
    unknown = np.full(size, UNHEARD, dtype=np.int32)
    servers = np.concatenate((both.server.process, unknown))
    values = np.concatenate((both.network, np.zeros(size, dtype=np.int64)))
    plain = np.concatenate((~both.pipelined, np.zeros(size, dtype=bool)))
    own = _Turns(clients.end, clients.asked + clients.offset, clients.process, servers)
    return _parts(place, own, Measure(NETWORK, TWO_HOSTS, values, plain, spoils=True), flows, window_ns)


def _parts(place: Place, own: _Turns, measure: Measure, flows: Flows, window_ns: int) -> pa.Table:
    linked = link(Rows(own.end ^ 1 if measure.name == SERVER else own.end, own.client, own.server))
    links = describe(flows, linked.triples)
    edges = Edges(links, [_keep(one, measure.name) for one in links])
    group = edges.group(linked.rows(), own.at // window_ns)
    return part_rows(place, edges, group, measure, window_ns)


def _keep(one: Link, measure: str) -> float:
    """Return the chance that the connections of a link were kept whole where it is measured."""
    client, server = one.rates
    measured = {SERVER: (server,), CLIENT: (client,), NETWORK: (client, server)}[measure]
    return whole_connection(*measured)
