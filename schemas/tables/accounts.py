# SPDX-License-Identifier: Apache-2.0
"""Columns of what is told of the way itself: losses, agents, and how far each partition was read."""

import pyarrow as pa

from schemas.tables.origin import ORIGIN

LEDGER = pa.schema(
    [
        *ORIGIN,
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
        *ORIGIN,
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
        pa.field("reached_ns", pa.int64()),
    ]
)
"""One partition's part of one commit: the Kafka offsets it covers and the state object of its end.

``told`` is what the matcher was told beside records, in order: ``OFFSET WORD``, before the record OFFSET.
``reached_ns`` is the broker's time up to which this process had read, null = not known.
"""
