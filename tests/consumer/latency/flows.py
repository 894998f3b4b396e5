# SPDX-License-Identifier: Apache-2.0
"""Streams cut at random for tests of matching, and what each match must be, byte by byte."""

import itertools
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from consumer.latency import match as m
from consumer.latency.intervals import DTYPES, Arrivals, Receives, Sends, Table


class Event(NamedTuple):
    """A send or receive of bytes [begin, end), or an arrival up to ``end``."""

    kind: type
    flow: int
    begin: int
    end: int
    time: int


def table(kind: type[Table], events: list[Event], born: int = 0) -> Table:
    rows = [event for event in events if event.kind is kind]
    known = {
        "flow": [event.flow for event in rows],
        "begin": [event.begin for event in rows],
        "end": [event.end for event in rows],
        "time": [event.time for event in rows],
        "born": [born] * len(rows),
    }
    columns: list[Any] = [np.array(known.get(n, [0] * len(rows)), dtype=DTYPES[n]) for n in kind._fields]
    return kind(*columns)


def add(waiting: m.Open, events: list[Event], born: int = 0) -> m.Open:
    return m.add(
        waiting, table(Sends, events, born), table(Receives, events, born), table(Arrivals, events, born)
    )


def found(closed: m.Closed) -> set[tuple[int, int, int, int, int]]:
    """(flow, begin, end, read time, arrival time or -1) of each match."""
    columns = (closed.sends.flow, closed.sends.begin, closed.sends.end, closed.receives.time, closed.arrived)
    return set(zip(*(column.tolist() for column in columns), strict=True))


def expected(events: list[Event]) -> set[tuple[int, int, int, int, int]]:
    """Walk over every byte: who sent it, who read it, when it had come."""
    answer = set()
    for send in (event for event in events if event.kind is Sends):
        last = send.end - 1
        reads = [
            e for e in events if e.kind is Receives and e.flow == send.flow and last in range(e.begin, e.end)
        ]
        if not reads:
            continue
        came = [e for e in events if e.kind is Arrivals and e.flow == send.flow and e.end > last]
        first = min(came, key=lambda e: e.end, default=None)
        arrived = first.time if first is not None and first.time <= reads[0].time else -1
        answer.add((send.flow, send.begin, send.end, reads[0].time, arrived))
    return answer


def cut(total: int) -> st.SearchStrategy[list[tuple[int, int]]]:
    """Cut [0, total) into ranges."""
    points = st.sets(st.integers(1, total - 1), max_size=12) if total > 1 else st.just(set())
    return points.map(lambda inner: _ranges([0, *sorted(inner), total]))


def _ranges(points: list[int]) -> list[tuple[int, int]]:
    return list(itertools.pairwise(points))


@st.composite
def streams(draw: st.DrawFn, flows: int = 3) -> list[Event]:
    """All events of some flows: bytes are sent in order, come in order and are read after they came."""
    events: list[Event] = []
    for flow in range(draw(st.integers(1, flows))):
        total, start = draw(st.integers(1, 60)), draw(st.sampled_from([0, 1000, 2**61]))
        for begin, end in draw(cut(total)):
            events.append(Event(Sends, flow, start + begin, start + end, 10 * begin))
        for begin, end in draw(cut(total)):
            events.append(Event(Receives, flow, start + begin, start + end, 10 * end + 5))
        for _, end in draw(cut(total)):
            events.append(Event(Arrivals, flow, 0, start + end, 10 * end))
    return events
