# SPDX-License-Identifier: Apache-2.0
"""One record of ``wirelag.latency.v1``: what stream processors read (flat JSON, key = edge).

A record is the additive part of one window that one partition contributed at one tick: add ``count``,
``seen``, ``spoiled``, ``negative``, ``sum_ns`` and the buckets of equal indices, take the least ``min_ns``
and the greatest ``max_ns``. ``record_id`` never changes for the same part, so that a re-sent record can be
dropped or upserted.
"""

import msgspec

VERSION = 1


class LatencyRecord(msgspec.Struct, frozen=True):
    """Latency of one edge and measure, in integer nanoseconds."""

    version: int
    """Schema version."""
    record_id: str
    """``topic-id/partition/tick/window/edge/measure/clock`` hashed: equal for a re-sent record."""
    window_start_ns: int
    """Start of the window (Unix epoch), by the sender's clock if one-way, else by the measuring host's."""
    window_ns: int
    """Length of the window."""
    edge: str
    """``sender@host > receiver@host``; the listening side carries its port."""
    measure: str
    """delivery, wire, receive-wait, send-block, server-turn, client-turn, network or rtt."""
    clock: str
    """``same_host``: both stamps of one clock, exact; ``one_host``: needs only one host; ``two_hosts``:
    differences of two hosts, each of its own clock."""
    count: int
    """Calls with a latency, negative ones among them."""
    seen: int
    """Calls that closed in this part, with a latency or without; of turns and network exchanges, those known
    to be missing among them."""
    sum_ns: int
    """Sum of the latencies."""
    min_ns: int
    """The least of them."""
    max_ns: int
    """The greatest of them."""
    negative: int
    """Calls whose latency came out below 0: an alarm about clocks, never left out."""
    p50_ns: int
    """Median of this part, within the buckets' relative error (2^(2^-scale) wide)."""
    p90_ns: int
    """90th percentile of this part."""
    p99_ns: int
    """99th percentile of this part."""
    scale: int
    """Buckets are base 2^(2^-scale), index as in OpenTelemetry's exponential histogram."""
    buckets: list[int]
    """Indices of the buckets that are not empty."""
    counts: list[int]
    """Calls in each of them."""
    spoiled: int = 0
    """Of turns and network: exchanges that are in ``seen`` and have no latency, since another request was on
    its way. Add it up too; turns are valid where ``count`` and ``spoiled`` are 20 or more exchanges and less
    than 1 in 200 is spoiled."""
    late: bool = False
    """Told by a later look (`wirelag rematch --publish`): it corrects a window of long ago. Counts may be
    negative, as they take back what was told before; add them up all the same. Quantiles are 0 then."""


def encode(record: LatencyRecord) -> bytes:
    """Return the record's value."""
    return msgspec.json.encode(record)
