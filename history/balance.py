# SPDX-License-Identifier: Apache-2.0
"""The loss equation by host, or by host and time: every event that hooks attempted is somewhere.

attempted = sampled + earlier + stored + lost + unaccounted + in flight - ahead

*In flight* is what is neither stored nor lost of runs that may still deliver it: it is carried from line to
line within a host. *Ahead* is the other sign: stored, and not told of by a heartbeat yet. Lines of a host add
up to its line over all the time, except for these two, which are as of the line's end.
"""

from typing import Any

from common.units import HOUR_NS, MINUTE_NS
from history.completeness import COUNTED, whole
from history.errors import QuestionError
from history.source import Source
from history.span import Span, iso

BUCKETS = {"host": 2**62, "minute": MINUTE_NS, "hour": HOUR_NS}
"""Nanoseconds of a line; all the time is one for ``host``."""
COLUMNS = (
    *("host", "attempted", "sampled", "earlier", "stored", "lost", "unaccounted", "in_flight", "ahead"),
    *("duplicates", "complete"),
)
_LINES = """
WITH {counted}, way AS (
    SELECT host, boot, epoch, at_ns - at_ns % $bucket AS bucket,
        coalesce(sum(events) FILTER (stage = 'kernel' AND reason = 'attempted'), 0) AS attempted,
        coalesce(sum(events) FILTER (stage = 'kernel' AND reason = 'sampled'), 0) AS sampled,
        coalesce(sum(events) FILTER (reason = 'earlier'), 0) AS earlier,
        coalesce(sum(events) FILTER (reason = 'stored'), 0) AS stored,
        coalesce(sum(events) FILTER (reason = 'duplicate'), 0) AS duplicates,
        coalesce(sum(events) FILTER (part = 'agent'), 0) AS of_agent,
        coalesce(sum(events) FILTER (part = 'consumer'), 0) AS of_consumer,
        coalesce(sum(events) FILTER (part = 'delivery'), 0) AS of_delivery
    FROM counted WHERE host <> '' AND ($host = '' OR host = $host) GROUP BY host, boot, epoch, bucket),
so_far AS (
    SELECT *, sum(of_agent) OVER run_so_far
        + greatest(0, sum(of_consumer) OVER run_so_far, sum(of_delivery) OVER run_so_far) AS lost_so_far
    FROM way WINDOW run_so_far AS (PARTITION BY host, boot, epoch ORDER BY bucket)),
each AS (
    SELECT *, lost_so_far - coalesce(lag(lost_so_far)
        OVER (PARTITION BY host, boot, epoch ORDER BY bucket), 0) AS lost FROM so_far),
line AS (
    SELECT host, bucket, sum(attempted) AS attempted, sum(sampled) AS sampled, sum(earlier) AS earlier,
        sum(stored) AS stored, sum(duplicates) AS duplicates, sum(lost) AS lost
    FROM each GROUP BY host, bucket),
gone AS (
    SELECT host, last_ns - last_ns % $bucket AS bucket, sum(events) AS unaccounted
    FROM missing WHERE NOT waiting GROUP BY host, bucket),
told_of AS (
    SELECT line.*, coalesce(unaccounted, 0) AS unaccounted FROM line LEFT JOIN gone USING (host, bucket))
SELECT host, bucket, attempted::BIGINT AS attempted, sampled::BIGINT AS sampled, earlier::BIGINT AS earlier,
    stored::BIGINT AS stored, lost::BIGINT AS lost, unaccounted::BIGINT AS unaccounted,
    duplicates::BIGINT AS duplicates,
    (sum(attempted - sampled - earlier - stored - lost - unaccounted)
        OVER (PARTITION BY host ORDER BY bucket))::BIGINT AS open
FROM told_of
WHERE attempted <> 0 OR sampled <> 0 OR stored <> 0 OR lost <> 0 OR earlier <> 0 OR duplicates <> 0
    OR unaccounted <> 0
ORDER BY bucket, host"""


def balance(source: Source, span: Span, *, by: str = "host", host: str = "") -> list[dict[str, Any]]:
    """Return a dict of COLUMNS for each host, with ``minute`` or ``hour`` before them for each of those.

    ``complete`` is the share of what was kept (attempted - sampled) that was not lost, None without any.

    Raises:
        QuestionError: ``by`` is none of BUCKETS.
        AnswerError: the lake's files could not be read.
    """
    if by not in BUCKETS:
        raise QuestionError(f"--by: found {by!r}; allowed is one of reason, {', '.join(BUCKETS)}")
    wide = whole(source, span)
    parameters = wide.parameters(span) | {"host": host, "bucket": BUCKETS[by]}
    with source.engine({"ledger": wide.ledger, "agent": wide.agent}) as engine:
        rows = engine.rows(_LINES.format(counted=COUNTED), parameters)
    return [_line(row, by) for row in rows]


def _line(row: dict[str, Any], by: str) -> dict[str, Any]:
    left = row.pop("open")
    row |= {"in_flight": max(0, left), "ahead": max(0, -left), "complete": _share(row)}
    when = {} if by == "host" else {by: iso(row["bucket"], 0)}
    return when | {name: row[name] for name in COLUMNS}


def _share(row: dict[str, Any]) -> float | None:
    kept, lost = row["attempted"] - row["sampled"], row["lost"] + row["unaccounted"]
    return max(0.0, 1 - max(0, lost) / kept) if kept > 0 else None
