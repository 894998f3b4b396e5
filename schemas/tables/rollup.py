# SPDX-License-Identifier: Apache-2.0
"""Columns of what the roll-up makes of closed windows: histograms for good, and the slowest messages."""

import pyarrow as pa

ROLLUP = pa.schema(
    [
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
        pa.field("clock_bound_ns", pa.int64()),
    ]
)
"""The whole of one (window, edge, hosts, measure, clock, keep), ``window_ns`` being a minute, hour or day.

``clock`` is a word of schemas/clock.py: same_host, one_host, two_hosts (network time), bounded (corrected:
each value is right within ``clock_bound_ns``) or unsynced (``seen`` counts messages that have no value, for
want of a common clock).
"""

EXEMPLAR = pa.schema(
    [
        pa.field("window_start_ns", pa.int64()),
        pa.field("window_ns", pa.int64()),
        pa.field("edge", pa.string()),
        pa.field("sender_host", pa.string()),
        pa.field("sender_process", pa.string()),
        pa.field("sender_pid", pa.int64()),
        pa.field("receiver_host", pa.string()),
        pa.field("receiver_process", pa.string()),
        pa.field("receiver_pid", pa.int64()),
        pa.field("connection", pa.int64()),
        pa.field("direction", pa.int32()),
        pa.field("begin", pa.int64()),
        pa.field("end", pa.int64()),
        pa.field("sent_at_ns", pa.int64()),
        pa.field("send_block_ns", pa.int64()),
        pa.field("delivery_ns", pa.int64()),
        pa.field("wire_ns", pa.int64()),
        pa.field("receive_wait_ns", pa.int64()),
        pa.field("clock", pa.string()),
        pa.field("clock_bound_ns", pa.int64()),
        pa.field("flags", pa.int32()),
    ]
)
"""One of the slowest messages of a (window, edge, hosts), by delivery, with its corrected latencies."""

SLOWEST_KEPT = 4
"""Messages of an edge and two hosts that are kept for being slow, of a tick and of a window."""
