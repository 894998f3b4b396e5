# SPDX-License-Identifier: Apache-2.0
"""Exchanges of a stream of moves, a stretch at a time: at most three runs of each end are kept between.

What is told depends on which moves came before their end's time passed them, not on their order nor on how
they were cut into stretches. A move that comes later than that is late: counted, and as good as lost.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from consumer.latency.axis import Pieces, pieces_of
from consumer.latency.intervals import I32, I64, Bools
from consumer.latency.turns.advance import Cut, Kept, advance, cut_of
from consumer.latency.turns.find import Found
from consumer.latency.turns.runs import Runs, no_runs
from consumer.latency.turns.tables import (
    Arrived,
    Calls,
    Exchanges,
    Moves,
    Seen,
    Totals,
    by_kind,
    closing,
    join,
    made,
    no_exchanges,
    no_moves,
    take,
    waiting_for,
)


class Ends(NamedTuple):
    """What the caller knows of each end now, (ends,) each."""

    client: Bools
    """It opened the connection: its sends are requests, the other end's are responses."""
    whole: Bools
    """No move of it was left out on purpose; those of other ends are not looked at."""
    settled: I64
    """All moves before this time (the end's CLOCK_MONOTONIC) have come; never lowered."""


class State(NamedTuple):
    """What is kept between stretches; the columns by end have one entry an end."""

    waiting: Moves
    """Moves that others may still come before."""
    runs: Runs
    done: I64
    """By end: up to when moves were taken."""
    arrived: I64
    """By end: where the last arrival was."""
    touched: I64
    """By end: the broker's time of its newest move, ms."""


class Told(NamedTuple):
    """What a stretch brought."""

    clients: tuple[Exchanges, ...]
    """What clients saw, in no order; all tables together."""
    servers: tuple[Exchanges, ...]
    """What servers saw."""
    unproved: Exchanges
    """What is known of each response that a hole next to it kept from being told, or that came too late."""
    late: I32
    """The end of each move that came too late."""
    thinned: int
    """Moves of ends that are not whole."""

    @property
    def exchanges(self) -> Exchanges:
        """All of them."""
        return join(*self.clients, *self.servers)


class Evicted(NamedTuple):
    """What had to go."""

    ends: I32
    moves: I32
    """The end of each waiting move that was let go."""


def nothing() -> State:
    """Return the state before the first move."""
    none = np.zeros(0, dtype=np.int64)
    return State(no_moves(), no_runs(), none, none, none)


def step(state: State, new: Moves, ends: Ends) -> tuple[State, Told]:
    """Take new moves, in any order, and tell the exchanges that are decided; no argument is changed."""
    state = _with_room(state, ends.client.size)
    kept, thinned = _only(new, ends.whole[new.end])
    kept, late = _in_time(kept, state.done)
    state = state._replace(touched=_touched(state.touched, kept))
    ready, waiting = _split(join(state.waiting, kept), ends.settled)
    state = state._replace(waiting=waiting, done=np.maximum(state.done, ends.settled))
    seen = by_kind(ready)
    state, found = _advance(state, seen, cut_of(seen), ends.client)
    return state, Told(*found, late, thinned)


def follow(state: State, new: Seen, closed: Totals, client: Bools) -> tuple[State, Told]:
    """Take new calls of ends whose calls come in the order in which they ended; no argument is changed.

    So an end's newest call settles all its calls: what ended after it comes after it. Arrivals after it wait.
    A close comes after all calls, whatever its time: an application may read on after TCP was done.
    ``touched`` is left to the caller.
    """
    state = _with_room(state, client.size)
    cut, late, answers = cut_of(new), new.reads.end[:0], no_exchanges()
    if _late(new.reads, cut.reads, state.done) or _late(new.sends, cut.sends, state.done):
        answers = _late_answers(new, state.done, client)
        new, late = _not_late(new, state.done)
        cut = cut_of(new)
    came = join(by_kind(state.waiting).arrived, new.arrived)
    settled = state.done.copy()
    for calls, pieces in ((new.reads, cut.reads), (new.sends, cut.sends)):
        if pieces.flow.size:
            np.maximum.at(settled, pieces.flow, np.maximum.reduceat(calls.until, pieces.start) + 1)
    if closed.end.size:
        closed = closed._replace(time=np.maximum(closed.time, settled[closed.end]))
        np.maximum.at(settled, closed.end, closed.time + 1)
        last = by_kind(closing(closed, client))
        new = new._replace(reads=join(new.reads, last.reads), sends=join(new.sends, last.sends))
        cut = cut_of(new)
    state = state._replace(waiting=waiting_for(_unsettled(came, settled)), done=settled)
    state, found = _advance(state, new._replace(arrived=came), cut, client)
    return state, Told(found.clients, found.servers, join(found.unproved, answers), late, 0)


def _late_answers(new: Seen, done: I64, client: Bools) -> Exchanges:
    """Return a row for each call of a response that comes too late: it may have begun an exchange."""
    tables = []
    for calls, answers in ((new.reads, client), (new.sends, ~client)):
        own = take(calls, answers[calls.end] & (calls.time < done[calls.end]))
        marks, nothing = np.zeros(own.end.size, dtype=np.int8), np.zeros_like(own.time)
        named = (own.end, nothing, own.begin, own.time, own.time, own.offset, own.process)
        tables.append(Exchanges(*named, marks, own.born))
    return join(*tables)


def _unsettled(came: Arrived, settled: I64) -> Arrived:
    """Return the arrivals that are not before ``settled``, by end; hardly any end has more than a few."""
    pieces = pieces_of(came.end)
    if not pieces.flow.size:
        return came
    behind = np.maximum.reduceat(came.time, pieces.start) >= settled[pieces.flow]
    rows = np.flatnonzero(np.repeat(behind, pieces.length))
    return take(came, rows[came.time[rows] >= settled[came.end[rows]]])


def _late(calls: Calls, pieces: Pieces, done: I64) -> bool:
    """Say whether any call came too late."""
    if not pieces.flow.size:
        return False
    return bool((np.minimum.reduceat(calls.time, pieces.start) < done[pieces.flow]).any())


def _not_late(new: Seen, done: I64) -> tuple[Seen, I32]:
    """Leave out calls; an arrival that is late is one that was there before."""
    reads, sends = (calls.time < done[calls.end] for calls in (new.reads, new.sends))
    ends = np.concatenate((new.reads.end[reads], new.sends.end[sends]))
    return new._replace(reads=take(new.reads, ~reads), sends=take(new.sends, ~sends)), ends


def _advance(state: State, seen: Seen, cut: Cut, client: Bools) -> tuple[State, Found]:
    kept, found = advance(Kept(state.runs, state.arrived), seen, cut, state.done, client)
    return state._replace(runs=kept.runs, arrived=kept.arrived), found


def _with_room(state: State, ends: int) -> State:
    more = ends - state.done.size
    if not more:
        return state
    columns = [np.append(column, np.zeros(more, dtype=np.int64)) for column in state[2:]]
    return State(state.waiting, state.runs, *columns)


def _only(moves: Moves, wanted: Bools) -> tuple[Moves, int]:
    if wanted.all():
        return moves, 0
    return take(moves, wanted), int(np.count_nonzero(~wanted))


def _in_time(moves: Moves, done: I64) -> tuple[Moves, I32]:
    late = moves.time < done[moves.end]
    if not late.any():
        return moves, moves.end[:0]
    return take(moves, ~late), moves.end[late]


def _split(moves: Moves, settled: I64) -> tuple[Moves, Moves]:
    ready = moves.time < settled[moves.end]
    if ready.all():
        return moves, no_moves()
    return take(moves, ready), take(moves, ~ready)


def _touched(touched: I64, moves: Moves) -> I64:
    answer = touched.copy()
    order = np.argsort(moves.born, kind="stable")  # of one end, the last assignment stays
    answer[moves.end[order]] = moves.born[order]
    return np.maximum(answer, touched)


def bounded(state: State, most_ends: int, most_moves: int) -> tuple[State, Evicted]:
    """Forget the ends not heard for longest, and of the moves that wait the oldest, beyond these numbers.

    Both are as good as lost: what follows is told again once bytes next to each other are seen.
    """
    live = np.unique(np.concatenate((state.runs.end, state.waiting.end)))
    excess = max(live.size - most_ends, 0)
    gone = np.sort(live[np.argsort(state.touched[live], kind="stable")[:excess]])
    kept = np.ones(state.done.size, dtype=bool)
    kept[gone] = False
    waiting = take(state.waiting, kept[state.waiting.end])
    excess = max(waiting.end.size - most_moves, 0)
    oldest = np.sort(np.lexsort((waiting.time, waiting.born))[:excess])
    dropped = np.concatenate((state.waiting.end[~kept[state.waiting.end]], waiting.end[oldest]))
    columns = [np.where(kept, column, 0) for column in (state.arrived, state.touched)]
    state = state._replace(
        waiting=take(waiting, np.delete(np.arange(waiting.end.size), oldest)),
        runs=take(state.runs, kept[state.runs.end]),
        arrived=columns[0],
        touched=columns[1],
    )
    return state, Evicted(gone, dropped)


def renumbered(state: State, number: I32) -> State:
    """Return the state with new end numbers: ``number`` (ends,) maps old to new, -1 = forgotten."""
    kept = np.flatnonzero(number >= 0)
    waiting = take(state.waiting, number[state.waiting.end] >= 0)
    runs = take(state.runs, number[state.runs.end] >= 0)
    columns = []
    for column in state[2:]:
        moved = np.zeros(kept.size, dtype=np.int64)
        moved[number[kept]] = column[kept]
        columns.append(moved)
    return State(waiting._replace(end=number[waiting.end]), runs._replace(end=number[runs.end]), *columns)


def arrays(state: State) -> dict[str, NDArray[Any]]:
    """Return the state as named (n,) arrays, for a snapshot."""
    found: dict[str, NDArray[Any]] = dict(zip(State._fields[2:], state[2:], strict=True))
    found |= {f"waiting.{name}": column for name, column in state.waiting._asdict().items()}
    found |= {f"runs.{name}": column for name, column in state.runs._asdict().items()}
    return found


def restored(found: dict[str, NDArray[Any]]) -> State:
    """Return the state that ``arrays`` was given."""
    like = nothing()
    waiting = made(like.waiting, [found[f"waiting.{name}"] for name in Moves._fields])
    runs = made(like.runs, [found[f"runs.{name}"] for name in Runs._fields])
    return State(waiting, runs, *(found[name] for name in State._fields[2:]))
