# SPDX-License-Identifier: Apache-2.0
"""Latencies of messages, corrected between hosts, and their histograms: corrected first, then bucketed.

A message is a match of a send's last piece. One between hosts has a latency where its window's clocks are
solved with a bound; else it is counted and withheld (`unsynced`). One with Flag.NO_ROLE is counted and has
none, as its partner may be the neighbour. Negative latencies stay: they are the alarm of clocks.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from common.units import MINUTE_NS
from consumer.latency.histogram import Parts, Runs, fill
from consumer.latency.intervals import I64, Bools, Index
from consumer.rollup.groups import Groups, coded_text, grouped
from consumer.rollup.sums import SCHEMA, numbers
from schemas.clock import BOUNDED, SAME_HOST, UNSYNCED
from schemas.event import Flag
from schemas.histogram import SCALE
from schemas.tables import SLOWEST

_ENDS = ("edge", "sender_host", "receiver_host")
_STAMPS = ("sender_boot", "receiver_boot", "sent_monotonic_ns", "received_monotonic_ns")
COLUMNS = (
    *(
        "sent_at_ns",
        *_ENDS,
        "delivery_ns",
        "receive_wait_ns",
        "clock",
        "last_piece",
        "flags",
        *_STAMPS,
        "keep",
    ),
)
"""What is needed of matches."""


class Corrected(Protocol):
    """Latencies on one clock."""

    @property
    def latency(self) -> I64:
        """Received minus sent, ns."""

    @property
    def bound(self) -> I64:
        """The truth is within so many ns of it; -1 = not known."""


class Solved(Protocol):
    """The clocks of one window."""

    @property
    def rows(self) -> pa.Table:
        """Rows of kind ``clock_solution``."""

    def correct(
        self, sender_boot: pa.Array, receiver_boot: pa.Array, sent: I64, received: I64, /
    ) -> Corrected:
        """Bring (n,) pairs of times of two hosts' CLOCK_MONOTONIC together."""


class Latencies(NamedTuple):
    """(n,) messages of one read of matches."""

    minute: I64
    """Begin of the window, ns."""
    delivery: I64
    bound: I64
    """-1 where it is not known, or no clock was corrected."""
    known: Bools
    """``delivery`` has a value."""
    cross: Bools
    """Between hosts of different clocks."""


def picked(found: Latencies, at: Index) -> Latencies:
    """Return some messages' latencies."""
    columns: list[Any] = [column[at] for column in found]
    return Latencies(*columns)


def messages(rows: pa.Table) -> pa.Table:
    """Return the matches that are messages."""
    return rows.filter(pc.fill_null(rows["last_piece"], False))  # noqa: FBT003 - the value


def latencies(rows: pa.Table, solved: Mapping[int, Solved]) -> Latencies:
    """Return the latencies of messages; ``solved`` has the clocks of minutes, by their begin."""
    minute = numbers(rows["sent_at_ns"]) // MINUTE_NS * MINUTE_NS
    delivery = numbers(rows["delivery_ns"]).copy()
    bound = np.full(delivery.size, -1, dtype=np.int64)
    cross = ~np.asarray(pc.fill_null(pc.equal(rows["clock"], SAME_HOST), False).combine_chunks(), dtype=bool)  # noqa: FBT003
    told = np.logical_and.reduce(
        [cross, *(np.asarray(pc.is_valid(rows[name]).combine_chunks(), dtype=bool) for name in _STAMPS)]
    )
    for begin in np.unique(minute[told]).tolist():
        if begin not in solved:
            continue
        at = np.flatnonzero(told & (minute == begin))
        boots = (coded_text(rows[name]).take(pa.array(at)) for name in _STAMPS[:2])
        found = solved[begin].correct(*boots, *(numbers(rows[name])[at] for name in _STAMPS[2:]))
        delivery[at], bound[at] = found.latency, found.bound
    trusted = (numbers(rows["flags"]) & Flag.NO_ROLE) == 0
    return Latencies(minute, delivery, bound, trusted & (~cross | (bound >= 0)), cross)


def histograms(rows: pa.Table, found: Latencies) -> pa.Table:
    """Return roll-up rows of delivery and wire of the messages between hosts, of windows of a minute."""
    at = np.flatnonzero(found.cross & ((numbers(rows["flags"]) & SLOWEST) == 0))
    rows, found = rows.take(pa.array(at)), picked(found, at)
    arrived = np.asarray(pc.is_valid(rows["receive_wait_ns"]).combine_chunks(), dtype=bool)
    keep = np.asarray(pc.fill_null(rows["keep"], 1.0).combine_chunks(), dtype=np.float64)
    bounded = (found.bound >= 0).astype(np.int64)
    groups = grouped([found.minute, *(rows[name] for name in _ENDS), keep, bounded])
    first = pa.array(groups.first)
    shared = {
        "window_start_ns": pa.array(found.minute[groups.first]),
        "window_ns": pa.repeat(pa.scalar(MINUTE_NS, pa.int64()), groups.size),
        **{name: coded_text(rows[name]).take(first).cast(pa.string()) for name in _ENDS},
        "clock": pa.array(np.where(bounded[groups.first] > 0, BOUNDED, UNSYNCED), pa.string()),
        "keep": pa.array(keep[groups.first]),
    }
    wire = found.delivery - numbers(rows["receive_wait_ns"])
    measures = (("delivery", found.delivery, found.known), ("wire", wire, found.known & arrived))
    return pa.concat_tables([_rows(shared, groups, found.bound, *measure) for measure in measures])


def _rows(shared: dict[str, Any], groups: Groups, bound: I64, name: str, values: I64, has: Bools) -> pa.Table:
    order, size = groups.order, groups.size
    lengths = np.diff(groups.starts, append=order.size).astype(np.int64)
    parts = fill(Runs(groups.starts, lengths, np.arange(size)), size, values[order], has[order])
    largest = _largest(np.where(has, bound, -1)[order], groups)
    columns = {**shared, **_numbers(parts), "measure": pa.repeat(pa.scalar(name), size)}
    columns["clock_bound_ns"] = pa.array(largest, mask=largest < 0)
    return pa.table([columns[field.name] for field in SCHEMA], schema=SCHEMA)


def _largest(values: I64, groups: Groups) -> I64:
    return np.maximum.reduceat(values, groups.starts) if groups.size else values


def _numbers(parts: Parts) -> dict[str, pa.Array]:
    nothing = parts.n == 0
    offsets = pa.array(parts.offsets.astype(np.int32))
    return {
        "n": pa.array(parts.n),
        "seen": pa.array(parts.seen),
        "negative": pa.array(parts.negative),
        "sum_ns": pa.array(parts.total),
        "min_ns": pa.array(parts.least, mask=nothing),
        "max_ns": pa.array(parts.greatest, mask=nothing),
        "scale": pa.repeat(pa.scalar(SCALE, pa.int32()), parts.n.size),
        "buckets": pa.ListArray.from_arrays(offsets, pa.array(parts.buckets)),
        "counts": pa.ListArray.from_arrays(offsets, pa.array(parts.counts)),
        "spoiled": pa.nulls(parts.n.size, pa.int64()),
    }
