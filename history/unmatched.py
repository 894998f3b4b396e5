# SPDX-License-Identifier: Apache-2.0
"""What closed without its other end, by why: messages that nobody read, and reads of which no send is known.

A message without a latency may be the slowest of all: it has arrived, and the application does not read. The
consumer waits a horizon for each, so this is known that much later. Where the receiving host lost events, or
had no agent for a while, the read may as well be what was lost: then it is not called unread. Bytes that were
read and whose send is in no event tell of messages that no count has. What has no agent at its other end, and
what was sampled out, is none of both. Known as long as rows of kind ``unmatched`` are kept.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from history.filters import where
from history.losses import WAY, losses
from history.source import Source
from history.span import Span
from schemas.event import Flag

UNREAD = "unread"
_UNMATCHED = """
WITH alone AS (
    SELECT edge, side, reason, coalesce(weight, 1) AS weight, "end" - "begin" AS bytes, flags,
        CASE side WHEN 'send' THEN host ELSE peer_host END AS sender_host,
        CASE side WHEN 'send' THEN peer_host ELSE host END AS receiver_host
    FROM unmatched WHERE time_ns >= $from_ns AND time_ns < $to_ns
        AND reason NOT IN ('no_peer_agent', 'sampled_out'))
SELECT edge, CASE WHEN reason = $unread AND list_contains($lossy, receiver_host) THEN 'unknown'
        ELSE reason END AS why,
    coalesce(sum(weight) FILTER (side = 'send' AND flags & $last <> 0), 0)::BIGINT AS messages,
    coalesce(sum(weight * bytes) FILTER (side = 'receive'), 0)::BIGINT AS read_bytes
FROM alone WHERE true {where} GROUP BY edge, why
HAVING messages <> 0 OR read_bytes <> 0 ORDER BY messages DESC, read_bytes DESC, edge, why"""


class Unmatched(NamedTuple):
    """What of one edge closed without its other end, for one reason."""

    edge: str
    why: str
    """The reason as in docs/matching.md."""
    messages: int
    """Sent, and no read of their last byte is known."""
    read_bytes: int
    """Read, and no send of them is known."""


def unmatched(
    source: Source, span: Span, *, edge: str = "", host: str = "", away: Iterable[str] = ()
) -> list[Unmatched]:
    """Return what closed alone in a span, most messages first; ``edge`` and ``host`` as everywhere.

    ``away`` are hosts that had no agent for some of the time.

    Raises:
        AnswerError: the lake's files could not be read.
    """
    condition, parameters = where(span, edge=edge, host=host)
    lost = (row for row in losses(source, span) if row["reason"] not in WAY and row["events"] != 0)
    parameters |= {"unread": UNREAD, "lossy": sorted({*away, *(str(row["host"]) for row in lost)})}
    with source.engine({"unmatched": span}) as engine:
        rows: Sequence[dict[str, Any]] = engine.rows(
            _UNMATCHED.format(where=condition), parameters | {"last": int(Flag.LAST_PIECE)}
        )
    return [Unmatched(**row) for row in rows]


def told(found: Sequence[Unmatched]) -> Iterator[tuple[str, list[Unmatched]]]:
    """Yield a line for each thing to know, with what it is of."""
    unread = [one for one in found if one.why == UNREAD and one.messages > 0]
    lost = [one for one in found if one.why != UNREAD and one.messages > 0]
    unsent = sorted((one for one in found if one.read_bytes > 0), key=lambda one: -one.read_bytes)
    if unread:
        count = f"{sum(one.messages for one in unread):,} messages arrived and were not read in time"
        yield f"{count}{_most(unread)}: they have no latency, though the longest waits are theirs", unread
    if lost:
        yield f"of {sum(one.messages for one in lost):,} messages no read is known{_most(lost)}", lost
    if unsent:
        count = f"of {sum(one.read_bytes for one in unsent):,} bytes that were read no send is known"
        yield f"{count}{_most(unsent)}: their messages are in no count, so COMPLETE can be too high", unsent


def _most(found: Sequence[Unmatched]) -> str:
    """Name the edge, or the one with the most of several."""
    edges = list(dict.fromkeys(one.edge for one in found))
    return f" ({edges[0]})" if len(edges) == 1 else f" (most of {edges[0]})"
