# SPDX-License-Identifier: Apache-2.0
"""Which windows of a span are answered from what was rolled up, and which from histograms.

A window that has roll-up rows is taken from there, as the coarsest that lies wholly in the span; what remains
comes from the histograms. Each minute is so taken once, and sums of minutes, hours and days are the same.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa

from common.units import DAY_NS, HOUR_NS, MINUTE_NS
from history.source import Source
from history.span import Span

LAST_NS = 2**63 - 1
MOST_DAYS = 400
"""Of a longer time all files of roll-ups are looked at."""
SHORT_NS = HOUR_NS - 1
"""Windows below an hour: minutes, or as long as a consumer was told."""
LENGTHS = (DAY_NS, HOUR_NS, MINUTE_NS)
NAMES = {DAY_NS: "day", HOUR_NS: "hour", MINUTE_NS: "minute"}
_FOUND = """
SELECT DISTINCT window_ns, window_start_ns FROM rollup
WHERE window_start_ns >= $from_ns AND window_start_ns < $to_ns
    AND window_ns >= $shortest_ns AND window_ns <= $longest_ns"""


class Chosen(NamedTuple):
    """What to read."""

    windows: tuple[tuple[int, int], ...]
    """(window_ns, window_start_ns) of roll-up rows."""
    rolled: tuple[Span, ...]
    """What they cover, ascending, none touching another."""
    rest: tuple[Span, ...]
    """What they do not."""

    @property
    def tables(self) -> dict[str, pa.Table]:
        """Tables ``chosen`` (window_ns, window_start_ns) and ``rolled`` (from_ns, to_ns) for statements."""
        return {
            "chosen": _table(("window_ns", "window_start_ns"), self.windows),
            "rolled": _table(Span._fields, self.rolled),
        }

    @property
    def files(self) -> list[Span]:
        """Where the files of those windows are."""
        return [Span(start, start + 1) for _, start in self.windows]


NOT_ROLLED = "NOT EXISTS (SELECT 1 FROM rolled WHERE {column} >= from_ns AND {column} < to_ns)"
"""Condition for rows of a time, as SQL with a place for the column."""


def whole_minutes(span: Span) -> Span:
    """Return a span from the beginning of its first minute to the end of its last one."""
    end = -(-span.to_ns // MINUTE_NS) * MINUTE_NS
    return Span(span.from_ns - span.from_ns % MINUTE_NS, min(end, LAST_NS))


def windows(source: Source, span: Span, longest_ns: int = DAY_NS) -> Chosen:
    """Return what to read for the windows that begin in a span, of at most that length.

    An hour that is not over has a window of what is settled of it: that one is not taken. Where a consumer's
    windows are longer than a minute there are those beside minutes, which hold other measures.
    """
    minutes, settled = whole_minutes(span), source.settled_to()
    found: set[tuple[int, int]] = set()
    rest = [minutes]
    for shortest, longest in ((DAY_NS, DAY_NS), (0, HOUR_NS)):
        if longest_ns >= shortest and rest:
            found |= _found(source, rest, shortest, min(longest, longest_ns))
            found = {one for one in found if one[0] < HOUR_NS or sum(one) <= min(settled, minutes.to_ns)}
            rest = list(choose(minutes, found).rest)
    return choose(minutes, found)


def _found(source: Source, spans: list[Span], shortest_ns: int, longest_ns: int) -> set[tuple[int, int]]:
    """Return the windows of such lengths that are rolled up; of days only their first hours are looked at."""
    files = spans
    if shortest_ns == DAY_NS:
        days = [range(-(-begin // DAY_NS) * DAY_NS, end - DAY_NS + 1, DAY_NS) for begin, end in spans]
        if sum(map(len, days)) <= MOST_DAYS:
            files = [Span(at, at + 1) for found_days in days for at in found_days]
    found: set[tuple[int, int]] = set()
    with source.engine({"rollup": files}) as engine:
        for span in spans:
            lengths = {"shortest_ns": shortest_ns, "longest_ns": longest_ns}
            rows = engine.rows(_FOUND, span._asdict() | lengths)
            found |= {(row["window_ns"], row["window_start_ns"]) for row in rows}
    return found


def choose(minutes: Span, found: Iterable[tuple[int, int]]) -> Chosen:
    """Return what to read for whole minutes in which these windows are rolled up."""
    there = set(found)
    taken = sorted(window for window in there if not any(one in there for one in _around(window)))
    spans = sorted(Span(start, start + length) for length, start in taken)
    rolled: list[Span] = []
    rest, at = [], minutes.from_ns
    for span in spans:
        if span.from_ns > at:
            rest.append(Span(at, span.from_ns))
        if rolled and span.from_ns <= rolled[-1].to_ns:
            rolled[-1] = Span(rolled[-1].from_ns, max(rolled[-1].to_ns, span.to_ns))
        else:
            rolled.append(span)
        at = max(at, span.to_ns)
    if at < minutes.to_ns:
        rest.append(Span(at, minutes.to_ns))
    return Chosen(tuple(taken), tuple(rolled), tuple(rest))


def _around(window: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Yield the longer windows that a window lies in."""
    length, start = window
    for longer in LENGTHS:
        if longer > length:
            yield longer, start - start % longer


def _table(names: tuple[str, ...], rows: Sequence[tuple[int, ...]]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    return pa.table({name: pa.array(list(one), pa.int64()) for name, one in zip(names, columns, strict=True)})
