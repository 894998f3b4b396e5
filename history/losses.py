# SPDX-License-Identifier: Apache-2.0
"""The ledger of a span by host, stage and reason: what was attempted, what arrived, why the rest did not."""

from typing import Any

from history.completeness import COUNTED, whole
from history.source import Source
from history.span import Span

WAY = frozenset({"attempted", "delivered", "stored", "duplicate", "earlier", "sampled"})
"""Reasons that are no losses."""
COLUMNS = ("host", "stage", "reason", "events")
_SUMS = """
WITH {counted}, loss AS (
    SELECT host, stage, reason, events FROM counted UNION ALL
    SELECT host, 'agent', 'unaccounted', events FROM unaccounted UNION ALL
    SELECT host, 'agent', 'unknown', NULL FROM unended)
SELECT host, stage, reason, sum(events)::BIGINT AS events FROM loss WHERE $host = '' OR host = $host
GROUP BY host, stage, reason HAVING sum(events) <> 0 OR sum(events) IS NULL
ORDER BY host, stage, reason"""


def losses(source: Source, span: Span, *, host: str = "") -> list[dict[str, Any]]:
    """Return a dict of COLUMNS for each host, stage and reason whose events do not add up to 0.

    ``agent``/``unknown`` of None events: a run ended without a good-bye, and what it saw last is in no count.
    """
    wide = whole(source, span)
    with source.engine({"ledger": wide.ledger, "agent": wide.agent}) as engine:
        return engine.rows(_SUMS.format(counted=COUNTED), wide.parameters(span) | {"host": host})
