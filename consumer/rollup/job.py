# SPDX-License-Identifier: Apache-2.0
"""One round of the roll-up: which hours and days are due, in which order, and their commits.

Nothing has to be remembered between rounds: the table's log says what was rolled up of how many rows. What is
in memory only saves looking again where nothing has changed.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa

from common.units import HOUR_NS
from consumer.rollup import day
from consumer.rollup.clocks import Solve
from consumer.rollup.hour import Facts, Known, Made, around, roll
from consumer.rollup.sums import SCHEMA
from consumer.rollup.told import Told
from lake.errors import StalePositionError
from lake.inputs import EVER, Inputs, Range
from lake.parquet import hour_name
from lake.retention import expired_id, rows_of
from lake.rollup import AROUND, INPUTS, SETTLED, Change, Hour, RollUps, around_id, day_id, hour_id
from lake.settled import Waits

DAY_HOURS = 24
MOST_HOURS = 24
"""That a round of a loop does."""
KEPT_HOURS = 3
"""Hours whose minutes are kept in memory, so that only those that are new or have changed are made."""


class Left(NamedTuple):
    """An hour as this process left it in the table."""

    taken: int
    around: int
    whole: bool
    minutes: set[int]

    def is_part_of(self, made: Made, taken: int | None, around: int | None) -> bool:
        """Tell whether the table still has it so, and all of it is to stay: then the rest is only added."""
        same = (self.taken, self.around) == (taken, around)
        return same and not self.whole and not self.minutes & made.fresh and self.minutes <= made.minutes


@dataclass
class Job:
    """Rolls one lake up."""

    lake: RollUps
    waits: Waits
    solve: Solve
    now_ns: Callable[[], int] = time.time_ns
    span: Range = EVER
    """Only hours that overlap it."""
    most: int | None = None
    """Hours that a round does at most, the newest first: of a lake full of old ones the new do not wait."""
    _hours: dict[int, Hour] = field(default_factory=dict)
    _line: int = 0
    _done: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Hour -> its rows, and the line, when nothing was left to do."""
    _late: dict[int, int] = field(default_factory=dict)
    _rest: dict[int, int] = field(default_factory=dict)
    _known: dict[int, Known] = field(default_factory=dict)
    _left: dict[int, Left] = field(default_factory=dict)

    def round(self) -> Told:
        """Roll up what is due.

        Raises:
            CommitUnknownError, LakeUnavailableError: the next round goes on.
        """
        told, begun, conflicts = Told(), time.monotonic(), self.lake.conflicts
        self._look()
        self._line = max(self._line, self.lake.settled_to(self.waits, self.now_ns()))
        changed = [index for index in self._asked() if self._done.get(index) != self._state(index)]
        changed = sorted(changed, reverse=True)[: self.most]
        for index in changed:
            self._hour(index, told)
        dates = {hour_name(near)[0] for index in changed for near in (index - 1, index, index + 1)}
        for date_begin in sorted({_day_of(index) for index in self._hours if hour_name(index)[0] in dates}):
            self._day(date_begin, told)
        told.too_late, told.settled_ns = sum(self._late.values()), self._line
        told.conflicts, told.seconds = self.lake.conflicts - conflicts, time.monotonic() - begun
        return told

    def _look(self) -> None:
        """See the newest version; what another process took for settled is settled here, too."""
        self._hours = self.lake.refresh()
        self._line = max(self._line, (self.lake.version_of(SETTLED) or 0) * 10**9)

    def _asked(self) -> Iterator[int]:
        for index, hour in self._hours.items():
            if hour.rows and index * HOUR_NS < self.span.end and (index + 1) * HOUR_NS > self.span.begin:
                yield index

    def _state(self, index: int) -> tuple[int, int]:
        hour = self._hours.get(index)
        return hour.rows if hour else 0, min(self._line, (index + 1) * HOUR_NS)

    def _hour(self, index: int, told: Told) -> None:
        """Roll an hour up where it is due; first those beside it whose clocks it has news of."""
        state = self._state(index)
        if not self._is_due(index):
            self._done[index] = state
            return
        for near in (index - 1, index + 1):
            if self._has_news(near):
                self._commit(near, told, again=True)
        if self._commit(index, told, again=False):
            self._done[index] = state

    def _is_due(self, index: int) -> bool:
        hour, rolled = self._hours[index], self.lake.version_of(hour_id(index))
        self._late.pop(index, None)
        if rolled is None:
            return True
        if gone := self.lake.expired_kinds(index):
            self._late[index] = self._too_late(hour, gone)
            return False
        whole = self._line >= (index + 1) * HOUR_NS
        return hour.rows + whole > rolled

    def _too_late(self, hour: Hour, gone: list[str]) -> int:
        """Return how many rows came when others were gone: of those kinds, and what was seen to be added."""
        own = [kind for kind in gone if hour.index <= (self.lake.version_of(expired_id(kind)) or 0)]
        back = sum(rows_of(hour.files.get(kind, ())) for kind in own)
        rest = hour.rows - back
        return back + max(0, rest - self._rest.setdefault(hour.index, rest))

    def _has_news(self, index: int) -> bool:
        """Tell whether more is known around an hour than when it was rolled up."""
        if (
            index not in self._hours
            or self.lake.version_of(hour_id(index)) is None
            or self.lake.expired_kinds(index)
        ):
            return False
        return around(self._clocks(index), index) > (self.lake.version_of(around_id(index)) or 0)

    def _commit(self, index: int, told: Told, *, again: bool) -> bool:
        """Roll an hour up, with ``again`` also if it is made of as many rows as before; False: not done."""
        self._look()
        if index not in self._hours:
            return True
        begun = {
            name: self.lake.version_of(name) for name in (hour_id(index), around_id(index), *_day_ids(index))
        }
        hour, rolled = self._hours[index], begun[hour_id(index)]
        facts = Facts(index, self._inputs(hour, INPUTS), self._clocks(index), hour.rows)
        made = roll(facts, self._line, self.solve, self._kept(index))
        if made.taken < (rolled or 0) + (not again):
            return True
        after = {hour_id(index): made.taken, around_id(index): made.around, SETTLED: self._line // 10**9}
        left = self._left.pop(index, None)
        if left is not None and left.is_part_of(made, rolled, begun[around_id(index)]):
            change = Change(index, made.new, begun, after, adds=True)
        else:
            made.rows["rollup"] += self._of_day(hour)
            change = Change(index, made.rows, begun, after)
        try:
            self.lake.commit(change)
        except StalePositionError:
            told.overtaken += 1
            return False
        self._left[index] = Left(made.taken, made.around, made.whole, made.minutes)
        _count(told, made)
        return True

    def _kept(self, index: int) -> Known:
        """Return what is in memory of an hour, which is forgotten once others were rolled up since."""
        known = self._known.pop(index, {})
        self._known[index] = known
        for oldest in list(self._known)[:-KEPT_HOURS]:
            del self._known[oldest]
            self._left.pop(oldest, None)
        return known

    def _of_day(self, hour: Hour) -> list[pa.Table]:
        """Return the rows of the day that are filed with an hour."""
        if hour.index % DAY_HOURS:
            return []
        return [day.split(self._inputs(hour, ("rollup",)).read("rollup", EVER))[1].cast(SCHEMA)]

    def _day(self, begin: int, told: Told) -> None:
        """Make the windows of a day that is over, where one of its hours has changed."""
        self._look()
        date = hour_name(begin)[0]
        if self._line < (begin + DAY_HOURS) * HOUR_NS or begin <= (
            self.lake.version_of(expired_id("rollup")) or 0
        ):
            return
        names = [
            name for index in range(begin, begin + DAY_HOURS) for name in (hour_id(index), around_id(index))
        ]
        begun = {name: self.lake.version_of(name) for name in (*names, day_id(date))}
        rows = sum(begun[name] or 0 for name in names)
        if not rows or begun[day_id(date)] == rows:
            return
        hours = [self._hours[index] for index in range(begin, begin + DAY_HOURS) if index in self._hours]
        read = [self._inputs(hour, ("rollup",)).read("rollup", EVER).cast(SCHEMA) for hour in hours]
        first = [day.split(table)[0] for hour, table in zip(hours, read, strict=True) if hour.index == begin]
        made = {"rollup": [*first, day.of_hours(pa.concat_tables(read)).cast(SCHEMA)]}
        try:
            self.lake.commit(Change(begin, made, begun, {day_id(date): rows}))
            told.days += 1
        except StalePositionError:
            told.overtaken += 1

    def _inputs(self, hour: Hour, kinds: tuple[str, ...]) -> Inputs:
        return Inputs(self.lake.storage, {kind: hour.files.get(kind, ()) for kind in kinds})

    def _clocks(self, index: int) -> Inputs:
        hours = [self._hours[near] for near in (index - 1, index, index + 1) if near in self._hours]
        files = {kind: [file for hour in hours for file in hour.files.get(kind, ())] for kind in AROUND}
        return Inputs(self.lake.storage, files)


def _day_of(index: int) -> int:
    return index - index % DAY_HOURS


def _day_ids(index: int) -> list[str]:
    return [] if index % DAY_HOURS else [day_id(hour_name(index)[0])]


def _count(told: Told, made: Made) -> None:
    told.hours += 1
    told.windows += len(made.fresh)
    told.messages += made.corrected
    told.withheld += made.withheld
    told.rows += made.taken - made.whole
