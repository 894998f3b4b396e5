# SPDX-License-Identifier: Apache-2.0
"""Ends of connections that were first heard of within a span: who talks to whom, and from when on."""

from collections.abc import Iterator
from typing import Any

from history.messages import name
from history.source import Source
from history.span import Span

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
)
_ROLES = {1: "opened", 2: "accepted"}
_ENDS = """
SELECT first_seen_ns, connection, host, process, pid, label, role, local_address, local_port, remote_address,
    remote_port, owner
FROM connection
WHERE first_seen_ns >= $from_ns AND first_seen_ns < $to_ns AND ($host = '' OR host = $host)
    AND ($port = 0 OR local_port = $port OR remote_port = $port)
ORDER BY first_seen_ns, connection, endpoint"""


def connections(source: Source, span: Span, *, host: str = "", port: int = 0) -> Iterator[dict[str, Any]]:
    """Yield a dict of COLUMNS for each end, in the order first heard; ``port`` of either side, 0 is any."""
    parameters = {"from_ns": span.from_ns, "to_ns": span.to_ns, "host": host, "port": port}
    with source.engine({"connection": span}) as engine:
        for batch in engine.batches(_ENDS, parameters):
            for row in batch.to_pylist():
                row["connection"] = name(row["connection"])
                row["role"] = _ROLES.get(row["role"], "unknown")
                yield row
