# SPDX-License-Identifier: Apache-2.0
"""What exchanges one end can prove, by looking at every byte; and how tests run the real thing."""

import random
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from consumer.latency.turns.state import Ends, State, Told, nothing, step
from consumer.latency.turns.tables import (
    ARRIVED,
    EARLY,
    PAUSED,
    READ,
    SENT,
    Exchanges,
    Moves,
    join,
    no_exchanges,
    take,
)
from support.exchanges import Event

LAST = 2**62
Name = tuple[int, int, int]
"""End, request end, response begin."""


class Row(NamedTuple):
    """One exchange."""

    name: Name
    asked: int
    answered: int
    marks: int


def moves(events: list[Event]) -> Moves:
    """Return events as a table, each born at its place in the list."""
    rows = np.array(events, dtype=np.int64).reshape(-1, 6)
    end, zero = rows[:, 0].astype(np.int32), np.zeros(len(events), dtype=np.int64)
    born = np.arange(len(events), dtype=np.int64)
    begin, stop, time, until = rows[:, 2:].T.copy()
    return Moves(end, rows[:, 1].astype(np.int8), begin, stop, time, until, zero, end, born)


def ends(count: int, settled: int = LAST, client: int = 0) -> Ends:
    """Even ends ask (``client`` = 0) or odd ones do; all are whole."""
    return Ends(
        np.arange(count) % 2 == client, np.ones(count, dtype=bool), np.full(count, settled, dtype=np.int64)
    )


def once(events: Moves, count: int, client: int = 0) -> Told:
    """Find all exchanges in one stretch."""
    return step(nothing(), events, ends(count, client=client))[1]


def in_parts(events: Moves, count: int, dice: random.Random, parts: int) -> tuple[State, Exchanges]:
    """Find them in so many stretches: moves come in any order as long as they are in time."""
    state, found = nothing(), no_exchanges()
    times = sorted(set(events.time.tolist()))
    cuts = [*sorted(dice.choices([*times, LAST], k=parts - 1)), LAST]
    left = np.arange(events.end.size)
    for settled in cuts:
        due = events.time[left] < settled
        come = due | np.array([dice.random() < 0.3 for _ in left], dtype=bool)
        chosen = left[come]
        dice.shuffle(chosen)
        state, told = step(state, take(events, chosen), ends(count, settled))
        assert not told.late.size
        found = join(found, told.exchanges)
        left = left[~come]
    return state, found


def rows(found: Exchanges) -> list[Row]:
    """Return a table as rows, in order of their names."""
    names = zip(found.end.tolist(), found.request_end.tolist(), found.response_begin.tolist(), strict=True)
    others = (found.asked.tolist(), found.answered.tolist(), found.marks.tolist())
    return sorted(Row(name, *rest) for name, *rest in zip(names, *others, strict=True))


Moment = tuple[int, int]


def proved(events: list[Event], end: int, *, client: bool) -> set[Row]:
    """Try every pair of a request byte and a response byte of one end."""
    ask, answer = (SENT, READ) if client else (READ, SENT)
    when: dict[int, dict[int, Moment]] = {READ: {}, SENT: {}}
    mine = [event for event in events if event.end == end and event.kind != ARRIVED]
    for event in mine:
        when[event.kind].update(dict.fromkeys(range(event.begin, event.stop), (event.time, event.kind)))
    found = set()
    for last, t in when[ask].items():
        for first, u in when[answer].items():
            earlier, later = when[answer].get(first - 1), when[ask].get(last + 1)
            if not (t < u and later is not None and later > u):
                continue
            if first and (earlier is None or earlier >= t):
                continue
            if any(t < (event.time, event.kind) < u for event in mine):
                continue
            row = Row((end, last + 1, first), t[0], u[0], 0)
            found.add(row._replace(marks=_marks(events, row, when, mine, client=client)))
    return found


def _marks(
    events: list[Event], row: Row, when: dict[int, dict[int, Moment]], mine: list[Event], *, client: bool
) -> int:
    """Say whether the request's bytes were moved with pauses, or others were there when it was answered."""
    end, stop, _ = row.name
    ask, answer = (SENT, READ) if client else (READ, SENT)
    since = max((m for m in when[answer].values() if m < (row.asked, ask)), default=(-1, 0))
    parts = [event for event in mine if event.kind == ask and since < (event.time, ask)]
    parts = sorted(event for event in parts if event.time <= row.asked)
    pauses = [b.time - a.until for a in parts for b in parts if a.stop == b.begin]
    came = [e for e in events if e.end == end and e.kind == ARRIVED and e.time <= row.answered]
    newest = max(came, key=lambda e: (e.time, e.stop), default=None)
    early = not client and newest is not None and newest.stop > stop
    return EARLY * early + PAUSED * (max(pauses, default=0) > (row.answered - row.asked) // 3)


@st.composite
def scripts(draw: st.DrawFn, count: int = 3) -> list[Event]:
    """Some ends' moves: each direction in order of time and position, with equal stamps and no gaps."""
    events = []
    for end in range(count):
        time, place = draw(st.integers(0, 5)), {ARRIVED: 0, READ: 0, SENT: 0}
        kinds = st.lists(st.sampled_from([ARRIVED, READ, READ, SENT, SENT]), max_size=14)
        for kind in draw(kinds):
            time += draw(st.integers(0, 3))
            begin, size = place[kind], draw(st.integers(1, 3))
            place[kind] = stop = begin + size
            spent = draw(st.integers(0, 2)) if kind == SENT else 0
            events.append(Event(end, kind, stop if kind == ARRIVED else begin, stop, time, time + spent))
    return events
