# SPDX-License-Identifier: Apache-2.0
"""Histogram parts with negative counts: what was counted under the edge of then is taken back."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from consumer.engine.arrow import Place, table
from consumer.latency.histogram import Parts, Runs, fill
from consumer.latency.intervals import I64
from consumer.rollup.sums import summed, widened
from schemas.histogram import SCALE
from schemas.tables import KINDS


def taken(
    place: Place,
    groups: pa.Table,
    named: tuple[str, str],
    parts: Parts,
    window_ns: int,
    spoiled: I64 | None = None,
) -> pa.Table:
    """Return the parts of one measure and clock (``named``) with all that is counted negative.

    ``groups`` (g,) has window, edge, sender_host, receiver_host; ``spoiled`` (g,) is none for messages.
    """
    size, start = groups.num_rows, groups["window"].to_numpy()
    offsets = pa.array(parts.offsets.astype(np.int32))
    columns: dict[str, Any] = {
        "window_start_ns": start,
        "window_ns": np.full(size, window_ns, dtype=np.int64),
        "edge": groups["edge"].combine_chunks(),
        "sender_host": groups["sender_host"].combine_chunks(),
        "receiver_host": groups["receiver_host"].combine_chunks(),
        "measure": [named[0]] * size,
        "clock": [named[1]] * size,
        "n": -parts.n,
        "seen": -parts.seen,
        "negative": -parts.negative,
        "sum_ns": -parts.total,
        "min_ns": pa.nulls(size, pa.int64()),
        "max_ns": pa.nulls(size, pa.int64()),
        "scale": np.full(size, SCALE, dtype=np.int32),
        "buckets": pa.ListArray.from_arrays(offsets, pa.array(parts.buckets)),
        "counts": pa.ListArray.from_arrays(offsets, pa.array(-parts.counts)),
        "spoiled": None if spoiled is None else -spoiled,
        "keep": None,
    }
    return table("histogram", place, start, columns)


def added_up(rows: dict[str, pa.Table]) -> dict[str, pa.Table]:
    """Return the rows of a look with one histogram part of each name: what was told less what was taken back.

    What comes to nothing is left out.
    """
    if "histogram" not in rows:
        return rows
    parts = plain(rows["histogram"])
    tables = []
    for partition in pc.unique(parts["topic_partition"]).to_pylist():
        own = parts.filter(pc.equal(parts["topic_partition"], partition))
        sums = summed(widened(own, 1))
        place = own.select(["topic_partition", "tick"]).slice(0, 1)
        hours = _hours(own, sums)
        columns = {name: sums[name] for name in KINDS["histogram"].names if name in sums.column_names}
        for name in place.column_names:
            columns[name] = pa.repeat(place[name][0], sums.num_rows)
        columns["hour_index"] = hours
        tables.append(plain(pa.table({name: columns[name] for name in parts.column_names})))
    found = pa.concat_tables(tables)
    others = {kind: table for kind, table in rows.items() if kind != "histogram"}
    return others | ({"histogram": found} if found.num_rows else {})


def _hours(parts: pa.Table, sums: pa.Table) -> pa.Array:
    """Return the hour that the parts of each sum's window are filed in."""
    starts, first = np.unique(parts["window_start_ns"].to_numpy(), return_index=True)
    hours = parts["hour_index"].to_numpy()[first]
    return pa.array(hours[np.searchsorted(starts, sums["window_start_ns"].to_numpy())])


def runs_of(of_row: I64, size: int) -> tuple[I64, Runs]:
    """Return an order of (n,) rows in which those of each of ``size`` groups are together, and its runs."""
    order = np.argsort(of_row, kind="stable")
    lengths = np.bincount(of_row, minlength=size)
    some = np.flatnonzero(lengths)
    return order, Runs((np.cumsum(lengths) - lengths)[some], lengths[some], some)


def no_parts(size: int) -> Parts:
    """Return histograms of no value."""
    none = np.zeros(0, dtype=np.int64)
    return fill(Runs(none, none, none), size, none, none.astype(bool))


def replaced(rows: pa.Table, name: str, values: pa.Array) -> pa.Table:
    """Return rows with other values of a column."""
    return rows.set_column(rows.schema.get_field_index(name), name, values)


def plain(rows: pa.Table) -> pa.Table:
    """Return text columns as text: parts of different origin share no dictionary."""
    fields = [
        pa.field(field.name, field.type.value_type if pa.types.is_dictionary(field.type) else field.type)
        for field in rows.schema
    ]
    return rows.cast(pa.schema(fields))
