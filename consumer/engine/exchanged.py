# SPDX-License-Identifier: Apache-2.0
"""Histogram rows of exchanges: server turns, client turns, network time (docs/turns.md).

An edge begins with the client. ``seen`` counts the exchanges told, ``spoiled`` those of them that are marked
(of network time, that crossed too), ``n`` the others. The window is that of the begin of the turn, by the
clock of the host that measured it; of network time, of the client's.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from consumer.engine.arrow import Place
from consumer.engine.facts import Rows, describe, link
from consumer.engine.flows import UNHEARD, Flows
from consumer.engine.parts import ONE_HOST, TWO_HOSTS, Edges, Measure, part_rows
from consumer.engine.turns import Told, Turned
from consumer.latency.intervals import I32, I64, Bools
from consumer.latency.sampling import whole_connection
from consumer.latency.turns.network import Joined
from consumer.latency.turns.tables import join

SERVER, CLIENT, NETWORK = "server-turn", "client-turn", "network"


def rows_of(place: Place, told: Told, flows: Flows, window_ns: int) -> pa.Table | None:
    """Return the parts of one tick, None where no exchange was told."""
    tables = []
    if any(one.end.size for one in (*told.clients, *told.servers)):
        tables.append(_turns(place, told, flows, window_ns))
    if any(one.mine.size or one.across.size for one in told.both):
        tables.append(_network(place, told.both, flows, window_ns))
    return pa.concat_tables(tables) if tables else None


def _turns(place: Place, told: Told, flows: Flows, window_ns: int) -> pa.Table:
    """Return those of both turns at once: who told an exchange says which it is."""
    clients, servers = told.clients, told.servers
    every = [*clients, *servers]
    linked = link(
        Rows(
            np.concatenate([*(one.end for one in clients), *(one.end ^ 1 for one in servers)]),
            np.concatenate([*(one.process for one in clients), *map(_nobody, servers)]),
            np.concatenate([*map(_nobody, clients), *(one.process for one in servers)]),
        )
    )
    links = describe(flows, linked.triples)
    measures = [SERVER if known else CLIENT for known in (linked.triples.sender == UNHEARD).tolist()]
    keeps = [
        whole_connection(one.rates[measure == SERVER]) for one, measure in zip(links, measures, strict=True)
    ]
    edges = Edges(links, keeps, measures)
    window = np.concatenate([(one.asked + one.offset) // window_ns for one in every])
    turn = np.concatenate([one.turn for one in every])
    plain = np.concatenate([~one.pipelined for one in every])
    group = edges.group(linked.rows(), window)
    return part_rows(place, edges, group, Measure(None, ONE_HOST, turn, plain, spoils=True), window_ns)


def _nobody(side: Turned) -> I32:
    return np.full(side.end.size, UNHEARD, dtype=np.int32)


class _Ways(NamedTuple):
    """(n,) exchanges that both ends told, those crossed behind the others."""

    end: I32
    client: I32
    server: I32
    window: I64
    network: I64
    plain: Bools


def _ways(both: Joined, window_ns: int) -> _Ways:
    every, mine, values, plain = both.clients, both.mine, both.network, ~both.pipelined
    servers = both.servers.process[both.theirs]
    if both.across.size:
        size = both.across.size
        mine = np.concatenate((mine, both.across))
        servers = np.concatenate((servers, np.full(size, UNHEARD, dtype=np.int32)))
        values = np.concatenate((values, np.zeros(size, dtype=np.int64)))
        plain = np.concatenate((plain, np.zeros(size, dtype=bool)))
    window = (every.asked + every.offset)[mine] // window_ns
    return _Ways(every.end[mine], every.process[mine], servers, window, values, plain)


def _network(place: Place, both: Sequence[Joined], flows: Flows, window_ns: int) -> pa.Table:
    ways = join(*(_ways(one, window_ns) for one in both))
    linked = link(Rows(ways.end, ways.client, ways.server))
    links = describe(flows, linked.triples)
    edges = Edges(links, [whole_connection(*one.rates) for one in links])
    group = edges.group(linked.rows(), ways.window)
    measure = Measure(NETWORK, TWO_HOSTS, ways.network, ways.plain, spoils=True)
    return part_rows(place, edges, group, measure, window_ns)
