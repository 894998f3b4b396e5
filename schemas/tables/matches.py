# SPDX-License-Identifier: Apache-2.0
"""Columns of what matching gives: matches, what found no other end, histograms."""

import pyarrow as pa

from schemas.tables.origin import ORIGIN

_END = [
    pa.field("{}_host", pa.string()),
    pa.field("{}_process", pa.string()),
    pa.field("{}_pid", pa.int64()),
    pa.field("{}_address", pa.string()),
    pa.field("{}_port", pa.int32()),
]


def _end(side: str) -> list[pa.Field]:
    return [pa.field(field.name.format(side), field.type) for field in _END]


MATCH = pa.schema(
    [
        *ORIGIN,
        pa.field("connection", pa.int64()),
        pa.field("direction", pa.int32()),
        pa.field("edge", pa.string()),
        *_end("sender"),
        *_end("receiver"),
        pa.field("begin", pa.int64()),
        pa.field("end", pa.int64()),
        pa.field("sent_at_ns", pa.int64()),
        pa.field("send_block_ns", pa.int64()),
        pa.field("delivery_ns", pa.int64()),
        pa.field("wire_ns", pa.int64()),
        pa.field("receive_wait_ns", pa.int64()),
        pa.field("clock", pa.string()),
        pa.field("last_piece", pa.bool_()),
        pa.field("flags", pa.int32()),
        pa.field("sender_boot", pa.string()),
        pa.field("receiver_boot", pa.string()),
        pa.field("sent_monotonic_ns", pa.int64()),
        pa.field("received_monotonic_ns", pa.int64()),
        pa.field("keep", pa.float64()),
    ]
)
"""One matched send, or piece of one. Without an arrival ``wire_ns`` and ``receive_wait_ns`` are null.

Boots and CLOCK_MONOTONIC (the send's start, the end of the read) are told where the ends do not share one
clock, null elsewhere. ``keep`` is the chance that sampling, at the hosts and here, had to keep it; null = 1.
"""


HISTOGRAM = pa.schema(
    [
        *ORIGIN,
        pa.field("window_start_ns", pa.int64()),
        pa.field("window_ns", pa.int64()),
        pa.field("edge", pa.string()),
        pa.field("sender_host", pa.string()),
        pa.field("receiver_host", pa.string()),
        pa.field("measure", pa.string()),
        pa.field("clock", pa.string()),
        pa.field("n", pa.int64()),
        pa.field("seen", pa.int64()),
        pa.field("negative", pa.int64()),
        pa.field("sum_ns", pa.int64()),
        pa.field("min_ns", pa.int64()),
        pa.field("max_ns", pa.int64()),
        pa.field("scale", pa.int32()),
        pa.field("buckets", pa.list_(pa.int32())),
        pa.field("counts", pa.list_(pa.int64())),
        pa.field("spoiled", pa.int64()),
        pa.field("keep", pa.float64()),
    ]
)
"""One additive part of a (window, edge, measure, clock, keep): all rows of a window sum up to it.

``spoiled`` of the turns (and network time): exchanges told, left out of ``n`` since another request was on
its way; null for other measures. ``seen`` - ``n`` - ``spoiled`` are known to be missing. ``keep`` as in a
match.
"""


_END = [
    pa.field("boot", pa.string()),
    pa.field("peer_host", pa.string()),
    pa.field("pid", pa.int64()),
    pa.field("process", pa.string()),
    pa.field("label", pa.string()),
    pa.field("role", pa.int32()),
    pa.field("local_address", pa.string()),
    pa.field("local_port", pa.int32()),
    pa.field("remote_address", pa.string()),
    pa.field("remote_port", pa.int32()),
]
"""Which end of a connection a one-sided row is of."""

UNMATCHED = pa.schema(
    [
        *ORIGIN,
        pa.field("connection", pa.int64()),
        pa.field("direction", pa.int32()),
        pa.field("side", pa.string()),
        pa.field("host", pa.string()),
        pa.field("edge", pa.string()),
        pa.field("begin", pa.int64()),
        pa.field("end", pa.int64()),
        pa.field("time_ns", pa.int64()),
        pa.field("reason", pa.string()),
        pa.field("weight", pa.int32()),
        pa.field("monotonic_ns", pa.int64()),
        pa.field("duration_ns", pa.int64()),
        pa.field("flags", pa.int32()),
        pa.field("seen", pa.int64()),
        pa.field("clock", pa.string()),
        *_END,
        pa.field("arrival_ends", pa.list_(pa.int64())),
        pa.field("arrival_times", pa.list_(pa.int64())),
        pa.field("arrival_flags", pa.list_(pa.int32())),
        pa.field("connection_rate", pa.int32()),
        pa.field("block_rate", pa.int32()),
    ]
)
"""One interval (``side`` = send or receive) that closed without its other end: [begin, end) is open.

Rows add up by ``weight`` (null = 1): one of -1 takes back one that is alike in connection, direction, side,
range and ``monotonic_ns``. ``arrival_*`` are what messages that end in a receive's range could take. Rates
are those that the event was kept by, null where all were.
"""


EXCHANGE = pa.schema(
    [
        *ORIGIN,
        pa.field("connection", pa.int64()),
        pa.field("direction", pa.int32()),
        pa.field("side", pa.string()),
        pa.field("host", pa.string()),
        pa.field("edge", pa.string()),
        pa.field("request_end", pa.int64()),
        pa.field("response_begin", pa.int64()),
        pa.field("time_ns", pa.int64()),
        pa.field("turn_ns", pa.int64()),
        pa.field("marks", pa.int32()),
        pa.field("seen", pa.int64()),
        pa.field("weight", pa.int32()),
        pa.field("monotonic_ns", pa.int64()),
        *_END,
        pa.field("connection_rate", pa.int32()),
        pa.field("block_rate", pa.int32()),
    ]
)
"""One end's word (``side`` = client or server) for an exchange of which the other end's did not come in time.

``direction`` is that of the request; the two positions and the connection name the exchange. ``seen`` says
what was counted of it under ``edge`` in the same tick: of a client's word that network time is missing, of a
server's its turn. ``marks`` are those of consumer/latency/turns/tables.py; rows add up by ``weight`` as in
``UNMATCHED``.
"""


SLOWEST = 1 << 29
"""In the ``flags`` of a match: one of the slowest, here beside the sample: it counts for nothing."""
LATE = 1 << 30
"""In the ``flags`` of a match: found by a later look at what was unmatched (consumer/late)."""
