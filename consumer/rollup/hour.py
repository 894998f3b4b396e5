# SPDX-License-Identifier: Apache-2.0
"""From an hour's facts to its roll-up: a pure function of them and of the time up to which they are settled.

It goes through the hour by ranges of minutes, so that no more than about LOT rows, or one minute's, are in
memory. The order of rows in files has no influence. Rows whose own time is out of the hour (their clock could
not be believed, so they are filed by the broker's) come last, once the whole hour is settled.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from consumer.rollup.exemplars import TAKEN, slowest
from consumer.rollup.matches import COLUMNS, Latencies, Solved, histograms, latencies, messages
from consumer.rollup.sums import HOUR_NS, MINUTE_NS, SCHEMA, numbers, summed, widened
from lake.inputs import Inputs, Range
from lake.parquet import PRUNED
from schemas.tables import KINDS

LOT = 1_000_000
"""Rows that are gone through together."""
Solve = Callable[[int, int, pa.Table, pa.Table], Solved]
"""Of a window's begin and length, and the rows of kinds clock and reading in and a minute around it."""
_MATCH = list(dict.fromkeys((*COLUMNS, *TAKEN, "wire_ns")))
_PARTS = [name for name in SCHEMA.names if name in KINDS["histogram"].names]
_ORDER = {
    "clock": ("at_ns", "sender_boot", "receiver_boot", "topic_partition", "tick"),
    "reading": ("at_ns", "boot", "epoch", "topic_partition", "tick"),
}
_CODED = pa.schema(
    [
        pa.field(
            field.name, pa.dictionary(pa.int32(), pa.string()) if field.type == pa.string() else field.type
        )
        for field in SCHEMA
    ]
)
_FIRST, _LAST = -(1 << 63), (1 << 63) - 1


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
    taken: int = 0
    """Own rows that it is made of."""
    around: int = 0
    """Rows of other hours that clocks of this one were solved with."""
    windows: int = 0
    corrected: int = 0
    """Messages between hosts that have a latency."""
    withheld: int = 0
    """Those that have none for want of a bound."""


def roll(facts: Facts, line_ns: int, solve: Solve) -> Made:
    """Roll up the windows of an hour that end at ``line_ns`` or before."""
    made = Made(
        {"clock_solution": [], "rollup": [], "exemplar": []}, around=around(facts.clocks, facts.number)
    )
    whole = line_ns >= (facts.number + 1) * HOUR_NS
    for span in _spans(facts, line_ns):
        _roll(facts, span, solve, made)
    if whole:
        begin = facts.number * HOUR_NS
        for span in (Range(_FIRST, begin), Range(begin + HOUR_NS, _LAST)):
            _roll(facts._replace(clocks=facts.own), span, solve, made)
        made.taken = facts.rows
    if made.rows["rollup"]:
        fine = pa.concat_tables(made.rows["rollup"])
        made.windows = len(pc.unique(fine["window_start_ns"]))
        below = fine.filter(pc.less(fine["window_ns"], HOUR_NS))
        made.rows["rollup"] = [below.cast(SCHEMA), summed(widened(fine, HOUR_NS)).cast(SCHEMA)]
    return made


def around(clocks: Inputs, index: int) -> int:
    """Return how many rows of other hours the clocks of an hour are solved with."""
    begin, end = index * HOUR_NS, (index + 1) * HOUR_NS
    spans = Range(begin - MINUTE_NS, begin), Range(end, end + MINUTE_NS)
    return sum(clocks.count(kind, span) for kind in _ORDER for span in spans)


def _spans(facts: Facts, line_ns: int) -> Iterator[Range]:
    begin, minutes = facts.number * HOUR_NS, HOUR_NS // MINUTE_NS
    settled = min(max((line_ns - begin) // MINUTE_NS, 0), minutes)
    step = max(1, minutes // -(-max(facts.rows, 1) // LOT))
    for at in range(0, settled, step):
        yield Range(begin + at * MINUTE_NS, begin + min(at + step, settled) * MINUTE_NS)


def _roll(facts: Facts, span: Range, solve: Solve, made: Made) -> None:
    parts = facts.own.read("histogram", span, _PARTS)
    matches = facts.own.read("match", span, _MATCH)
    told = messages(matches)
    clocks = _Clocks(facts, span)
    solved = clocks.solve(solve, told)
    found = latencies(told, solved)
    made.taken += parts.num_rows + matches.num_rows + clocks.own
    made.corrected += int((found.cross & (found.bound >= 0)).sum())
    made.withheld += int((found.cross & (found.bound < 0)).sum())
    made.rows["clock_solution"] += [one.rows for _, one in sorted(solved.items())]
    _add(made, parts, told, found)


def _add(made: Made, parts: pa.Table, told: pa.Table, found: Latencies) -> None:
    fine = [widened(parts, MINUTE_NS).cast(_CODED), histograms(told, found).cast(_CODED)]
    rows = summed(pa.concat_tables(fine))
    if rows.num_rows:
        made.rows["rollup"].append(rows.cast(_CODED))
    if (slow := slowest(told, found)).num_rows:
        made.rows["exemplar"].append(slow)


class _Clocks:
    """What clocks of a range of minutes are solved from."""

    def __init__(self, facts: Facts, span: Range) -> None:
        near = Range(
            max(span.begin, _FIRST + MINUTE_NS) - MINUTE_NS, min(span.end, _LAST - MINUTE_NS) + MINUTE_NS
        )
        self._tables: dict[str, pa.Table] = {}
        self._times = {}
        self._minutes: set[int] = set()
        self.own = 0
        """Rows of the hour in the range."""
        for kind, order in _ORDER.items():
            table = facts.clocks.read(kind, near).cast(KINDS[kind])
            self._tables[kind] = table.sort_by([(name, "ascending") for name in order])
            self._times[kind] = numbers(self._tables[kind][PRUNED[kind][0]])
            mine = numbers(facts.own.read(kind, span, PRUNED[kind])[PRUNED[kind][0]])
            self.own += mine.size
            self._minutes |= set((np.unique(mine // MINUTE_NS) * MINUTE_NS).tolist())

    def solve(self, solve: Solve, told: pa.Table) -> dict[int, Solved]:
        """Return the clocks of each minute of which anything is known: begin -> clocks."""
        return {
            begin: solve(begin, MINUTE_NS, *self._around(begin))
            for begin in sorted(self._minutes | self._asked(told))
        }

    def _asked(self, told: pa.Table) -> set[int]:
        """Return the minutes of messages between hosts, of those with rows in or around them."""
        cross = told.filter(pc.is_valid(told["sender_boot"]))
        minutes = (np.unique(numbers(cross["sent_at_ns"]) // MINUTE_NS) * MINUTE_NS).tolist()
        return {begin for begin in minutes if any(part.num_rows for part in self._around(begin))}

    def _around(self, begin: int) -> list[pa.Table]:
        found = []
        for kind, table in self._tables.items():
            first, last = np.searchsorted(self._times[kind], [begin - MINUTE_NS, begin + 2 * MINUTE_NS])
            found.append(table.slice(first, last - first))
        return found
