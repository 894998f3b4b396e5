# SPDX-License-Identifier: Apache-2.0
"""Histogram rows as records of the latency topic: the same row gives the same record, id included."""

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from consumer.publish.message import Outgoing
from schemas.histogram import Histogram, quantile
from schemas.latency import VERSION, LatencyRecord, encode

_QUANTILES = (0.50, 0.90, 0.99)


def outgoing(topic: str, topic_id: str, rows: pa.Table, *, late: bool = False) -> Iterator[Outgoing]:
    """Yield one record for each histogram row; of those of a later look ``topic_id`` names the lake."""
    for row in rows.to_pylist():
        yield Outgoing(topic, row["edge"].encode(), encode(record(topic_id, row, late=late)))


def record(topic_id: str, row: dict[str, Any], *, late: bool = False) -> LatencyRecord:
    """Return what is published of one histogram row."""
    p50, p90, p99 = _quantiles(row)
    return LatencyRecord(
        version=VERSION,
        record_id=record_id(topic_id, row),
        window_start_ns=row["window_start_ns"],
        window_ns=row["window_ns"],
        edge=row["edge"],
        measure=row["measure"],
        clock=row["clock"],
        count=row["n"],
        seen=row["seen"],
        sum_ns=row["sum_ns"],
        min_ns=row["min_ns"] or 0,
        max_ns=row["max_ns"] or 0,
        negative=row["negative"],
        p50_ns=p50,
        p90_ns=p90,
        p99_ns=p99,
        scale=row["scale"],
        buckets=row["buckets"],
        counts=row["counts"],
        spoiled=row.get("spoiled") or 0,  # rows that an earlier version left to be sent lack it
        late=late,
    )


def _quantiles(row: dict[str, Any]) -> list[int]:
    """Return the published quantiles, 0 where the part has no latency at all, or takes some back."""
    if row["n"] <= 0 or min(row["counts"], default=0) < 0:
        return [0] * len(_QUANTILES)
    histogram = Histogram(
        scale=row["scale"],
        buckets=np.array(row["buckets"], dtype=np.int32),
        counts=np.array(row["counts"], dtype=np.int64),
        n=row["n"],
        negative=row["negative"],
        total=row["sum_ns"],
        least=row["min_ns"],
        greatest=row["max_ns"],
    )
    return [round(quantile(histogram, q)) for q in _QUANTILES]


def record_id(topic_id: str, row: dict[str, Any]) -> str:
    """Return the id of a row's record: made of what tells it from every other row."""
    named = ("topic_partition", "tick", "window_start_ns", "edge", "measure", "clock")
    names = [*named, "sender_host", "receiver_host", *(["keep"] if row.get("keep") is not None else [])]
    told = "/".join([topic_id, *(str(row[name]) for name in names)])
    return hashlib.blake2b(told.encode(), digest_size=16).hexdigest()
