# SPDX-License-Identifier: Apache-2.0
"""The rows that figures of latency are added up from, as one table ``part`` of whichever kind they are.

A part is of a window that is rolled up or of one that is not; it has a label (the group asked for), ``keep``
(1 where all were kept), ``spoiled`` and ``clock_bound_ns``. Turns of edges whose exchanges do not follow one
another are no parts: ``gate`` says which and why. Where one measure of an edge shows requests that did not
wait, its other turns mean nothing either, so all are looked at, whatever is asked for. Messages without a
common clock are no parts: ``unsynced``.
"""

from typing import NamedTuple

from common.units import DAY_NS, MINUTE_NS
from history.completeness import Whole, whole
from history.engine import Engine
from history.filters import where
from history.measures import HOST, ONE_WAY, TURNS
from history.source import Source
from history.span import Span
from history.windows import NOT_ROLLED, SHORT_NS, Chosen, windows
from schemas.turns import LEAST, PER_CENT, SPOILED

LABELS = {
    "edge": "edge",
    "host": HOST,
    "measure": "''",
    "minute": f"window_start_ns - window_start_ns % {MINUTE_NS}",
}
_COLUMNS = """window_start_ns, edge, sender_host, receiver_host, measure, clock, n, seen, negative, sum_ns,
        min_ns, max_ns, scale, buckets, counts, coalesce(spoiled, 0) AS spoiled,
        coalesce(keep, 1.0) AS keep"""
_PARTS = """
    stored AS (
        SELECT {columns}, NULL::BIGINT AS clock_bound_ns, topic_partition FROM histogram
        WHERE window_start_ns >= $from_ns AND window_start_ns < $to_ns AND {not_rolled}
            AND list_contains($read, measure) {where}
        UNION ALL
        SELECT {columns}, clock_bound_ns, -1 AS topic_partition FROM rollup
        SEMI JOIN chosen USING (window_ns, window_start_ns)
        WHERE list_contains($read, measure) {where}),
    judged AS (
        SELECT edge, measure, CASE WHEN sum(n + spoiled) < {least} THEN 'too few'
            WHEN 100 * {spoils} * sum(spoiled) >= {per_cent} * sum(n + spoiled) THEN 'pipelined' END AS reason
        FROM stored WHERE measure IN {turns} GROUP BY edge, measure),
    gate AS (
        SELECT edge, measure, CASE WHEN bool_or(reason = 'pipelined') OVER (PARTITION BY edge)
            THEN 'pipelined' ELSE reason END AS reason
        FROM judged),
    unsynced AS (SELECT * FROM stored WHERE clock = 'unsynced'),
    part AS (
        SELECT coalesce({label}, {none}) AS label, stored.* FROM stored
        LEFT JOIN gate USING (edge, measure) WHERE list_contains($kinds, measure) AND gate.reason IS NULL
            AND clock <> 'unsynced')"""


class Asked(NamedTuple):
    """A question about a span, ready to be put."""

    span: Span
    """From the beginning of its first minute."""
    by: str
    kinds: list[str]
    label: str
    """Of a part, as SQL."""
    none: str
    """What stands for a label that is not known, as SQL."""
    condition: str
    """More that parts have to meet, as SQL."""
    parameters: dict[str, object]
    wide: Whole
    chosen: Chosen

    @property
    def parts(self) -> str:
        """Tables ``stored``, ``gate``, ``unsynced`` and ``part``, for WITH."""
        return _PARTS.format(
            columns=_COLUMNS,
            not_rolled=NOT_ROLLED.format(column="window_start_ns"),
            where=self.condition,
            least=LEAST,
            per_cent=PER_CENT,
            spoils=SPOILED,
            turns=TURNS,
            label=self.label,
            none=self.none,
        )


def asked(source: Source, span: Span, by: str, kinds: list[str], *, edge: str, host: str) -> Asked:
    """Return a question about the windows that begin in a span from its first minute on."""
    begun = Span(span.from_ns - span.from_ns % MINUTE_NS, span.to_ns)
    condition, parameters = where(begun, edge=edge, host=host)
    wide = whole(source, begun)
    read = kinds + [turn for turn in TURNS if turn not in kinds and set(TURNS) & set(kinds)]
    parameters |= {"kinds": kinds, "read": read, "one_way": [kind for kind in kinds if kind in ONE_WAY]}
    parameters["since_ns"] = wide.since_ns
    chosen = windows(source, begun, SHORT_NS if by == "minute" else DAY_NS)
    none = "0" if by == "minute" else "''"
    return Asked(begun, by, kinds, LABELS[by], none, condition, parameters, wide, chosen)


def opened(source: Source, question: Asked) -> Engine:
    """Return an engine with all that statements about a question name."""
    chosen, wide, begun = question.chosen, question.wide, question.span
    tables: dict[str, Span | list[Span] | None] = {
        "histogram": list(chosen.rest),
        "rollup": chosen.files,
        "match": list(chosen.rest),
        "ledger": wide.ledger,
        "agent": wide.agent,
        "close": begun,
    }
    return source.engine(tables, chosen.tables)
