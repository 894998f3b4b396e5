# SPDX-License-Identifier: Apache-2.0
"""``wirelag-agent count``: how many times tcp_sendmsg was called, as the article's first program says.

The total is the kernel program's own counter: it holds whatever the perf buffer loses. By process it is
counted from events, and what was lost stands in the summary.
"""

import threading
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from agent.kernel.capture import Capture
from agent.live import show
from agent.live.choice import Choice
from agent.live.source import Live, Step
from schemas.event import Flag, Kind

LIMIT = 65_536
SHOWN = 5
"""Processes on a line; the summary has all."""


class Pace(NamedTuple):
    """When a line is due, and when it is enough."""

    interval: float
    """Seconds."""
    times: int | None
    now: Callable[[], float]


def count(capture: Capture, pace: Pace, stop: threading.Event, *, json: bool) -> None:
    """Print one line an interval until ``stop`` is set or there were enough, and a summary."""
    capture.start()
    started, lines, total = pace.now(), 0, 0
    try:
        while not stop.is_set() and (pace.times is None or lines < pace.times):
            stop.wait(pace.interval)
            capture.cycle()
            total, before = capture.counters().sends, total
            lines += 1
            _line(total, total - before, Counter(), Counter(), json=json)
    finally:
        total = capture.stop().counters.sends
    _summary(total, pace.now() - started, json=json)


class ByProcess:
    """The same, told apart by process; a ``Program`` of live steps."""

    def __init__(self, live: Live, choice: Choice, pace: Pace, *, json: bool) -> None:
        self._live, self._choice, self._pace, self._json = live, choice, pace, json
        self._started = pace.now()
        self._due = self._started + pace.interval
        self._lines = 0
        self._total: Counter[tuple[int, str]] = Counter()
        self._new: Counter[tuple[int, str]] = Counter()

    def take(self, step: Step) -> bool:
        """Count a step; print where a line is due."""
        self._add(step)
        if self._pace.now() < self._due:
            return False
        self._due += self._pace.interval
        _line(self._total.total(), self._new.total(), self._total, self._new, json=self._json)
        self._new.clear()
        self._lines += 1
        return self._pace.times is not None and self._lines >= self._pace.times

    def finish(self, step: Step) -> None:
        """Count the last step and print the account of each process."""
        self._add(step)
        seconds = self._pace.now() - self._started
        if not self._json:
            for who, sends in self._total.most_common():
                print(f"{sends:>12,}  {_name(who)}")
        counters = self._live.counters
        lost = counters.hooks["send"].lost + counters.hooks["send"].nested if counters else 0
        _summary(self._total.total(), seconds, json=self._json, lost=lost, processes=self._total)

    def _add(self, step: Step) -> None:
        ended = (step.events["kind"] == Kind.SEND) & (step.events["flags"] & int(Flag.LAST_PIECE) != 0)
        for index, sends in Counter(step.process[ended].tolist()).items():
            process = self._live.process(index)
            if not self._choice.wants(process):
                continue
            who = (process.pid, process.name)
            if who not in self._total and len(self._total) >= LIMIT:
                who = (0, "others")
            self._total[who] += sends
            self._new[who] += sends


def _name(who: tuple[int, str]) -> str:
    return f"{show.clean(who[1]) or '?'}[{who[0]}]"


def _rows(total: Counter[tuple[int, str]], new: Counter[tuple[int, str]]) -> list[dict[str, object]]:
    return [
        {"pid": who[0], "name": who[1], "sends": sends, "new": new[who]} for who, sends in total.most_common()
    ]


def _line(
    total: int, new: int, sums: Counter[tuple[int, str]], news: Counter[tuple[int, str]], *, json: bool
) -> None:
    if json:
        told = {"kind": "count", "sends": total, "new": new, "processes": _rows(sums, news)}
        print(msgspec.json.encode(told).decode(), flush=True)
        return
    who = "".join(f"   {_name(one)} +{sends}" for one, sends in news.most_common(SHOWN))
    print(f"tcp_sendmsg: {total}   (+{new}){who}", flush=True)


def _summary(
    total: int,
    seconds: float,
    *,
    json: bool,
    lost: int = 0,
    processes: Counter[tuple[int, str]] | None = None,
) -> None:
    if json:
        rows = _rows(processes or Counter(), Counter())
        told = {"kind": "summary", "sends": total, "seconds": seconds, "lost": lost, "processes": rows}
        print(msgspec.json.encode(told).decode(), flush=True)
        return
    missing = f", {lost} more lost on the way here" if lost else ""
    print(f"{total} sends in {seconds:.1f} s, {total / seconds:.0f}/s{missing}", flush=True)
