# SPDX-License-Identifier: Apache-2.0
"""Percentiles from histogram rows, which add up: any window, edge and host in one pass, no message is read.

``complete`` is the share of what was sent that the figures rest on: n / seen (messages that have a latency,
of those that were closed, so what the receiving host lost is in it) times (attempted - lost) / attempted of
the sending host's ledger in the span (a send that was lost there is in no count). It is 1 only where nothing
at all is missing, and None where a sending host has no ledger rows in the span. What was sampled out is in
none of these numbers; where the receiving host samples, so that a message it lost cannot be told from one it
left out, its ledger counts too.
"""

from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from history.completeness import HOSTS, whole
from history.coverage import Cover, Missed, covers, missed
from history.engine import Engine
from history.errors import QuestionError
from history.filters import KINDS, picked, where
from history.source import Source
from history.span import Span, iso
from schemas.histogram import Histogram, quantile

By = Literal["edge", "host", "measure", "minute"]
MINUTE_NS = 60 * 10**9
Cells = tuple[NDArray[np.int32], NDArray[np.int64]]
_NO_CELLS: Cells = (np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int64))
_LABELS = {
    "edge": "edge",
    "host": """CASE measure WHEN 'send-block' THEN sender_host WHEN 'receive-wait' THEN receiver_host
        ELSE concat_ws(' > ', sender_host, receiver_host) END""",
    "measure": "''",
    "minute": f"window_start_ns - window_start_ns % {MINUTE_NS}",
}
_PARTS = """
    part AS (
        SELECT coalesce({label}, {none}) AS label, * FROM histogram
        WHERE window_start_ns >= $from_ns AND window_start_ns < $to_ns
            AND list_contains($kinds, measure) {where})"""
_GROUPS = """
WITH {hosts}, {parts}
SELECT label, measure, min(scale) AS scale, sum(n) AS n, sum(seen) AS seen, sum(negative) AS negative,
    sum(sum_ns) AS total, min(min_ns) FILTER (n > 0) AS least, max(max_ns) FILTER (n > 0) AS greatest,
    sum(n * sender.share * coalesce(receiver.share, 1)) / sum(seen) AS complete,
    bool_and(sender.share IS NOT NULL) AS known,
    bool_and(sender.lost = 0 AND sender.unended = 0 AND coalesce(receiver.lost + receiver.unended, 0) = 0
        AND NOT sender.waiting AND NOT coalesce(receiver.waiting, false)) AS whole
FROM part LEFT JOIN host AS sender ON sender.host = sender_host
LEFT JOIN host AS receiver ON receiver.host = receiver_host AND receiver.sampled > 0
    AND measure <> 'send-block'
GROUP BY label, measure HAVING sum(seen) <> 0 OR sum(n) <> 0
ORDER BY label, list_position($kinds, measure)"""
_BUCKETS = """
WITH {parts}, numbered AS (
    SELECT label, measure, min(scale) AS lowest,
        row_number() OVER (ORDER BY label, list_position($kinds, measure)) - 1 AS number
    FROM part GROUP BY label, measure HAVING sum(seen) <> 0 OR sum(n) <> 0),
cell AS (
    SELECT number, unnest(buckets) AS fine, unnest(counts) AS amount, scale - lowest AS steps
    FROM part JOIN numbered USING (label, measure))
SELECT number, (fine >> steps)::INTEGER AS bucket, sum(amount)::BIGINT AS amount FROM cell
GROUP BY number, bucket HAVING sum(amount) <> 0 ORDER BY number, bucket"""
_KEPT = """
WITH {hosts}, {parts}, named AS (
    SELECT DISTINCT label, measure, unnest(CASE measure WHEN 'send-block' THEN [sender_host]
        ELSE [sender_host, receiver_host] END) AS host FROM part)
SELECT label, measure, sum(attempted)::BIGINT AS attempted, sum(sampled)::BIGINT AS sampled,
    sum(unended)::BIGINT AS unended, count(*) FILTER (waiting) AS waiting
FROM (SELECT * FROM named UNION SELECT NULL, NULL, host FROM named) JOIN host USING (host)
GROUP BY label, measure"""
_WITHHELD = """
SELECT count(*) AS messages FROM match
WHERE clock = 'unsynced' AND last_piece AND sent_at_ns >= $from_ns AND sent_at_ns < $to_ns {where}"""


class Latency(NamedTuple):
    """The figures of one group and kind. Latencies are integer nanoseconds, None where n is 0."""

    group: str
    """The edge, host or minute; empty for ``measure``."""
    kind: str
    n: int
    seen: int
    p50_ns: int | None
    p90_ns: int | None
    p99_ns: int | None
    min_ns: int | None
    max_ns: int | None
    mean_ns: int | None
    negative: int
    complete: float | None
    kept: float | None
    """Share of the events of the group's hosts that was not sampled out, None without their ledgers."""
    cover: float | None
    """Share of the bytes that connections of the group moved that is in events, of those that closed in the
    span; None where none closed."""
    closed: int
    moved_bytes: int
    covered_bytes: int
    blind: int
    partial: int
    """These five as in ``coverage.Cover``."""


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
    missed: Missed
    """Connections that are not wholly in events."""


def latency(
    source: Source,
    span: Span,
    *,
    by: str = "edge",
    kinds: str = ",".join(KINDS),
    edge: str = "",
    host: str = "",
) -> Answer:
    """Return the figures of the windows that start in a span, by group, kinds in the order asked.

    Args:
        source: the lake.
        span: the time asked for.
        by: ``edge``, ``host`` (for delivery and wire a pair of them), ``measure`` (all in one), ``minute``.
        kinds: with commas: delivery, wire, receive-wait, send-block.
        edge: a part of the edge's text, any case; empty for all.
        host: sender or receiver; empty for all.

    Raises:
        QuestionError: ``by`` or ``kinds`` is none of those.
        AnswerError: the lake's files could not be read.
    """
    if by not in _LABELS:
        raise QuestionError(f"--by: found {by!r}; allowed is one of {', '.join(get_args(By))}")
    wanted = picked(kinds)
    begun = Span(span.from_ns - span.from_ns % MINUTE_NS, span.to_ns)
    condition, parameters = where(begun, edge=edge, host=host)
    parameters["kinds"] = wanted
    wide = whole(source, begun)
    parameters["since_ns"] = wide.since_ns
    label, none = _LABELS[by], "0" if by == "minute" else "''"
    parts = _PARTS.format(label=label, none=none, where=condition)
    tables = {"histogram": begun, "ledger": wide.ledger, "agent": wide.agent, "match": span, "close": begun}
    with source.engine(tables) as engine:
        groups = engine.rows(_GROUPS.format(hosts=HOSTS, parts=parts), parameters)
        kept, unended, waiting = _kept(engine, parts, parameters)
        cover = covers(engine, parameters, label=label, none=none, where=condition)
        gaps = missed(engine, parameters, where=condition)
        cells = _cells(engine, _BUCKETS.format(parts=parts), parameters, len(groups))
        withheld = _withheld(engine, condition, parameters) if {"delivery", "wire"} & set(wanted) else 0
    figures = []
    for group, own in zip(groups, cells, strict=True):
        place = group["label"], group["measure"]
        figures.append(_figures(group, by, own, kept.get(place), cover.get(place, Cover())))
    return Answer(figures, withheld, kept.get((None, None)), unended, waiting, gaps)


def _kept(
    engine: Engine, parts: str, parameters: dict[str, object]
) -> tuple[dict[tuple[Any, Any], float], int, int]:
    """Return the share kept by (label, kind), of all under (None, None); runs unended; hosts waiting."""
    rows = engine.rows(_KEPT.format(hosts=HOSTS, parts=parts), parameters)
    shares = {(row["label"], row["measure"]): 1 - row["sampled"] / row["attempted"] for row in rows}
    unended, waiting = (max((row[name] for row in rows), default=0) for name in ("unended", "waiting"))
    return shares, unended, waiting


def _withheld(engine: Engine, condition: str, parameters: dict[str, object]) -> int:
    return int(engine.rows(_WITHHELD.format(where=condition), parameters)[0]["messages"])


def _cells(engine: Engine, statement: str, parameters: dict[str, object], groups: int) -> list[Cells]:
    """Return (buckets, counts) of each group, in the order of the groups."""
    batches = [
        [column.to_numpy() for column in batch.columns] for batch in engine.batches(statement, parameters)
    ]
    if not batches:
        return [_NO_CELLS] * groups
    number, bucket, amount = (np.concatenate(columns) for columns in zip(*batches, strict=True))
    cuts = np.searchsorted(number, np.arange(1, groups))
    return list(zip(np.split(bucket, cuts), np.split(amount, cuts), strict=True))


def _figures(row: dict[str, Any], by: str, cells: Cells, kept: float | None, cover: Cover) -> Latency:
    buckets, counts = cells
    histogram = Histogram(
        scale=row["scale"],
        buckets=buckets,
        counts=counts,
        n=int(row["n"]),
        negative=int(row["negative"]),
        total=int(row["total"]),
        least=row["least"],
        greatest=row["greatest"],
    )
    p50, p90, p99 = (round(quantile(histogram, q)) if histogram.n else None for q in (0.5, 0.9, 0.99))
    return Latency(
        group=iso(row["label"], 0) if by == "minute" else row["label"],
        kind=row["measure"],
        n=histogram.n,
        seen=int(row["seen"]),
        p50_ns=p50,
        p90_ns=p90,
        p99_ns=p99,
        min_ns=histogram.least,
        max_ns=histogram.greatest,
        mean_ns=histogram.total // histogram.n if histogram.n else None,
        negative=histogram.negative,
        complete=_complete(row),
        kept=kept,
        cover=cover.share,
        **cover._asdict(),
    )


def _complete(row: dict[str, Any]) -> float | None:
    """Return the share, below 1 whatever the rounding where anything at all is missing."""
    if not row["known"] or not row["seen"]:
        return None
    if row["whole"] and row["n"] == row["seen"]:
        return 1.0
    return min(float(row["complete"]), float(np.nextafter(1.0, 0.0)))
