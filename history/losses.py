# SPDX-License-Identifier: Apache-2.0
"""The ledger of a span by host, stage and reason: what was attempted, what arrived, why the rest did not."""

from typing import Any

from history.source import Source
from history.span import Span

COLUMNS = ("host", "stage", "reason", "events")
_SUMS = """
SELECT host, stage, reason, sum(events)::BIGINT AS events FROM ledger
WHERE at_ns >= $from_ns AND at_ns < $to_ns AND ($host = '' OR host = $host)
GROUP BY host, stage, reason HAVING sum(events) <> 0
ORDER BY host, stage, reason"""


def losses(source: Source, span: Span, *, host: str = "") -> list[dict[str, Any]]:
    """Return a dict of COLUMNS for each host, stage and reason whose events do not add up to 0."""
    parameters = {"from_ns": span.from_ns, "to_ns": span.to_ns, "host": host}
    with source.engine({"ledger": span}) as engine:
        return engine.rows(_SUMS, parameters)
