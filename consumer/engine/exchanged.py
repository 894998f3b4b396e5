# SPDX-License-Identifier: Apache-2.0
"""Histogram rows of exchanges: server turns, client turns, network time (docs/turns.md).

An edge begins with the client. ``n`` counts the exchanges that have a value, ``spoiled`` those that are
marked (of network time, that crossed too), ``seen`` both of these and what is known to be missing. The window
is that of the begin of the turn, by the clock of the host that measured it; of network time, of the client's.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from consumer.engine.arrow import Place
from consumer.engine.facts import Rows, describe, link
from consumer.engine.flows import UNHEARD, Flows
from consumer.engine.parts import Edges, Measure, part_rows
from consumer.engine.turns import Told, Turned
from consumer.latency.intervals import I32, I64, Bools
from consumer.latency.sampling import whole_connection
from consumer.latency.turns.network import Joined
from consumer.latency.turns.tables import Exchanges, join
from schemas.clock import ONE_HOST, TWO_HOSTS

SERVER, CLIENT, NETWORK = "server-turn", "client-turn", "network"


def rows_of(place: Place, told: Told, flows: Flows, window_ns: int) -> pa.Table | None:
    """Return the parts of one tick, None where no exchange was told."""
    tables = []
    if any(one.end.size for one in (*told.clients, *told.servers)) or any(map(_some, told.left)):
        tables.append(_turns(place, told, flows, window_ns))
    if told.apart.end.size or any(one.mine.size or one.across.size for one in told.both):
        tables.append(_network(place, told, flows, window_ns))
    return pa.concat_tables(tables) if tables else None


def _turns(place: Place, told: Told, flows: Flows, window_ns: int) -> pa.Table:
    """Return those of both turns at once: who told an exchange says which it is."""
    clients, servers = [*told.clients, _lost(told.left[0])], [*told.servers, _lost(told.left[1])]
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
    missing = None
    if any(map(_some, told.left)):
        lost = [one is clients[-1] or one is servers[-1] for one in every]
        missing = np.repeat(lost, [one.end.size for one in every])
    measure = Measure(None, ONE_HOST, turn, plain, spoils=True, missing=missing)
    return part_rows(place, edges, group, measure, window_ns)


def _nobody(side: Turned | Exchanges) -> I32:
    return np.full(side.end.size, UNHEARD, dtype=np.int32)


def _some(found: Exchanges) -> bool:
    return bool(found.end.size)


def _lost(found: Exchanges) -> Turned:
    """Return exchanges that were not told, so have no value and no mark."""
    return Turned(
        found.end, found.process, found.asked, found.offset, np.zeros_like(found.asked),
        np.ones(found.end.size, dtype=bool),
    )  # fmt: skip


class _Ways(NamedTuple):
    """(n,) exchanges that both ends told, those crossed behind the others, or that one end did."""

    end: I32
    client: I32
    server: I32
    window: I64
    network: I64
    plain: Bools
    missing: Bools


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
    missing = np.zeros(mine.size, dtype=bool)
    return _Ways(every.end[mine], every.process[mine], servers, window, values, plain, missing)


def _apart(found: Exchanges, window_ns: int) -> _Ways:
    nothing = np.zeros_like(found.asked)
    window = (found.asked + found.offset) // window_ns
    known = np.zeros(found.end.size, dtype=bool)
    return _Ways(found.end, found.process, _nobody(found), window, nothing, known, ~known)


def _network(place: Place, told: Told, flows: Flows, window_ns: int) -> pa.Table:
    ways = join(*(_ways(one, window_ns) for one in told.both), _apart(told.apart, window_ns))
    linked = link(Rows(ways.end, ways.client, ways.server))
    links = describe(flows, linked.triples)
    edges = Edges(links, [whole_connection(*one.rates) for one in links])
    group = edges.group(linked.rows(), ways.window)
    missing = ways.missing if told.apart.end.size else None
    measure = Measure(NETWORK, TWO_HOSTS, ways.network, ways.plain, spoils=True, missing=missing)
    return part_rows(place, edges, group, measure, window_ns)
