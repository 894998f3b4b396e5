# SPDX-License-Identifier: Apache-2.0
"""Rows of the lake with known contents, for tests of what is answered from them."""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from history.source import Source
from lake.facts import Facts, PartitionCommit
from schemas.tables import KINDS

HOUR_NS = 3600 * 10**9
START = 1_760_000_400_000_000_000
"""A whole minute, 09:00:00 UTC on 2025-10-09."""
TIME_COLUMN = {
    "match": "sent_at_ns",
    "unmatched": "time_ns",
    "histogram": "window_start_ns",
    "connection": "first_seen_ns",
    "ledger": "at_ns",
    "agent": "heard_ns",
    "connect": "at_ns",
    "close": "at_ns",
    "retransmit": "at_ns",
    "rollup": "window_start_ns",
    "exemplar": "window_start_ns",
    "clock_solution": "window_start_ns",
    "reading": "at_ns",
}
Rows = dict[str, Sequence[dict[str, Any]]]
Write = Callable[..., Source]


def table(kind: str, rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Return rows as the columns of a kind; what a row does not say is null."""
    filled = [{field.name: row.get(field.name) for field in KINDS[kind]} for row in rows]
    hours = np.array([row[TIME_COLUMN[kind]] // HOUR_NS for row in rows], dtype=np.int64)
    return pa.Table.from_pylist(filled, schema=KINDS[kind]).append_column("hour_index", pa.array(hours))


def histogram(values: Sequence[int], **changes: Any) -> dict[str, Any]:
    """Return a histogram row that holds these values; its buckets are computed from their definition."""
    indices = [int(np.ceil(np.log2(value) * 32)) - 1 for value in values if value > 0]
    buckets, counts = np.unique(indices, return_counts=True)
    row = {
        "topic_partition": 0,
        "tick": 1,
        "window_start_ns": START,
        "window_ns": 60 * 10**9,
        "edge": "client@alpha > server@beta:80",
        "sender_host": "alpha",
        "receiver_host": "beta",
        "measure": "delivery",
        "clock": "same_host",
        "n": len(values),
        "seen": len(values),
        "negative": sum(value < 0 for value in values),
        "sum_ns": sum(values),
        "min_ns": min(values, default=None),
        "max_ns": max(values, default=None),
        "scale": 5,
        "buckets": buckets.tolist(),
        "counts": counts.tolist(),
    }
    return row | changes


def rollup(values: Sequence[int], **changes: Any) -> dict[str, Any]:
    """Return a row of a minute that was rolled up; without values it tells of messages without a clock."""
    row = histogram(values, clock="bounded" if values else "unsynced")
    return row | {"clock_bound_ns": 5_000 if values else None, "spoiled": None, "keep": None} | changes


def match(number: int, **changes: Any) -> dict[str, Any]:
    """Return one matched message, ``number`` microseconds after START."""
    row = {
        "topic_partition": 0,
        "tick": 1,
        "connection": 0xC0FFEE,
        "direction": 0,
        "edge": "client@alpha > server@beta:80",
        "sender_host": "alpha",
        "sender_process": "client",
        "sender_pid": 11,
        "sender_address": "10.0.0.1",
        "sender_port": 40_000,
        "receiver_host": "beta",
        "receiver_process": "server",
        "receiver_pid": 22,
        "receiver_address": "10.0.0.2",
        "receiver_port": 80,
        "begin": number * 64,
        "end": number * 64 + 64,
        "sent_at_ns": START + number * 1000,
        "send_block_ns": 4_000,
        "delivery_ns": 38_000 + number,
        "wire_ns": 20_000,
        "receive_wait_ns": 18_000,
        "clock": "same_host",
        "last_piece": True,
        "flags": 3,
    }
    return row | changes


def unmatched(number: int, **changes: Any) -> dict[str, Any]:
    """Return one message of 64 bytes, ``number`` microseconds after START, that nobody read."""
    row = {"topic_partition": 0, "tick": 1, "connection": 0xC0FFEE, "direction": 0, "side": "send"}
    row |= {"host": "alpha", "peer_host": "beta", "edge": "client@alpha > server@beta:80", "flags": 3}
    row |= {"begin": number * 64, "end": number * 64 + 64, "time_ns": START + number * 1000}
    return row | {"reason": "unread", "weight": None} | changes


def connect(number: int, **changes: Any) -> dict[str, Any]:
    """Return one attempt that was established, ``number`` microseconds after START."""
    row = {"topic_partition": 0, "tick": 1, "connection": 0xC0FFEE, "endpoint": 0, "host": "alpha"}
    row |= {"edge": "client@alpha > server@beta:80", "pid": 11, "process": "client"}
    row |= {"remote_address": "10.0.0.2", "remote_port": 80, "at_ns": START + number * 1000}
    return row | {"duration_ns": 70_000, "error": 0, "failed": False, "retransmits": 0} | changes


def close(number: int, **changes: Any) -> dict[str, Any]:
    """Return the client's account of a connection (its hash is ``number``) that sent 1000 and read 500."""
    row = {"topic_partition": 0, "tick": 1, "connection": number, "endpoint": 0, "host": "alpha"}
    row |= {"edge": "client@alpha > server@beta:80", "at_ns": START, "duration_ns": 9_000_000}
    row |= {"sent_bytes": 1_000, "received_bytes": 500, "unread_bytes": 0, "missing_sent": 0}
    row |= {"missing_received": 0, "retransmitted_bytes": 0, "retransmits": 0, "sent_segments": 9}
    row |= {"received_segments": 8, "min_rtt_us": 60, "srtt_us": 70, "audit": "complete"}
    return row | {"marks": 0, "flags": 0} | changes


def peer_close(number: int, **changes: Any) -> dict[str, Any]:
    """Return the server's account of the same."""
    other = {"endpoint": 1, "host": "beta", "edge": "server@beta:80 > client@alpha"}
    return close(number, sent_bytes=500, received_bytes=1_000) | other | changes


def retransmit(number: int, **changes: Any) -> dict[str, Any]:
    """Return a segment of 100 bytes that the client sent again."""
    row = {"topic_partition": 0, "tick": 1, "connection": 1, "direction": 0, "host": "alpha"}
    row |= {"edge": "client@alpha > server@beta:80", "at_ns": START + number * 1000, "srtt_us": 70}
    return row | {"begin": 100 * number, "end": 100 * number + 100} | changes


def ledger(
    host: str, stage: str, reason: str, events: int, at_ns: int = START, epoch: int = START
) -> dict[str, Any]:
    """Return one ledger row."""
    row = {"topic_partition": 0, "tick": 1, "host": host, "boot": "b", "epoch": epoch, "at_ns": at_ns}
    return row | {"stage": stage, "reason": reason, "events": events}


def agent(host: str, heard_ns: int, **changes: Any) -> dict[str, Any]:
    """Return how an agent stood that began at START and traces all."""
    row = {"topic_partition": 0, "tick": 1, "host": host, "boot": "b", "epoch": START, "at_ns": heard_ns}
    row |= {"heard_ns": heard_ns, "agent_state": "tracing", "why": "", "order_number": 0}
    row |= {"connection_rate": 65_536, "block_rate": 65_536, "rate_changes": 0, "agent_version": "1.0"}
    row |= {"config": "c0ffee", "kernel": "6.12.1", "backend": "raw", "undelivered_ns": 0}
    return row | {"spool_records": 0, "spool_bytes": 0, "spool_oldest_ns": 0, "final": False} | changes


def nothing_lost() -> list[dict[str, Any]]:
    """Return ledger rows of two hosts that lost nothing."""
    return [ledger(host, *what, 1000) for host in ("alpha", "beta") for what in _WAY]


_WAY = (("kernel", "attempted"), ("kafka", "delivered"), ("consumer", "stored"))


def writer(lake: Path) -> Write:
    """Return what commits rows by kind to a lake, and returns it as questions see it."""
    committed = itertools.count()

    def commit(**rows: Sequence[dict[str, Any]]) -> Source:
        facts = Facts.open(str(lake))
        facts.resume("topic-id", 0)
        offset = next(committed)
        part = PartitionCommit(
            topic="wirelag.events.v1",
            topic_id="topic-id",
            partition=0,
            from_offset=offset,
            to_offset=offset + 1,
            state=b"state",
            flushed=False,
            rows={kind: table(kind, found) for kind, found in rows.items() if found},
        )
        facts.commit([part])
        return Source(str(lake))

    return commit
