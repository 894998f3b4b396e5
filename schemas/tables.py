# SPDX-License-Identifier: Apache-2.0
"""Columns of the lake's one table ``facts``, by kind. Only this file of the package needs pyarrow.

Every kind's files hold the columns listed for it and three to partition by: ``kind``, ``date``, ``hour``.
64-bit hashes are stored as signed integers of the same bits, as Delta has no unsigned type.
"""

import pyarrow as pa

PARTITION_COLUMNS = ("kind", "date", "hour")

_ORIGIN = [pa.field("topic_partition", pa.int32()), pa.field("tick", pa.int64())]
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
        *_ORIGIN,
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
    ]
)
"""One matched send, or piece of one. Without an arrival ``wire_ns`` and ``receive_wait_ns`` are null."""

HISTOGRAM = pa.schema(
    [
        *_ORIGIN,
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
    ]
)
"""One additive part of a (window, edge, measure): all rows of a window sum up to it."""

CONNECTION = pa.schema(
    [
        *_ORIGIN,
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

UNMATCHED = pa.schema(
    [
        *_ORIGIN,
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
        pa.field("arrival_ends", pa.list_(pa.int64())),
        pa.field("arrival_times", pa.list_(pa.int64())),
        pa.field("arrival_flags", pa.list_(pa.int32())),
    ]
)
"""One interval (``side`` = send or receive) that closed without its other end: [begin, end) is open.

Rows add up by ``weight`` (null = 1): one of -1 takes back one that is alike in connection, direction, side,
range and ``monotonic_ns``. ``arrival_*`` are what messages that end in a receive's range could take."""

LEDGER = pa.schema(
    [
        *_ORIGIN,
        pa.field("host", pa.string()),
        pa.field("boot", pa.string()),
        pa.field("epoch", pa.int64()),
        pa.field("at_ns", pa.int64()),
        pa.field("stage", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("events", pa.int64()),
    ]
)
"""Events that reached (``attempted``, ``delivered``, ``stored``) or left the way at a stage; rows add up."""

AGENT = pa.schema(
    [
        *_ORIGIN,
        pa.field("host", pa.string()),
        pa.field("boot", pa.string()),
        pa.field("epoch", pa.int64()),
        pa.field("at_ns", pa.int64()),
        pa.field("heard_ns", pa.int64()),
        pa.field("agent_state", pa.string()),
        pa.field("why", pa.string()),
        pa.field("order_number", pa.int64()),
        pa.field("connection_rate", pa.int32()),
        pa.field("block_rate", pa.int32()),
        pa.field("rate_changes", pa.int64()),
        pa.field("agent_version", pa.string()),
        pa.field("config", pa.string()),
        pa.field("kernel", pa.string()),
        pa.field("backend", pa.string()),
        pa.field("undelivered_ns", pa.int64()),
        pa.field("spool_records", pa.int64()),
        pa.field("spool_bytes", pa.int64()),
        pa.field("spool_oldest_ns", pa.int64()),
        pa.field("final", pa.bool_()),
    ]
)
"""How one agent run stood at a heartbeat: ``at_ns`` by its own clock, ``heard_ns`` by the broker's."""

CONNECT = pa.schema(
    [
        *_ORIGIN,
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
        *_ORIGIN,
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
        *_ORIGIN,
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

PROGRESS = pa.schema(
    [
        pa.field("topic", pa.string()),
        pa.field("topic_id", pa.string()),
        pa.field("topic_partition", pa.int32()),
        pa.field("from_offset", pa.int64()),
        pa.field("to_offset", pa.int64()),
        pa.field("flushed", pa.bool_()),
        pa.field("state", pa.string()),
        pa.field("committed_at_ns", pa.int64()),
        pa.field("told", pa.list_(pa.string())),
    ]
)
"""One partition's part of one commit: the Kafka offsets it covers and the state object of its end.

``told`` is what the matcher was told beside records, in order: ``OFFSET WORD``, before the record OFFSET.
"""

KINDS: dict[str, pa.Schema] = {
    "match": MATCH,
    "histogram": HISTOGRAM,
    "connection": CONNECTION,
    "unmatched": UNMATCHED,
    "ledger": LEDGER,
    "agent": AGENT,
    "connect": CONNECT,
    "close": CLOSE,
    "retransmit": RETRANSMIT,
    "progress": PROGRESS,
}


LATE = 1 << 30
"""In the ``flags`` of a match: found by a later look at what was unmatched (consumer/late)."""

GREW = frozenset({"connection", "unmatched", "progress"})
"""Kinds that got columns, at their end, since their first version: files from before lack them (null)."""


def facts_schema() -> pa.Schema:
    """Return the table's schema: the partition columns and the union of all kinds' columns."""
    fields = {
        "kind": pa.field("kind", pa.string()),
        "date": pa.field("date", pa.string()),
        "hour": pa.field("hour", pa.int32()),
    }
    for schema in KINDS.values():
        for field in schema:
            known = fields.setdefault(field.name, field)
            if known.type != field.type:
                message = f"column {field.name} is {known.type} in one kind and {field.type} in another"
                raise TypeError(message)
    return pa.schema(list(fields.values()))
