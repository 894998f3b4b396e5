# SPDX-License-Identifier: Apache-2.0
"""Single matched messages, one row a message and kind, streamed: millions stay within the memory limit.

The order is total and always the same: by (sent_at_ns, connection, direction, begin, kind), or with
``slowest`` by latency first. One-way kinds between hosts without a common clock are left out unless asked
for; of those whose clocks were solved, ``slowest`` has the slowest of each minute and edge, corrected.
"""

from collections.abc import Iterator
from typing import Any

from history.errors import QuestionError
from history.filters import picked, where
from history.measures import COLUMN, MESSAGES, ONE_WAY
from history.source import Source
from history.span import Span

COLUMNS = (
    "sent_at_ns",
    "edge",
    "kind",
    "latency_ns",
    "clock",
    "clock_bound_ns",
    "sender_host",
    "sender_process",
    "sender_address",
    "sender_port",
    "receiver_host",
    "receiver_process",
    "receiver_address",
    "receiver_port",
    "connection",
    "direction",
    "begin",
    "end",
    "last_piece",
)
_ONE_HOST = {"receive-wait", "send-block"}
_BOUNDED = """
    SELECT {place} AS place, '{kind}' AS kind, {column} AS latency_ns, clock, exemplar.* EXCLUDE (clock)
    FROM exemplar WHERE clock = 'bounded' AND {column} IS NOT NULL
        AND sent_at_ns >= $from_ns AND sent_at_ns < $to_ns {where}"""
_KIND = """
    SELECT {place} AS place, '{kind}' AS kind, {column} AS latency_ns, {clock} AS clock, NULL::BIGINT AS
    clock_bound_ns, match.* EXCLUDE (clock) FROM match
    WHERE {column} IS NOT NULL AND sent_at_ns >= $from_ns AND sent_at_ns < $to_ns {where}"""
_ORDER = "sent_at_ns, connection, direction, begin, place"


def messages(  # noqa: PLR0913 - one argument for each option of the question
    source: Source,
    span: Span,
    *,
    kinds: str = "delivery",
    edge: str = "",
    host: str = "",
    limit: int | None = None,
    slowest: bool = False,
    unsynced: bool = False,
) -> Iterator[dict[str, Any]]:
    """Yield a dict of COLUMNS for each message sent within the span and each kind that it has.

    Args:
        source: the lake.
        span: the time asked for, of the sender's clock.
        kinds: with commas: delivery, wire, receive-wait, send-block.
        edge: a part of the edge's text, any case; empty for all.
        host: sender or receiver; empty for all.
        limit: at most so many rows.
        slowest: greatest latency first, instead of earliest; with the exemplars of what is rolled up.
        unsynced: delivery and wire between hosts without a common clock, too.

    Raises:
        QuestionError: ``kinds`` or ``limit`` is not allowed.
        AnswerError: the lake's files could not be read.
    """
    wanted = picked(kinds, MESSAGES)
    if limit is not None and limit < 1:
        raise QuestionError(f"--limit: found {limit}; allowed is 1 or more")
    condition, parameters = where(span, edge=edge, host=host)
    parts = [_part(place, kind, condition, unsynced=unsynced) for place, kind in enumerate(wanted)]
    tables = ["match"]
    if slowest and not unsynced and set(ONE_WAY) & set(wanted):
        tables.append("exemplar")
        places = [(place, kind) for place, kind in enumerate(wanted) if kind in ONE_WAY]
        parts += [
            _BOUNDED.format(place=place, kind=kind, column=COLUMN[kind], where=condition)
            for place, kind in places
        ]
    order = f"latency_ns DESC, {_ORDER}" if slowest else _ORDER
    picks = ", ".join(f'"{column}"' for column in COLUMNS)
    # Every piece is a constant above; what a person gave is bound.
    statement = f"SELECT {picks} FROM ({' UNION ALL BY NAME '.join(parts)}) ORDER BY {order}"  # noqa: S608
    if limit is not None:
        statement += f" LIMIT {limit:d}"
    return _streamed(source, dict.fromkeys(tables, span), statement, parameters)


def _streamed(
    source: Source, spans: dict[str, Span], statement: str, parameters: dict[str, object]
) -> Iterator[dict[str, Any]]:
    with source.engine(spans) as engine:
        for batch in engine.batches(statement, parameters):
            for row in batch.to_pylist():
                row["connection"] = name(row["connection"])
                yield row


def name(connection: int) -> str:
    """Return a connection as it is shown: 16 hexadecimal digits of the 64 bits."""
    return f"{connection & (2**64 - 1):016x}"


def _part(place: int, kind: str, condition: str, *, unsynced: bool) -> str:
    if kind in _ONE_HOST:
        clock = "'one_host'"
    else:
        clock = "clock"
        condition += "" if unsynced else " AND clock <> 'unsynced'"
    return _KIND.format(place=place, kind=kind, column=COLUMN[kind], clock=clock, where=condition)
