# SPDX-License-Identifier: Apache-2.0
"""From one-sided words of exchanges to network time, by the joining of the engine, and what follows of it.

Words that meet, or cross, are taken back, and so is what was counted as missing of network time. A server's
turn is told anew, under the edge that is known now and by the client's marks, as in an undisturbed run.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from consumer.engine.alone import CLIENT
from consumer.engine.arrow import Place
from consumer.engine.exchanged import NETWORK, SERVER, rows_of
from consumer.engine.flows import Flows
from consumer.engine.names import EdgeName
from consumer.engine.records import combine
from consumer.engine.turns import Told, agreed
from consumer.late.correct import taken_back
from consumer.late.find import Columns, distinct, flows_of
from consumer.late.taken import no_parts, plain, runs_of, taken
from consumer.latency.histogram import fill
from consumer.latency.intervals import I32, I64, Bools
from consumer.latency.turns.network import Joined, meet_sides
from consumer.latency.turns.tables import TOLD, Exchanges, no_exchanges, take
from schemas.clock import ONE_HOST, TWO_HOSTS

IDENTITY = (
    "connection", "direction", "side", "request_end", "response_begin", "monotonic_ns", "host",
)  # fmt: skip
"""Rows alike in these add up."""


class Met(NamedTuple):
    """What a look found."""

    rows: pa.Table
    """The words that are open, each once."""
    flows: Flows
    joined: Joined
    """``born`` of its exchanges is the row of each."""


def meet(rows: pa.Table, names: Sequence[EdgeName]) -> Met:
    """Join open words with each other."""
    columns = Columns(rows)
    flows, actors = flows_of(rows, columns, names)
    asks: Bools = np.asarray(columns.side == CLIENT, dtype=bool)
    end = np.where(asks, columns.flow, columns.flow ^ 1).astype(np.int32)
    client, server = np.zeros((2, 2 * columns.keys.size), dtype=bool)
    client[end[asks]], server[end[~asks]] = True, True
    doubtful = client & server  # another end was taken for the client later
    words = _exchanges(columns, end, actors)
    sides = (take(words, asks & ~doubtful[end]),), (take(words, ~asks & ~doubtful[end]),)
    _, joined = meet_sides(no_exchanges(), sides, client, -1)
    return Met(rows, flows, joined)


def _exchanges(columns: Columns, end: I32, actors: I32) -> Exchanges:
    asked = columns.numbers("monotonic_ns")
    marks = columns.numbers("marks") | np.where(columns.numbers("seen") > 0, 0, TOLD)
    return Exchanges(
        end,
        columns.numbers("request_end"),
        columns.numbers("response_begin"),
        asked,
        asked + columns.numbers("turn_ns"),
        columns.numbers("time_ns") - asked,
        actors,
        marks.astype(np.int8),
        np.arange(end.size),
    )


def corrections(met: Met, tick: int, now_ms: int, window_ns: int) -> dict[str, pa.Table]:
    """Return rows by kind, with ``hour_index``; empty where nothing met."""
    joined = met.joined
    asked, answered = joined.clients.born, joined.servers.born[joined.theirs]
    decided = np.concatenate((joined.mine, joined.across))
    if not decided.size:
        return {}
    done = np.concatenate((asked[decided], answered))
    outputs = [{"exchange": taken_back(met.rows.take(pa.array(done)), tick, now_ms)}]
    origin = met.rows["topic_partition"].to_numpy(zero_copy_only=False)
    for partition in np.unique(origin[asked[decided]]).tolist():
        place = Place(partition, tick, now_ms)
        pairs = np.flatnonzero(origin[asked[joined.mine]] == partition)
        across = joined.across[origin[asked[joined.across]] == partition]
        own = joined._replace(mine=joined.mine[pairs], theirs=joined.theirs[pairs], across=across)
        back = asked[np.concatenate((own.mine, across))]
        tables = [_told(place, own, met.flows, window_ns)]
        tables += _taken(place, met.rows, (back, answered[pairs]), window_ns)
        outputs += [{"histogram": table} for table in tables if table is not None]
    return combine([{kind: plain(table) for kind, table in output.items()} for output in outputs])


def _told(place: Place, own: Joined, flows: Flows, window_ns: int) -> pa.Table | None:
    none = no_exchanges()
    told = Told([], [agreed(own)], [own], (none, none), none, (none, none))
    return rows_of(place, told, flows, window_ns)


def _taken(place: Place, rows: pa.Table, back: tuple[I64, I64], window_ns: int) -> list[pa.Table]:
    """Return parts that take back what was counted of clients' words and of servers' turns."""
    found = []
    for measure, clock, at in ((NETWORK, TWO_HOSTS, back[0]), (SERVER, ONE_HOST, back[1])):
        words = rows.take(pa.array(at))
        words = words.filter(pa.array(words["seen"].to_numpy() > 0))
        if not words.num_rows:
            continue
        groups, of_row = _grouped(words, measure, window_ns)
        size = groups.num_rows
        parts = no_parts(size)._replace(seen=np.bincount(of_row, minlength=size))
        spoiled = np.zeros(size, dtype=np.int64)
        if measure == SERVER:
            order, runs = runs_of(of_row, size)
            has = words["marks"].to_numpy()[order] == 0
            parts = fill(runs, size, words["turn_ns"].to_numpy()[order], has)
            spoiled = parts.seen - parts.n
        found.append(taken(place, groups, (measure, clock), parts, window_ns, spoiled))
    return found


def _grouped(words: pa.Table, measure: str, window_ns: int) -> tuple[pa.Table, I64]:
    """Return the distinct edges and windows of words, and which of them each one is of."""
    window = words["time_ns"].to_numpy() // window_ns * window_ns
    keyed = words.select(["edge", "host", "peer_host"]).append_column("window", pa.array(window))
    groups, of_row = distinct(keyed)
    ends = ["sender_host", "receiver_host"]
    own, other = ends if measure == NETWORK else reversed(ends)
    return groups.rename_columns({"host": own, "peer_host": other}), of_row
