# SPDX-License-Identifier: Apache-2.0
"""The slowest messages of each window, edge and hosts, by corrected delivery: what an answer can point to."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from common.units import MINUTE_NS
from consumer.latency.intervals import I64
from consumer.rollup.groups import grouped
from consumer.rollup.matches import Latencies, picked
from consumer.rollup.sums import numbers
from schemas.clock import BOUNDED, SAME_HOST
from schemas.tables import KINDS, SLOWEST_KEPT

SCHEMA = KINDS["exemplar"]
_OWN = {"window_start_ns", "window_ns", "delivery_ns", "wire_ns", "clock", "clock_bound_ns"}
TAKEN = tuple(name for name in SCHEMA.names if name not in _OWN)
"""Columns that are a match's own."""


def slowest(rows: pa.Table, found: Latencies) -> pa.Table:
    """Return SLOWEST_KEPT messages of each group, the slowest first; earlier ones where they are equal."""
    at = np.flatnonzero(found.known)
    rows, found = rows.take(pa.array(at)), picked(found, at)
    groups = grouped([found.minute, *(rows[name] for name in ("edge", "sender_host", "receiver_host"))])
    ties = [numbers(rows[name]) for name in ("end", "direction", "connection", "sent_at_ns")]
    order = np.lexsort((*ties, -found.delivery, groups.number))
    rank = np.arange(order.size) - np.repeat(groups.starts, np.diff(groups.starts, append=order.size))
    chosen = order[rank < SLOWEST_KEPT]
    return _table(rows.take(pa.array(chosen)), picked(found, chosen))


def _table(rows: pa.Table, found: Latencies) -> pa.Table:
    wait = numbers(rows["receive_wait_ns"])
    unknown = np.asarray(pc.is_null(rows["receive_wait_ns"]).combine_chunks(), dtype=bool)
    columns: dict[str, Any] = {name: rows[name] for name in TAKEN}
    columns |= {
        "window_start_ns": pa.array(found.minute),
        "window_ns": pa.repeat(pa.scalar(MINUTE_NS, pa.int64()), rows.num_rows),
        "delivery_ns": pa.array(found.delivery),
        "wire_ns": pa.array(_wire(rows, found, wait), mask=unknown),
        "clock": pa.array(np.where(found.cross, BOUNDED, SAME_HOST), pa.string()),
        "clock_bound_ns": pa.array(found.bound, mask=~found.cross),
    }
    return pa.table({name: columns[name] for name in SCHEMA.names}).cast(SCHEMA)


def _wire(rows: pa.Table, found: Latencies, wait: I64) -> I64:
    """Return wire latencies: of one clock as they were matched."""
    return np.where(found.cross, found.delivery - wait, numbers(rows["wire_ns"]))
