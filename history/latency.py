# SPDX-License-Identifier: Apache-2.0
"""Percentiles from histograms, which add up: any window, edge and host in one pass, no message is read.

``complete`` is the share of what was sent that the figures rest on: n / seen (messages that have a latency,
of those that were closed, so what the receiving host lost is in it) times (attempted - lost) / attempted of
the sending host's ledger in the span (a send that was lost there is in no count). Of turns and rtt it is the
second factor alone, of the host that measures; of network time of both. It is 1 only where nothing at all is
missing and neither host was ever without an agent, and None where such a host has no ledger rows in the span.
What was sampled out is in none of these numbers; where the receiving host samples, so that a message it lost
cannot be told from one it left out, its ledger counts too.
"""

from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from common.units import MINUTE_NS
from history.absent import Absences, absences
from history.completeness import HOSTS
from history.coverage import Cover, Missed, covers, missed
from history.engine import Engine
from history.errors import QuestionError
from history.figures import NO_CELLS, Cells, Latency, Sums, incomplete
from history.filters import picked
from history.measures import DEFAULT, EITHER, KINDS, OTHER, TELLER, TURNS
from history.parts import LABELS, Asked, asked, opened
from history.sampled import limits
from history.source import Source
from history.span import Span, iso
from history.windows import NOT_ROLLED, Chosen
from schemas.tables import SLOWEST

__all__ = ["MINUTE_NS", "Answer", "Latency", "latency"]

By = Literal["edge", "host", "measure", "minute"]
_GROUPS = """
WITH {hosts}, {parts},
own AS (SELECT *, {teller} AS teller, {other} AS other FROM part)
SELECT label, measure, min(scale) AS scale, sum(n) AS n, sum(seen) AS seen, sum(spoiled) AS spoiled,
    sum(negative) AS negative, sum(sum_ns) AS total, min(min_ns) FILTER (n > 0) AS least,
    max(max_ns) FILTER (n > 0) AS greatest, max(clock_bound_ns) AS bound, min(keep) AS keep,
    sum(n / keep) AS mass, sum(negative / keep) AS negative_mass, sum(sum_ns / keep) AS total_mass,
    measure IN {turns} AS turn,
    sum(n * sender.share * coalesce(receiver.share, 1)) / nullif(sum(seen - spoiled), 0) AS complete,
    bool_and(sender.share IS NOT NULL AND (NOT {either} OR receiver.share IS NOT NULL)) AS known,
    bool_and(sender.lost = 0 AND sender.unended = 0 AND coalesce(receiver.lost + receiver.unended, 0) = 0
        AND NOT sender.waiting AND NOT coalesce(receiver.waiting, false)) AS whole
FROM own LEFT JOIN host AS sender ON sender.host = teller
LEFT JOIN host AS receiver ON receiver.host = other AND (receiver.sampled > 0 OR {either})
GROUP BY label, measure HAVING sum(seen) <> 0 OR sum(n) <> 0
ORDER BY label, list_position($kinds, measure)"""
_BUCKETS = """
WITH {parts}, numbered AS (
    SELECT label, measure, min(scale) AS lowest,
        row_number() OVER (ORDER BY label, list_position($kinds, measure)) - 1 AS number
    FROM part GROUP BY label, measure HAVING sum(seen) <> 0 OR sum(n) <> 0),
cell AS (
    SELECT number, unnest(buckets) AS fine, unnest(counts) AS amount, scale - lowest AS steps, keep
    FROM part JOIN numbered USING (label, measure))
SELECT number, (fine >> steps)::INTEGER AS bucket, sum(amount)::BIGINT AS amount,
    sum(amount / keep)::DOUBLE AS mass
FROM cell GROUP BY number, bucket HAVING sum(amount) <> 0 ORDER BY number, bucket"""
_KEPT = """
WITH {hosts}, {parts}, named AS (
    SELECT DISTINCT label, measure, unnest(CASE WHEN measure IN ('send-block', 'client-turn', 'rtt')
        THEN [sender_host] WHEN measure = 'server-turn' THEN [receiver_host]
        ELSE [sender_host, receiver_host] END) AS host FROM part)
SELECT label, measure, sum(attempted)::BIGINT AS attempted, sum(sampled)::BIGINT AS sampled,
    sum(unended)::BIGINT AS unended, count(*) FILTER (waiting) AS waiting
FROM (SELECT * FROM named UNION SELECT NULL, NULL, host FROM named) JOIN host USING (host)
GROUP BY label, measure"""
_WITHHELD = """
WITH {parts}
SELECT (SELECT count(*) FROM match WHERE clock = 'unsynced' AND last_piece AND flags & {slowest} = 0
        AND {not_rolled}
        AND sent_at_ns >= $exactly_ns AND sent_at_ns < $to_ns {where})
    + (SELECT coalesce(sum(seen), 0) FROM unsynced WHERE measure = $one_way[1]) AS messages"""
_INVALID = """
WITH {parts}
SELECT reason, count(DISTINCT edge) AS edges FROM gate
WHERE reason IS NOT NULL AND list_contains($kinds, measure) GROUP BY reason ORDER BY reason"""


class Answer(NamedTuple):
    """Figures, and what goes without saying in them."""

    figures: list[Latency]
    withheld: int
    """Messages that have no latency because no clock is common to their hosts."""
    kept: float | None
    """As ``Latency.kept``, over all hosts of the answer."""
    unended: int
    """Runs of their agents that ended in the span without a good-bye: ``complete`` is at most true."""
    waiting: int
    """Hosts of the answer with records of this time on their disks: ``complete`` is of what has arrived."""
    absences: Absences
    """When hosts of the answer had no agent that traced, and whether the lake is behind."""
    missed: Missed
    """Connections that are not wholly in events."""
    invalid: dict[str, int]
    """``too few``, ``pipelined`` -> edges whose turns are withheld for that."""
    chosen: Chosen
    """Which windows were rolled up."""


def latency(
    source: Source,
    span: Span,
    *,
    by: str = "edge",
    kinds: str = ",".join(DEFAULT),
    edge: str = "",
    host: str = "",
) -> Answer:
    """Return the figures of the windows that start in a span, by group, kinds in the order asked.

    Args:
        source: the lake.
        span: the time asked for.
        by: ``edge``, ``host`` (for what needs two hosts a pair), ``measure`` (all in one), ``minute``.
        kinds: with commas, of ``measures.KINDS``.
        edge: a part of the edge's text, any case; empty for all.
        host: sender or receiver; empty for all.

    Raises:
        QuestionError: ``by`` or ``kinds`` is none of those.
        AnswerError: the lake's files could not be read.
    """
    if by not in LABELS:
        raise QuestionError(f"--by: found {by!r}; allowed is one of {', '.join(get_args(By))}")
    wanted = picked(kinds, KINDS)
    question = asked(source, span, by, wanted, edge=edge, host=host)
    parameters = question.parameters | {"exactly_ns": span.from_ns}
    named = {"label": question.label, "none": question.none, "where": question.condition}
    with opened(source, question) as engine:
        sums = _sums(engine, question)
        kept, unended, waiting = _kept(engine, question)
        cover = covers(engine, parameters, **named)
        gaps = missed(engine, parameters, where=question.condition)
        withheld = _withheld(engine, question, parameters) if question.parameters["one_way"] else 0
        invalid = _invalid(engine, question) if set(TURNS) & set(wanted) else {}
        away = absences(engine, question.parameters, question.parts, minutes=by == "minute")
    around = limits(source, question, sums)
    figures = []
    for number, one in enumerate(sums):
        label = one.row["label"]
        place = label, one.row["measure"]
        group = iso(label, 0) if by == "minute" else label
        figure = one.figures(group, kept.get(place), cover.get(place, Cover()), around.get(number))
        figures.append(incomplete(figure) if place in away.groups else figure)
    whole = kept.get((None, None))
    return Answer(figures, withheld, whole, unended, waiting, away, gaps, invalid, question.chosen)


def _sums(engine: Engine, question: Asked) -> list[Sums]:
    """Return the sums of each group."""
    names = {"teller": TELLER, "other": OTHER, "either": EITHER, "turns": TURNS}
    statement = _GROUPS.format(hosts=HOSTS, parts=question.parts, **names)
    rows = engine.rows(statement, question.parameters)
    cells = _cells(engine, _BUCKETS.format(parts=question.parts), question.parameters, len(rows))
    return [Sums(row, own) for row, own in zip(rows, cells, strict=True)]


def _kept(engine: Engine, question: Asked) -> tuple[dict[tuple[Any, Any], float], int, int]:
    """Return the share kept by (label, kind), of all under (None, None); runs unended; hosts waiting."""
    rows = engine.rows(_KEPT.format(hosts=HOSTS, parts=question.parts), question.parameters)
    shares = {(row["label"], row["measure"]): 1 - row["sampled"] / row["attempted"] for row in rows}
    unended, waiting = (max((row[name] for row in rows), default=0) for name in ("unended", "waiting"))
    return shares, unended, waiting


def _withheld(engine: Engine, question: Asked, parameters: dict[str, object]) -> int:
    statement = _WITHHELD.format(
        parts=question.parts,
        where=question.condition,
        not_rolled=NOT_ROLLED.format(column="sent_at_ns"),
        slowest=SLOWEST,
    )
    return int(engine.rows(statement, parameters)[0]["messages"])


def _invalid(engine: Engine, question: Asked) -> dict[str, int]:
    rows = engine.rows(_INVALID.format(parts=question.parts), question.parameters)
    return {row["reason"]: row["edges"] for row in rows}


def _cells(engine: Engine, statement: str, parameters: dict[str, object], groups: int) -> list[Cells]:
    """Return the cells of each group, in the order of the groups."""
    batches = [
        [column.to_numpy() for column in batch.columns] for batch in engine.batches(statement, parameters)
    ]
    if not batches:
        return [NO_CELLS] * groups
    number, *columns = (np.concatenate(column) for column in zip(*batches, strict=True))
    cuts = np.searchsorted(number, np.arange(1, groups))
    return [Cells(*parts) for parts in zip(*(np.split(column, cuts) for column in columns), strict=True)]
