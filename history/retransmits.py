# SPDX-License-Identifier: Apache-2.0
"""Segments that were sent again, as they happened, and what share of the bytes sent that is.

Segments and bytes are counts of rows. The share is of the connections of the same group with an account in
the span, by their kernels' totals from their beginning to the last account; it is None where none has any.
"""

from typing import Any, NamedTuple

from history.connects import grouping, name_of, none
from history.filters import told
from history.source import Source
from history.span import Span

_GROUPS = """
WITH part AS (
    SELECT coalesce({label}, {none}) AS label, connection, "end" - "begin" AS bytes FROM retransmit
    WHERE at_ns >= $from_ns AND at_ns < $to_ns {where}),
total AS (
    SELECT coalesce({label}, {none}) AS label, sum(sent_bytes)::BIGINT AS sent,
        sum(retransmitted_bytes)::BIGINT AS again
    FROM (SELECT * FROM close WHERE at_ns >= $from_ns AND at_ns < $to_ns {where}
        QUALIFY row_number() OVER (PARTITION BY connection, endpoint, host
            ORDER BY sent_bytes DESC, at_ns DESC) = 1)
    GROUP BY ALL)
SELECT label, count(*) AS n, sum(bytes)::BIGINT AS bytes, count(DISTINCT connection) AS connections,
    any_value(sent) AS sent, any_value(again) AS again
FROM part LEFT JOIN total USING (label) GROUP BY label ORDER BY {order}"""


class Retransmits(NamedTuple):
    """What one group sent again."""

    group: str
    segments: int
    bytes: int
    connections: int
    share: float | None
    """Of the bytes that connections sent which closed in the span, those sent again."""
    closed_sent_bytes: int | None
    closed_retransmitted_bytes: int | None


def retransmits(
    source: Source,
    span: Span,
    *,
    by: str = "edge",
    edge: str = "",
    host: str = "",
    limit: int | None = None,
) -> list[Retransmits]:
    """Return what was sent again in a span, by group: most segments first, minutes in their order.

    Arguments and errors are those of ``connects``; the edge begins with the end that sent, ``host`` is its.
    """
    label, order = grouping(by, limit)
    condition, parameters = told(span, edge=edge, host=host)
    statement = _GROUPS.format(label=label, none=none(by), where=condition, order=order)
    with source.engine({"retransmit": span, "close": span}) as engine:
        return [_group(row, by) for row in engine.rows(statement, parameters)[:limit]]


def _group(row: dict[str, Any], by: str) -> Retransmits:
    return Retransmits(
        group=name_of(row["label"], by),
        segments=row["n"],
        bytes=row["bytes"],
        connections=row["connections"],
        share=row["again"] / row["sent"] if row["sent"] else None,
        closed_sent_bytes=row["sent"],
        closed_retransmitted_bytes=row["again"],
    )
