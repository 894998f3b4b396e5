# SPDX-License-Identifier: Apache-2.0
"""One record of ``wirelag.latency.v1``: what stream processors read (flat JSON, key = edge).

A record is the additive part of one window that one partition contributed at one tick: add ``count``, ``sum_ns`` and
the buckets of equal indices, take the least ``min_ns`` and the greatest ``max_ns``. ``record_id`` never changes for
the same part, so that a re-sent record can be dropped or upserted.
"""

import msgspec

VERSION = 1


class LatencyRecord(msgspec.Struct, frozen=True):
    """Latency of one edge and measure, in integer nanoseconds."""

    version: int
    record_id: str
    """``topic-id/partition/tick/window/edge/measure/clock`` hashed: equal for a re-sent record."""
    window_start_ns: int
    """Start of the window (Unix epoch), by the sender's clock for one-way measures, else by the measuring host's."""
    window_ns: int
    edge: str
    """``sender@host > receiver@host``; the listening side carries its port."""
    measure: str
    """delivery, wire, receive-wait or send-block."""
    clock: str
    """``same_host``: both stamps of one clock, exact; ``one_host``: needs only one host."""
    count: int
    seen: int
    """Calls that closed in this part, with a latency or without."""
    sum_ns: int
    min_ns: int
    max_ns: int
    negative: int
    p50_ns: int
    p90_ns: int
    p99_ns: int
    scale: int
    """Buckets are base 2^(2^-scale), index as in OpenTelemetry's exponential histogram."""
    buckets: list[int]
    counts: list[int]


def encode(record: LatencyRecord) -> bytes:
    """Return the record's value."""
    return msgspec.json.encode(record)
