# SPDX-License-Identifier: Apache-2.0
"""Histogram rows summed up by what they are of: parts of a window, minutes of an hour, hours of a day. Exact.

Rows are of kind ``rollup``. Counts may be negative, as in corrections of what came late; what sums up to
nothing is left out. Least and greatest values are those of all parts, which corrections do not take back.
Scales may differ: a sum has the lowest of its parts.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from consumer.latency.intervals import I64, Bools
from consumer.rollup.groups import Groups, coded_text, grouped
from schemas.histogram import SCALE
from schemas.tables import KINDS

SCHEMA = KINDS["rollup"]
_TEXTS = ("edge", "sender_host", "receiver_host", "measure", "clock")
_COUNTS = ("n", "seen", "negative", "sum_ns")
_LARGEST = np.iinfo(np.int64).max


def widened(rows: pa.Table, window_ns: int) -> pa.Table:
    """Return histogram or roll-up rows as parts of windows of a length, of their own where that is more."""
    length = np.maximum(numbers(rows["window_ns"]), window_ns)
    start = numbers(rows["window_start_ns"])
    start = start // length * length
    columns = {name: rows[name] for name in SCHEMA.names if name in rows.column_names}
    columns |= {"window_start_ns": pa.array(start), "window_ns": pa.array(length)}
    if "clock_bound_ns" not in columns:
        columns["clock_bound_ns"] = pa.nulls(rows.num_rows, pa.int64())
    return pa.table({name: columns[name] for name in SCHEMA.names})


def summed(rows: pa.Table) -> pa.Table:
    """Return one row for each (window, edge, hosts, measure, clock, keep), in this order."""
    keep = np.asarray(pc.fill_null(rows["keep"], 1.0).combine_chunks(), dtype=np.float64)
    windows = [numbers(rows[name]) for name in ("window_start_ns", "window_ns")]
    groups = grouped([*windows, *(rows[name] for name in _TEXTS), keep])
    first = pa.array(groups.first)
    columns: dict[str, Any] = {
        name: pa.array(values[groups.first])
        for name, values in zip(("window_start_ns", "window_ns"), windows, strict=True)
    }
    columns |= {name: coded_text(rows[name]).take(first) for name in _TEXTS}
    counts = {name: _each(np.add, numbers(rows[name]), groups) for name in _COUNTS}
    columns |= {name: pa.array(values) for name, values in counts.items()}
    columns |= _extremes(rows, groups, counts["n"] != 0)
    columns["keep"] = pa.array(keep[groups.first], mask=keep[groups.first] == 1.0)
    columns["spoiled"] = _known(np.add, rows["spoiled"], groups, 0)
    columns["clock_bound_ns"] = _known(np.maximum, rows["clock_bound_ns"], groups, -1)
    columns |= _buckets(rows, groups)
    table = pa.table({name: columns[name] for name in SCHEMA.names})
    return table.filter(pa.array(_is_something(table)))


def numbers(column: pa.ChunkedArray) -> I64:
    """Return a column of integers, null as 0."""
    return np.asarray(pc.fill_null(column, 0).combine_chunks()).astype(np.int64, copy=False)


def _each(operation: np.ufunc, values: I64, groups: Groups) -> I64:
    return operation.reduceat(values[groups.order], groups.starts) if groups.size else values[:0]


def _known(operation: np.ufunc, column: pa.ChunkedArray, groups: Groups, otherwise: int) -> pa.Array:
    """Return the sums or extremes of the values that are known; null for groups without."""
    known = np.asarray(pc.is_valid(column).combine_chunks(), dtype=bool)
    values = np.where(known, numbers(column), otherwise)
    has = _each(np.maximum, known.astype(np.int64), groups) > 0
    return pa.array(_each(operation, values, groups), mask=~has)


def _extremes(rows: pa.Table, groups: Groups, has: Bools) -> dict[str, pa.Array]:
    found = {}
    for name, operation, otherwise in (("min_ns", np.minimum, _LARGEST), ("max_ns", np.maximum, -_LARGEST)):
        values = _known(operation, rows[name], groups, otherwise)
        found[name] = pc.if_else(pa.array(has), values, pa.scalar(None, pa.int64()))
    return found


def _buckets(rows: pa.Table, groups: Groups) -> dict[str, pa.Array]:
    scale = np.asarray(pc.fill_null(rows["scale"], SCALE).combine_chunks()).astype(np.int64)
    lowest = _each(np.minimum, scale, groups)
    lengths = np.asarray(pc.fill_null(pc.list_value_length(rows["buckets"]), 0).combine_chunks())
    row = np.repeat(np.arange(rows.num_rows), lengths)
    bucket = np.asarray(pc.list_flatten(rows["buckets"]).combine_chunks()).astype(np.int64)
    count = np.asarray(pc.list_flatten(rows["counts"]).combine_chunks()).astype(np.int64)
    group = groups.number[row]
    bucket >>= np.minimum(scale[row] - lowest[group], 31)
    owner, bucket, count = _added(group, bucket, count)
    offsets = np.searchsorted(owner, np.arange(groups.size + 1)).astype(np.int32)
    return {
        "scale": pa.array(lowest.astype(np.int32)),
        "buckets": pa.ListArray.from_arrays(pa.array(offsets), pa.array(bucket.astype(np.int32))),
        "counts": pa.ListArray.from_arrays(pa.array(offsets), pa.array(count)),
    }


def _added(group: I64, bucket: I64, count: I64) -> tuple[I64, I64, I64]:
    """Return the distinct (group, bucket) in order with the sums of their counts, but for those of 0."""
    if not bucket.size:
        return group, bucket, count
    lowest = int(bucket.min())
    width = int(bucket.max()) - lowest + 1
    key = group * width + (bucket - lowest)
    order = np.argsort(key, kind="stable")
    key = key[order]
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    sums = np.add.reduceat(count[order], starts)
    starts = starts[sums != 0]
    owner, place = np.divmod(key[starts], width)
    return owner, place + lowest, sums[sums != 0]


def _is_something(table: pa.Table) -> Bools:
    counts: list[NDArray[Any]] = [numbers(table[name]) for name in (*_COUNTS, "spoiled")]
    lengths = np.asarray(pc.list_value_length(table["buckets"]).combine_chunks())
    found: Bools = np.logical_or.reduce([*(values != 0 for values in counts), lengths != 0])
    return found
