# SPDX-License-Identifier: Apache-2.0
"""From an hour's facts to its roll-up: a pure function of them and of the time up to which they are settled.

It goes through the hour by ranges of minutes, so that no more than about LOT rows, or one minute's, are in
memory. The order of rows in files has no influence. Rows whose own time is out of the hour (their clock could
not be believed, so they are filed by the broker's) come last, once the whole hour is settled.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from common.units import HOUR_NS, MINUTE_NS
from consumer.rollup.clocks import Clocks, Solve, counted
from consumer.rollup.exemplars import TAKEN, slowest
from consumer.rollup.matches import COLUMNS, histograms, latencies, messages
from consumer.rollup.sums import SCHEMA, numbers, summed, widened
from lake.inputs import EVER, Inputs, Range
from lake.parquet import PRUNED
from lake.rollup import AROUND, OUTPUTS
from schemas.tables import KINDS

LOT = 250_000
"""Rows that are gone through together."""
_MATCH = list(dict.fromkeys((*COLUMNS, *TAKEN, "wire_ns")))
_PARTS = [name for name in SCHEMA.names if name in KINDS["histogram"].names]
_CODED = pa.schema(
    [
        pa.field(
            field.name, pa.dictionary(pa.int32(), pa.string()) if field.type == pa.string() else field.type
        )
        for field in SCHEMA
    ]
)


class Facts(NamedTuple):
    """What an hour is made of."""

    number: int
    """Hours since the epoch."""
    own: Inputs
    """The rows filed in it."""
    clocks: Inputs
    """Rows of kinds clock and reading of it and of the hours on either side."""
    rows: int
    """Of its own there are so many."""


@dataclass
class Made:
    """What an hour came to."""

    rows: dict[str, list[pa.Table]]
    """By kind."""
    new: dict[str, list[pa.Table]]
    """Those of windows that were made, not known before."""
    whole: bool
    """The hour is settled, and its own windows are among the rows."""
    minutes: set[int] = field(default_factory=set)
    """The windows of a minute, by their begin."""
    fresh: set[int] = field(default_factory=set)
    """Those that were made."""
    taken: int = 0
    """Own rows that it is made of, and one more once it is whole."""
    around: int = 0
    """Rows of other hours that clocks of this one were solved with."""
    corrected: int = 0
    """Messages between hosts that have a latency."""
    withheld: int = 0
    """Those that have none for want of a bound."""


class Piece(NamedTuple):
    """What a minute came to."""

    of: tuple[object, ...]
    """What it was made of: how many rows of each kind, as none ever changes, and a digest of the clocks."""
    rows: dict[str, pa.Table]


Known = dict[int, Piece]
"""Minutes of an hour that were rolled up before, by their begin."""


def roll(facts: Facts, line_ns: int, solve: Solve, known: Known) -> Made:
    """Roll up the windows of an hour that end at ``line_ns`` or before.

    Minutes that are ``known`` and made of the same rows are taken from there; those that are made are noted.
    """
    whole = line_ns >= (facts.number + 1) * HOUR_NS
    made = Made(_nothing(), _nothing(), whole, around=around(facts.clocks, facts.number))
    for span in _spans(facts, line_ns):
        _roll(facts, span, solve, made, known)
    if whole:
        begin = facts.number * HOUR_NS
        for span in (Range(EVER.begin, begin), Range(begin + HOUR_NS, EVER.end)):
            _roll(facts._replace(clocks=facts.own), span, solve, made, {})
        made.taken = facts.rows + 1
    hour = _hour(made.rows["rollup"]) if whole else []
    for rows in (made.rows, made.new):
        rows["rollup"] = [*(_below_hour(table) for table in rows["rollup"]), *hour]
    return made


def _nothing() -> dict[str, list[pa.Table]]:
    return {kind: [] for kind in OUTPUTS}


def _hour(fine: list[pa.Table]) -> list[pa.Table]:
    """Return the windows of the hour."""
    return [summed(widened(pa.concat_tables(fine), HOUR_NS)).cast(SCHEMA)] if fine else []


def _below_hour(rows: pa.Table) -> pa.Table:
    """Return rows without those of windows that are an hour long by the consumer's settings."""
    return rows.filter(pc.less(rows["window_ns"], HOUR_NS)).cast(SCHEMA)


def around(clocks: Inputs, index: int) -> int:
    """Return how many rows of other hours the clocks of an hour are solved with."""
    begin, end = index * HOUR_NS, (index + 1) * HOUR_NS
    spans = Range(begin - MINUTE_NS, begin), Range(end, end + MINUTE_NS)
    return sum(clocks.count(kind, span) for kind in AROUND for span in spans)


def _spans(facts: Facts, line_ns: int) -> Iterator[Range]:
    begin, minutes = facts.number * HOUR_NS, HOUR_NS // MINUTE_NS
    settled = min(max((line_ns - begin) // MINUTE_NS, 0), minutes)
    step = max(1, minutes // -(-max(facts.rows, 1) // LOT))
    for at in range(0, settled, step):
        yield Range(begin + at * MINUTE_NS, begin + min(at + step, settled) * MINUTE_NS)


def _roll(facts: Facts, span: Range, solve: Solve, made: Made, known: Known) -> None:
    clocks = Clocks(facts.own, facts.clocks, span)
    there = {kind: counted(facts.own.read(kind, span, PRUNED[kind])) for kind in ("histogram", "match")}
    made.taken += clocks.own + sum(count for counts in there.values() for count in counts.values())
    minutes = sorted(clocks.minutes.union(*there.values()))
    of = {at: (*(counts.get(at, 0) for counts in there.values()), clocks.digest(at)) for at in minutes}
    fresh = [at for at in minutes if at not in known or known[at].of != of[at]]
    if fresh:
        tables = _made(facts.own, clocks, fresh, solve, made)
        for at in fresh:
            known[at] = Piece(of[at], {kind: _of_minute(table, at) for kind, table in tables.items()})
    made.minutes.update(minutes)
    made.fresh.update(fresh)
    for at in minutes:
        for kind, table in known[at].rows.items():
            if table.num_rows:
                made.rows[kind].append(table)
                if at in made.fresh:
                    made.new[kind].append(table)


def _made(own: Inputs, clocks: Clocks, minutes: list[int], solve: Solve, made: Made) -> dict[str, pa.Table]:
    """Return the rows of some minutes, by kind and in the order of windows."""
    span = Range(minutes[0], minutes[-1] + MINUTE_NS)
    parts, matches = (
        _only(own.read(kind, span, names), kind, minutes)
        for kind, names in (("histogram", _PARTS), ("match", _MATCH))
    )
    told = messages(matches)
    solved = clocks.solve(solve, told, minutes)
    found = latencies(told, solved)
    made.corrected += int((found.cross & (found.bound >= 0)).sum())
    made.withheld += int((found.cross & (found.bound < 0)).sum())
    fine = [widened(parts, MINUTE_NS).cast(_CODED), histograms(told, found).cast(_CODED)]
    solutions = [one.rows for _, one in sorted(solved.items())]
    return {
        "clock_solution": pa.concat_tables([KINDS["clock_solution"].empty_table(), *solutions]),
        "rollup": summed(pa.concat_tables(fine)).cast(_CODED),
        "exemplar": slowest(told, found),
    }


def _only(rows: pa.Table, kind: str, minutes: list[int]) -> pa.Table:
    """Return the rows of some minutes, of those that are between the first and the last."""
    at = numbers(rows[PRUNED[kind][0]]) // MINUTE_NS * MINUTE_NS
    wanted = np.isin(at, np.array(minutes))
    return rows if wanted.all() else rows.filter(pa.array(wanted))


def _of_minute(rows: pa.Table, begin: int) -> pa.Table:
    first, last = np.searchsorted(numbers(rows["window_start_ns"]), [begin, begin + MINUTE_NS])
    return rows.slice(first, last - first)
