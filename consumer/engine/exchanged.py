# SPDX-License-Identifier: Apache-2.0
"""Histogram rows of exchanges: server turns, client turns, network time (docs/turns.md).

An edge begins with the client. ``seen`` counts the exchanges told, ``spoiled`` those of them that are marked
(of network time, that crossed too), ``n`` the others. The window is that of the begin of the turn, by the
clock of the host that measured it; of network time, of the client's.
"""

import numpy as np
import pyarrow as pa

from consumer.engine.arrow import Place
from consumer.engine.facts import Link, Rows, describe, link
from consumer.engine.flows import UNHEARD, Flows
from consumer.engine.parts import ONE_HOST, TWO_HOSTS, Edges, Measure, part_rows
from consumer.engine.turns import Told
from consumer.latency.intervals import I32, I64, Bools
from consumer.latency.sampling import whole_connection
from consumer.latency.turns.tables import Exchanges, join, take

SERVER, CLIENT, NETWORK = "server-turn", "client-turn", "network"


def rows_of(place: Place, told: Told, flows: Flows, window_ns: int) -> pa.Table | None:
    """Return the parts of one tick, None where no exchange was told."""
    asking = told.client[told.exchanges.end]
    tables = []
    for name, mask in ((SERVER, ~asking), (CLIENT, asking)):
        if mask.any():
            own = take(told.exchanges, mask)
            measure = Measure(name, ONE_HOST, own.turn, ~own.pipelined, spoils=True)
            tables.append(_parts(place, own, measure, flows, window_ns))
    both = told.both
    clients = join(both.client, both.crossed)
    if clients.end.size:
        measure = _network(told, clients)
        servers = np.concatenate((both.server.process, np.full(both.crossed.end.size, UNHEARD)))
        tables.append(_parts(place, clients, measure, flows, window_ns, servers.astype(np.int32)))
    return pa.concat_tables(tables) if tables else None


def _network(told: Told, clients: Exchanges) -> Measure:
    both = told.both
    crossed = clients.end.size - both.client.end.size
    values: I64 = np.concatenate((both.network, np.zeros(crossed, dtype=np.int64)))
    plain: Bools = np.concatenate((~both.pipelined, np.zeros(crossed, dtype=bool)))
    return Measure(NETWORK, TWO_HOSTS, values, plain, spoils=True)


def _parts(
    place: Place,
    own: Exchanges,
    measure: Measure,
    flows: Flows,
    window_ns: int,
    servers: I32 | None = None,
) -> pa.Table:
    """Return the rows of one measure of exchanges; ``own.process`` is the client's but for server turns."""
    serving = measure.name == SERVER
    client, server = own.process, servers
    if server is None:
        nobody = np.full(own.end.size, UNHEARD, dtype=np.int32)
        client, server = (nobody, own.process) if serving else (own.process, nobody)
    linked = link(Rows(own.end ^ 1 if serving else own.end, client, server))
    links = describe(flows, linked.triples)
    edges = Edges(links, [_keep(one, measure.name) for one in links])
    group = edges.group(linked.rows(), (own.asked + own.offset) // window_ns)
    return part_rows(place, edges, group, measure, window_ns)


def _keep(one: Link, measure: str) -> float:
    """Return the chance that the connections of a link were kept whole where it is measured."""
    client, server = one.rates
    measured = {SERVER: (server,), CLIENT: (client,), NETWORK: (client, server)}[measure]
    return whole_connection(*measured)
