# SPDX-License-Identifier: Apache-2.0
"""Sums and quantiles by group over one interval, for ``top``.

Quantiles come from base-2 exponential buckets (schemas/histogram.py), so they are within 1.083 % of a value
that was seen, and memory is bounded by groups and buckets, not by events.
"""

import math
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.histogram import SCALE, estimates

LIMIT = 65_536
_BUCKET_BITS = 12
I64 = NDArray[np.int64]


class Row:
    """What one group did."""

    __slots__ = (
        "deliveries",
        "messages",
        "owner",
        "reads",
        "received_bytes",
        "retransmits",
        "rtt_us",
        "sent_bytes",
        "waits",
    )

    def __init__(self) -> None:
        self.sent_bytes = self.received_bytes = self.messages = self.reads = self.rtt_us = 0
        self.retransmits = 0
        """Bytes sent again."""
        self.owner = 0
        """Index of the process that made a call last."""
        self.deliveries: Counter[int] = Counter()
        """Of the messages it sent, by bucket."""
        self.waits: Counter[int] = Counter()
        """Of its reads, by bucket."""


class Tally:
    """Rows by group; those beyond ``LIMIT`` are counted in ``left_out``."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self.left_out = 0

    def sends(self, group: I64, sends: NDArray[Any], messages: NDArray[np.bool_]) -> None:
        """Add (n,) sends (pieces); ``messages`` are those that end a call."""
        length = sends["end"] - sends["begin"]
        for row, mine in self._groups(group):
            row.sent_bytes += int(length[mine].sum())
            row.messages += int(messages[mine].sum())
            row.rtt_us = max(row.rtt_us, int(sends["srtt_us"][mine].max()))
            row.owner = int(sends["process"][mine][-1])

    def reads(self, group: I64, reads: NDArray[Any]) -> None:
        """Add (n,) reads."""
        length = reads["end"] - reads["begin"]
        for row, mine in self._groups(group):
            row.received_bytes += int(length[mine].sum())
            row.reads += int(mine.size)
            row.rtt_us = max(row.rtt_us, int(reads["srtt_us"][mine].max()))
            row.owner = int(reads["process"][mine][-1])

    def retransmits(self, group: I64, length: I64) -> None:
        """Add (n,) segments sent again, by their bytes."""
        for row, mine in self._groups(group):
            row.retransmits += int(length[mine].sum())

    def owner(self, group: int) -> int:
        """Return the process that made a group's last call, 0 where there was none."""
        row = self.rows.get(group)
        return row.owner if row else 0

    def deliveries(self, group: I64, values: I64) -> None:
        """Add deliveries in ns; those below 0 are not known."""
        for row, bucket, times in self._buckets(group, values):
            row.deliveries[bucket] += times

    def waits(self, group: I64, values: I64) -> None:
        """Add receive waits in ns; those below 0 are not known."""
        for row, bucket, times in self._buckets(group, values):
            row.waits[bucket] += times

    def _row(self, group: int) -> Row | None:
        row = self.rows.get(group)
        if row is None and len(self.rows) < LIMIT:
            row = self.rows[group] = Row()
        if row is None:
            self.left_out += 1
        return row

    def _groups(self, group: I64) -> list[tuple[Row, NDArray[np.intp]]]:
        """Return each group's row and the places, in order, of what is its."""
        if not group.size:
            return []
        order = np.argsort(group, kind="stable")
        starts = np.flatnonzero(np.diff(group[order], prepend=group[order[0]] - 1))
        parts = zip(group[order[starts]].tolist(), np.split(order, starts[1:]), strict=True)
        found = [(self._row(one), mine) for one, mine in parts]
        return [(row, mine) for row, mine in found if row is not None]

    def _buckets(self, group: I64, values: I64) -> list[tuple[Row, int, int]]:
        known = values >= 0
        both = group[known] << _BUCKET_BITS | bucket_of(values[known])
        distinct, times = np.unique(both, return_counts=True)
        mask = (1 << _BUCKET_BITS) - 1
        found = [
            (self._row(one >> _BUCKET_BITS), one & mask, count)
            for one, count in zip(distinct.tolist(), times.tolist(), strict=True)
        ]
        return [(row, bucket, count) for row, bucket, count in found if row is not None]


def bucket_of(values: I64) -> I64:
    """Return the bucket of each of (n,) values from 0 on, shifted by one: 0 holds 0 and 1."""
    shifted: I64 = np.ceil(np.log2(np.maximum(values, 1)) * 2**SCALE).astype(np.int64)
    return shifted


def quantile(buckets: Counter[int], q: float) -> int | None:
    """Return the value of rank ceil(q·n), None of nothing."""
    rank, passed = math.ceil(q * buckets.total()), 0
    for bucket in sorted(buckets):
        passed += buckets[bucket]
        if passed >= rank:
            return round(float(estimates(np.array([bucket - 1], np.int32), SCALE)[0]))
    return None
