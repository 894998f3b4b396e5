# SPDX-License-Identifier: Apache-2.0
"""Columns of what is told of connections: their ends, how they opened and closed, what was sent again."""

import pyarrow as pa

from schemas.tables.origin import ORIGIN

CONNECTION = pa.schema(
    [
        *ORIGIN,
        pa.field("connection", pa.int64()),
        pa.field("endpoint", pa.int32()),
        pa.field("host", pa.string()),
        pa.field("boot", pa.string()),
        pa.field("netns", pa.int64()),
        pa.field("role", pa.int32()),
        pa.field("family", pa.int32()),
        pa.field("local_address", pa.string()),
        pa.field("local_port", pa.int32()),
        pa.field("remote_address", pa.string()),
        pa.field("remote_port", pa.int32()),
        pa.field("pid", pa.int64()),
        pa.field("process", pa.string()),
        pa.field("label", pa.string()),
        pa.field("first_seen_ns", pa.int64()),
        pa.field("owner", pa.string()),
        pa.field("opener_pid", pa.int64()),
        pa.field("opener", pa.string()),
        pa.field("marks", pa.int32()),
    ]
)
"""One end of one connection, when a partition first hears of it; ``opener`` is the process that made it."""


CONNECT = pa.schema(
    [
        *ORIGIN,
        pa.field("connection", pa.int64()),
        pa.field("endpoint", pa.int32()),
        pa.field("host", pa.string()),
        pa.field("edge", pa.string()),
        pa.field("pid", pa.int64()),
        pa.field("process", pa.string()),
        pa.field("remote_address", pa.string()),
        pa.field("remote_port", pa.int32()),
        pa.field("at_ns", pa.int64()),
        pa.field("duration_ns", pa.int64()),
        pa.field("error", pa.int32()),
        pa.field("failed", pa.bool_()),
        pa.field("retransmits", pa.int64()),
    ]
)
"""One attempt to open a connection, by its opener; ``duration_ns`` is SYN to decision."""


CLOSE = pa.schema(
    [
        *ORIGIN,
        pa.field("connection", pa.int64()),
        pa.field("endpoint", pa.int32()),
        pa.field("host", pa.string()),
        pa.field("edge", pa.string()),
        pa.field("at_ns", pa.int64()),
        pa.field("duration_ns", pa.int64()),
        pa.field("sent_bytes", pa.int64()),
        pa.field("received_bytes", pa.int64()),
        pa.field("unread_bytes", pa.int64()),
        pa.field("missing_sent", pa.int64()),
        pa.field("missing_received", pa.int64()),
        pa.field("retransmitted_bytes", pa.int64()),
        pa.field("retransmits", pa.int64()),
        pa.field("sent_segments", pa.int64()),
        pa.field("received_segments", pa.int64()),
        pa.field("min_rtt_us", pa.int64()),
        pa.field("srtt_us", pa.int64()),
        pa.field("audit", pa.string()),
        pa.field("marks", pa.int32()),
        pa.field("flags", pa.int32()),
    ]
)
"""One end's account of one connection that is over; ``audit`` is complete, partial, blind or sampled."""


RETRANSMIT = pa.schema(
    [
        *ORIGIN,
        pa.field("connection", pa.int64()),
        pa.field("direction", pa.int32()),
        pa.field("host", pa.string()),
        pa.field("edge", pa.string()),
        pa.field("at_ns", pa.int64()),
        pa.field("begin", pa.int64()),
        pa.field("end", pa.int64()),
        pa.field("srtt_us", pa.int64()),
    ]
)
"""One segment sent again: bytes [begin, end) of the direction."""
