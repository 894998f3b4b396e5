# SPDX-License-Identifier: Apache-2.0
"""Attempts to open a connection: how many, how many failed and why, how long the others took.

Exact: every figure is of the rows themselves. The time is SYN to established, by the opener's kernel; failed
attempts have no part in the percentiles.
"""

import errno
from typing import Any, Literal, NamedTuple, get_args

from common.units import MINUTE_NS
from history.errors import QuestionError
from history.filters import told
from history.source import Source
from history.span import Span, iso

By = Literal["edge", "host", "minute"]
LABELS = {"edge": "edge", "host": "host", "minute": f"at_ns - at_ns % {MINUTE_NS}"}
_PART = """
    part AS (
        SELECT coalesce({label}, {none}) AS label, * FROM connect
        WHERE at_ns >= $from_ns AND at_ns < $to_ns {where})"""
_GROUPS = """
WITH {part}
SELECT label, count(*) AS n, count(*) FILTER (failed) AS failed,
    quantile_disc(duration_ns, 0.5) FILTER (NOT failed) AS p50,
    quantile_disc(duration_ns, 0.99) FILTER (NOT failed) AS p99,
    max(duration_ns) FILTER (NOT failed) AS greatest, sum(retransmits)::BIGINT AS retransmits
FROM part GROUP BY label ORDER BY {order}"""
_ERRORS = """
WITH {part}
SELECT label, error, count(*) AS n FROM part WHERE failed GROUP BY label, error ORDER BY n DESC, error"""
_NOT_TOLD = "not-told"


class Connects(NamedTuple):
    """The attempts of one group. Times are integer nanoseconds, None where no attempt succeeded."""

    group: str
    n: int
    failed: int
    errors: dict[str, int]
    """Name of the error -> attempts that failed of it, most first."""
    p50_ns: int | None
    p99_ns: int | None
    max_ns: int | None
    retransmits: int
    """SYNs sent again."""


def connects(
    source: Source,
    span: Span,
    *,
    by: str = "edge",
    edge: str = "",
    host: str = "",
    limit: int | None = None,
) -> list[Connects]:
    """Return the attempts that began in a span, by group: most attempts first, minutes in their order.

    Args:
        source: the lake.
        span: the time asked for, of the opener's clock.
        by: ``edge``, ``host`` (of the opener) or ``minute``.
        edge: a part of the edge's text, any case; empty for all.
        host: the opener's; empty for all.
        limit: at most so many groups.

    Raises:
        QuestionError: ``by`` or ``limit`` is not allowed.
        AnswerError: the lake's files could not be read.
    """
    label, order = grouping(by, limit)
    condition, parameters = told(span, edge=edge, host=host)
    part = _PART.format(label=label, none=none(by), where=condition)
    with source.engine({"connect": span}) as engine:
        groups = engine.rows(_GROUPS.format(part=part, order=order), parameters)[:limit]
        failures = engine.rows(_ERRORS.format(part=part), parameters)
    return [_group(row, by, failures) for row in groups]


def grouping(by: str, limit: int | None) -> tuple[str, str]:
    """Return (label, order) of groups as SQL; raises QuestionError."""
    if by not in LABELS:
        raise QuestionError(f"--by: found {by!r}; allowed is one of {', '.join(get_args(By))}")
    if limit is not None and limit < 1:
        raise QuestionError(f"--limit: found {limit}; allowed is 1 or more")
    return LABELS[by], "label" if by == "minute" else "n DESC, label"


def none(by: str) -> str:
    """Return what stands for a label that is not known, as SQL."""
    return "0" if by == "minute" else "''"


def name_of(label: Any, by: str) -> str:  # noqa: ANN401 - text, or the minute in ns
    """Return a label as it is shown."""
    return iso(label, 0) if by == "minute" else str(label)


def error_name(number: int) -> str:
    """Return ECONNREFUSED for 111; 0 is a failure of which the kernel says no more."""
    return errno.errorcode.get(number, str(number)) if number else _NOT_TOLD


def _group(row: dict[str, Any], by: str, failures: list[dict[str, Any]]) -> Connects:
    return Connects(
        group=name_of(row["label"], by),
        n=row["n"],
        failed=row["failed"],
        errors={error_name(one["error"]): one["n"] for one in failures if one["label"] == row["label"]},
        p50_ns=row["p50"],
        p99_ns=row["p99"],
        max_ns=row["greatest"],
        retransmits=row["retransmits"],
    )
