# SPDX-License-Identifier: Apache-2.0
"""Ends of connections that were first heard of within a span: who talks to whom, and what became of it.

An end is ``closed`` where its account was heard since, ``failed`` where no connection came of it, else
``open``: also where its agent ended before it, or sampled its account out. An end that was silent for longer
than the horizon is heard of anew; the first time in the span counts.
"""

from collections.abc import Iterator
from typing import Any

from common.units import HOUR_NS
from history.messages import name
from history.source import Source
from history.span import Span
from schemas.batch import Mark
from schemas.event import Flag

COLUMNS = (
    "first_seen_ns",
    "connection",
    "host",
    "process",
    "pid",
    "label",
    "role",
    "local_address",
    "local_port",
    "remote_address",
    "remote_port",
    "owner",
    "opener_pid",
    "opener",
    "marks",
    "state",
    "closed_at_ns",
    "duration_ns",
    "sent_bytes",
    "received_bytes",
    "retransmits",
    "min_rtt_us",
    "audit",
)
_ROLES = {1: "opened", 2: "accepted"}
_ENDS = """
WITH first AS (
    SELECT * FROM connection WHERE first_seen_ns >= $from_ns AND first_seen_ns < $to_ns
        AND ($host = '' OR host = $host) AND ($port = 0 OR local_port = $port OR remote_port = $port)
    QUALIFY row_number() OVER (PARTITION BY connection, endpoint, host ORDER BY first_seen_ns, tick) = 1),
account AS (
    SELECT * FROM close QUALIFY row_number() OVER (PARTITION BY connection, endpoint, host
        ORDER BY at_ns DESC, missing_sent + missing_received, topic_partition, tick) = 1),
failure AS (SELECT DISTINCT connection, endpoint, host FROM connect WHERE failed)
SELECT first.first_seen_ns, first.connection, first.host, first.process, first.pid, first.label, first.role,
    first.local_address, first.local_port, first.remote_address, first.remote_port, first.owner,
    first.opener_pid, first.opener, coalesce(account.marks, first.marks, 0) AS marks,
    CASE WHEN account.flags & $open = 0 THEN 'closed' WHEN failure.connection IS NOT NULL THEN 'failed'
        ELSE 'open' END AS state,
    CASE WHEN account.flags & $open = 0 THEN account.at_ns END AS closed_at_ns,
    CASE WHEN account.flags & $older = 0 THEN account.duration_ns END AS duration_ns,
    account.sent_bytes, account.received_bytes, account.retransmits,
    nullif(account.min_rtt_us, 0) AS min_rtt_us, account.audit
FROM first LEFT JOIN account USING (connection, endpoint, host)
LEFT JOIN failure USING (connection, endpoint, host)
ORDER BY first.first_seen_ns, first.connection, first.endpoint"""
_LAST_NS = 2**63 - 1
_HANDSHAKE_NS = HOUR_NS
"""An attempt is told with the time of its first SYN; longer than this none is tried."""


def connections(source: Source, span: Span, *, host: str = "", port: int = 0) -> Iterator[dict[str, Any]]:
    """Yield a dict of COLUMNS for each end, in the order first heard; ``port`` of either side, 0 is any."""
    parameters: dict[str, object] = {"from_ns": span.from_ns, "to_ns": span.to_ns, "host": host, "port": port}
    parameters |= {"older": int(Flag.OLDER), "open": int(Flag.OPEN)}
    since = {
        "close": Span(span.from_ns, _LAST_NS),
        "connect": Span(max(0, span.from_ns - _HANDSHAKE_NS), _LAST_NS),
    }
    with source.engine({"connection": span, **since}) as engine:
        for batch in engine.batches(_ENDS, parameters):
            for row in batch.to_pylist():
                row["connection"] = name(row["connection"])
                row["role"] = _ROLES.get(row["role"], "unknown")
                row["marks"] = " ".join(mark.name or "" for mark in Mark if row["marks"] & mark)
                yield row
