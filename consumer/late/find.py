# SPDX-License-Identifier: Apache-2.0
"""From unmatched rows of the lake to matches between them, by the matcher of the engine. Pure.

Rows become what they were when they closed: ends, processes, events. They add up by weight, so what was taken
back is not there. Of sends that end at one byte (two agents on one host) one is matched, and all are done.
"""

from collections.abc import Sequence
from socket import AF_INET, AF_INET6, inet_pton
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from consumer.engine.flows import Actor, End, Flows, Known
from consumer.engine.names import EdgeName, Names
from consumer.latency.intervals import DTYPES, I32, I64, Arrivals, Bools, Receives, Sends
from consumer.latency.match import Closed, Now, add, match, nothing
from consumer.latency.sampling import EVERYTHING, Rates
from schemas.batch import Flow, Process

LOT = 1_000_000
"""Rows that are looked at together."""
_LARGEST = np.iinfo(np.int64).max
IDENTITY = ("connection", "direction", "side", "begin", "end", "monotonic_ns", "host")


class Found(NamedTuple):
    """What a look found."""

    rows: pa.Table
    """The rows that are open, each once, all columns; ``weight`` is their sum."""
    flows: Flows
    """Their connections, ends and processes."""
    closed: Closed
    """Matches among them; ``born`` of its events is the row of each. Holes are what reads have left open."""
    done: I64
    """Rows that are open no more, or not as they are."""


def keys_of_both(light: pa.Table) -> list[pa.Array]:
    """Return the connections of which there are rows of both sides, in lots of about LOT rows at most.

    Takes connection, direction, side.
    """
    groups = light.group_by(["connection", "direction"]).aggregate([("side", "count_distinct")])
    two = np.asarray(groups["side_count_distinct"]) == 2  # noqa: PLR2004 - sends and reads
    keys = np.unique(np.asarray(groups["connection"])[two])
    found, counts = np.unique(np.asarray(light["connection"]), return_counts=True)
    rows = np.cumsum(counts[np.searchsorted(found, keys)])
    cuts = np.flatnonzero(np.diff(rows // LOT)) + 1
    return [pa.array(lot) for lot in np.split(keys, cuts) if lot.size]


def open_rows(rows: pa.Table, identity: Sequence[str] = IDENTITY) -> pa.Table:
    """Return the rows that nothing took back, each once; without those of versions that kept too little.

    Rows that are alike in ``identity`` add up.
    """
    rows = rows.filter(pc.is_valid(rows["monotonic_ns"]))
    rows = rows.append_column("number", pa.array(np.arange(rows.num_rows)))
    sums = rows.group_by(list(identity)).aggregate([("weight", "sum"), ("number", "min")])
    left = np.asarray(sums["weight_sum"]) > 0
    number, weight = np.asarray(sums["number_min"])[left], np.asarray(sums["weight_sum"])[left]
    order = np.argsort(number)
    kept = rows.drop_columns(["number"]).take(pa.array(number[order]))
    at = kept.schema.get_field_index("weight")
    return kept.set_column(at, "weight", pa.array(weight[order].astype(np.int32)))


def find(rows: pa.Table, names: Sequence[EdgeName]) -> Found:
    """Match open rows with each other."""
    columns = Columns(rows)
    flows, actors = flows_of(rows, columns, names)
    sent = columns.side == "send"
    send = _firsts(columns, np.flatnonzero(sent))
    read = np.flatnonzero(~sent)
    waiting = add(
        nothing(),
        columns.events(Sends, send, actors),
        columns.events(Receives, read, actors),
        _arrivals(rows, columns, read),
    )
    _, closed = match(waiting, flows.flows, Now(0, _LARGEST, final=True))
    return Found(rows, flows, closed, _done(columns, closed, np.flatnonzero(sent), read))


class Columns:
    """Columns of rows as arrays, and the number of each row's flow."""

    def __init__(self, rows: pa.Table) -> None:
        self._rows = rows
        self.side: NDArray[Any] = rows["side"].to_numpy(zero_copy_only=False)
        connection = self.numbers("connection")
        self.keys, number = np.unique(connection, return_inverse=True)
        self.flow: I32 = (2 * number + self.numbers("direction")).astype(np.int32)

    def numbers(self, name: str) -> I64:
        """Return a column of integers, (n,)."""
        return np.asarray(self._rows[name].to_numpy(zero_copy_only=False)).astype(np.int64)

    def events(self, kind: Any, picked: I64, actors: I32) -> Any:  # noqa: ANN401 - sends or receives
        """Return picked rows as events of a kind."""
        time = self.numbers("monotonic_ns")
        all_of: dict[str, NDArray[Any]] = {
            "flow": self.flow,
            "begin": self.numbers("begin"),
            "end": self.numbers("end"),
            "time": time,
            "offset": self.numbers("time_ns") - time,
            "duration": self.numbers("duration_ns"),
            "process": actors,
            "flags": self.numbers("flags"),
            "born": np.arange(self._rows.num_rows),
        }
        return kind(**{name: all_of[name][picked].astype(DTYPES[name]) for name in kind._fields})


def _firsts(columns: Columns, sends: I64) -> I64:
    """Return of sends that end at one byte the earliest."""
    end, time = columns.numbers("end")[sends], columns.numbers("monotonic_ns")[sends]
    order = sends[np.lexsort((time, end, columns.flow[sends]))]
    flow, end = columns.flow[order], columns.numbers("end")[order]
    fresh: Bools = np.ones(order.size, dtype=bool)
    fresh[1:] = (flow[1:] != flow[:-1]) | (end[1:] != end[:-1])
    return np.sort(order[fresh])


def _arrivals(rows: pa.Table, columns: Columns, read: I64) -> Arrivals:
    """Return the arrivals that reads kept."""
    kept = rows.take(pa.array(read))
    counts = np.asarray(pc.list_value_length(kept["arrival_ends"]).fill_null(0).to_numpy())
    flat = [
        np.asarray(pc.list_flatten(kept[name]).to_numpy(zero_copy_only=False)).astype(np.int64)
        for name in ("arrival_ends", "arrival_times", "arrival_flags")
    ]
    flow = np.repeat(columns.flow[read], counts.astype(np.int64))
    return Arrivals(flow, flat[0], flat[1], flat[2].astype(np.int32), np.zeros(flow.size, dtype=np.int64))


def _done(columns: Columns, closed: Closed, sends: I64, reads: I64) -> I64:
    """Return the sends that end where a matched one does, and reads of whose range something is matched."""
    flow, end = columns.flow[sends], columns.numbers("end")[sends]
    matched = np.isin(_pairs(flow, end), _pairs(closed.sends.flow, closed.sends.end))
    begin, until = columns.numbers("begin"), columns.numbers("end")
    holes = closed.holes
    row = holes.receives.born
    whole = row[(holes.begin == begin[row]) & (holes.end == until[row])]
    return np.concatenate((sends[matched], np.setdiff1d(reads, whole)))


def _pairs(flow: I32, end: I64) -> Any:  # noqa: ANN401 - a structured array
    both = np.empty(flow.size, dtype=[("flow", np.int64), ("end", np.int64)])
    both["flow"], both["end"] = flow, end
    return both


def distinct(rows: pa.Table) -> tuple[pa.Table, I64]:
    """Return the distinct rows of a table and, for each of its rows, which of them it is."""
    columns = (rows[name].combine_chunks() for name in rows.column_names)
    codes = [pc.dictionary_encode(column, null_encoding="encode").indices.to_numpy() for column in columns]
    _, first, of_row = np.unique(np.stack(codes), axis=1, return_index=True, return_inverse=True)
    return rows.take(pa.array(first)), of_row.reshape(-1)


def flows_of(rows: pa.Table, columns: Columns, names: Sequence[EdgeName]) -> tuple[Flows, I32]:
    """Return the connections of rows, and the actor of each row (-1: nobody)."""
    flows = Flows(Names(tuple(names), ()))
    ends: list[End | None] = [None] * (2 * columns.keys.size)
    number: dict[Actor, int] = {}
    last = np.full(len(ends), -1, dtype=np.int32)
    told = rows.select(_FACTS).append_column("flow", pa.array(columns.flow))
    facts, of_row = distinct(told)
    actors = np.full(facts.num_rows, -1, dtype=np.int32)
    for at, row in enumerate(facts.to_pylist()):
        own = row["flow"] if row["side"] in _SENDERS else row["flow"] ^ 1
        known = ends[own]
        if known is None or not known.flow.role:
            ends[own] = _end(row, own & 1)
        if row["process"] is not None:
            process = Process(row["pid"], row["process"], label=row["label"] or "")
            actor = Actor(row["host"] or "", process, _rates(row))
            actors[at] = last[own] = number.setdefault(actor, len(number))
    keys = [key & 0xFFFF_FFFF_FFFF_FFFF for key in columns.keys.tolist()]
    zeros = np.zeros(len(ends), dtype=np.int64)
    flows.restore(Known(keys, ends, list(number)), zeros, last, (zeros, zeros))
    return flows, actors[of_row]


_SENDERS = {"send", "client"}
"""Sides that are at the end that sends on the flow."""
_FACTS = [
    "side", "host", "boot", "pid", "process", "label", "role",
    "connection", "local_address", "local_port", "remote_address", "remote_port",
    "connection_rate", "block_rate",
]  # fmt: skip


def _rates(row: dict[str, Any]) -> Rates:
    if row["connection_rate"] is None:
        return EVERYTHING
    return Rates(row["connection_rate"], row["block_rate"])


def _end(row: dict[str, Any], end: int) -> End:
    flow = Flow(
        connection=row["connection"] & 0xFFFF_FFFF_FFFF_FFFF,
        end=end,
        family=4,
        role=row["role"],
        local_address=_address(row["local_address"]),
        local_port=row["local_port"],
        remote_address=_address(row["remote_address"]),
        remote_port=row["remote_port"],
        netns=0,
    )
    return End(row["host"] or "", row["boot"] or "", 0, flow, 0)


def _address(text: str | None) -> bytes:
    if not text:
        return bytes(16)
    return inet_pton(AF_INET6, text) if ":" in text else bytes(10) + b"\xff\xff" + inet_pton(AF_INET, text)
