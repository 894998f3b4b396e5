# SPDX-License-Identifier: Apache-2.0
"""Match sends with receives and arrivals by byte position, and say what closes: one call is one tick.

A send [a, e) belongs to the receive [b, c) of its flow with b < e <= c: the read that took its last byte.
Its arrival is the earliest one with a position >= e, and not later than that read ended (no byte is read
before it came, so a later stamp is that of other bytes). Nothing else is asked, never the order of calls:
lost events cost answers and do not give a wrong partner.
"""

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from consumer.latency import islands as land
from consumer.latency.axis import places
from consumer.latency.intervals import (
    I32,
    I64,
    Arrivals,
    Bools,
    Index,
    Reads,
    Receives,
    Sends,
    empty,
    join,
    take,
)
from consumer.latency.islands import Islands, Located
from consumer.latency.lines import Ends, Line, Lines, Part, locate, parts

MOST_STAMPS = 64
"""Arrivals kept with one hole: those nearest to its end."""


class Open(NamedTuple):
    """What waits from tick to tick."""

    sends: Sends
    receives: Receives
    arrivals: Arrivals
    islands: Islands


class Now(NamedTuple):
    """The moment of a tick, in broker milliseconds."""

    broker_ms: int
    expire_before: int
    """What was born then or earlier closes now."""
    final: bool
    """Pairs wait no longer for an arrival."""
    limits: I64 | None = None
    """(flows,) by end: in its place for what waits for that end, None: the same for all."""
    linger_ms: int = 0
    """How much longer arrivals stay, for reads that close after them."""


class Stamps(NamedTuple):
    """(m,) arrivals in the bytes of holes, those of one hole together and ascending."""

    hole: I64
    end: I64
    time: I64
    flags: I32


class Holes(NamedTuple):
    """Ranges of expired receives that no send was found for, (n,) each; ``receives`` are their receives."""

    receives: Receives
    begin: I64
    end: I64
    first: Bools
    """The first hole of its receive."""
    stamps: Stamps
    """What messages that end in them could take."""


class Closed(NamedTuple):
    """What left the state at a tick. The first four go together, one row a match, sorted by (flow, end)."""

    sends: Sends
    receives: Reads
    arrived: I64
    """Arrival time, -1 where none was seen."""
    arrival_flags: I32
    expired: Sends
    holes: Holes


class Pairs(NamedTuple):
    """Matches: each send's place on its line, and the rows of send, receive and arrival (-1: none)."""

    place: Index
    send: Index
    receive: Index
    arrival: Index


class _Done(NamedTuple):
    """What comes of a part: rows of the waiting tables, where nothing else is said.

    The first three go together, a match each; ``arrival`` is -1 where none was seen.
    """

    send: Index
    receive: Index
    arrival: Index
    expired: Index
    open_sends: Index
    open_receives: Index
    open_arrivals: Index
    islands: Islands
    holes: Holes


def nothing() -> Open:
    """Return the state before the first event."""
    return Open(empty(Sends), empty(Receives), empty(Arrivals), land.none())


def add(waiting: Open, sends: Sends, receives: Receives, arrivals: Arrivals) -> Open:
    """Return the state with new events behind those that wait."""
    return Open(
        join([waiting.sends, sends]),
        join([waiting.receives, receives]),
        join([waiting.arrivals, arrivals]),
        waiting.islands,
    )


def match(waiting: Open, flows: int, now: Now) -> tuple[Open, Closed]:
    """Match all that waits; flow numbers are below ``flows``. Returns what still waits and what closed."""
    done = [_part(waiting, part, now) for part in parts(*waiting, flows)]
    rows = {name: _together([getattr(one, name) for one in done]) for name in _Done._fields[:7]}
    still = Open(
        take(waiting.sends, rows["open_sends"]),
        take(waiting.receives, rows["open_receives"]),
        take(waiting.arrivals, rows["open_arrivals"]),
        land.join([one.islands for one in done]),
    )
    seen = rows["arrival"] >= 0
    return still, Closed(
        take(waiting.sends, rows["send"]),
        take(Reads(*(getattr(waiting.receives, name) for name in Reads._fields)), rows["receive"]),
        _where(seen, waiting.arrivals.time, rows["arrival"], -1),
        _where(seen, waiting.arrivals.flags, rows["arrival"], 0),
        take(waiting.sends, rows["expired"]),
        _joined([one.holes for one in done]),
    )


def _part(waiting: Open, part: Part, now: Now) -> _Done:
    lines = locate(part, *waiting[:3])
    pairs = _ripe(waiting, pair(waiting, lines), now)
    matched = land.union(lines.islands, _ranges(waiting.sends, lines.sends, pairs, now))
    young, expired = _leftover_sends(waiting.sends, np.delete(lines.sends.order, pairs.place), now)
    receives, holes = _leftover_receives(waiting, lines, matched, now)
    return _Done(
        pairs.send,
        pairs.receive,
        pairs.arrival,
        expired,
        young,
        receives,
        _leftover_arrivals(waiting.arrivals, lines.arrivals, matched, now),
        land.keep(matched.islands, _either_limit(now, matched.islands.flow)),
        holes,
    )


def _together(columns: list[Index]) -> Index:
    return columns[0] if len(columns) == 1 else np.concatenate(columns)


def _joined(of_parts: list[Holes]) -> Holes:
    """Return the holes of all parts; the stamps' holes are numbered on."""
    if len(of_parts) == 1:
        return of_parts[0]
    numbers = np.cumsum([0, *(part.begin.size for part in of_parts[:-1])])
    stamps = [part.stamps for part in of_parts]
    hole = np.concatenate([one.hole + number for one, number in zip(stamps, numbers, strict=True)])
    rest = [np.concatenate(columns) for columns in list(zip(*stamps, strict=True))[1:]]
    return Holes(
        join([part.receives for part in of_parts]),
        np.concatenate([part.begin for part in of_parts]),
        np.concatenate([part.end for part in of_parts]),
        np.concatenate([part.first for part in of_parts]),
        Stamps(hole, *rest),
    )


_Number = TypeVar("_Number", np.int64, np.int32)


def _where(seen: Bools, column: NDArray[_Number], index: Index, otherwise: int) -> NDArray[_Number]:
    if not column.size:
        return np.full(index.size, otherwise, dtype=column.dtype)
    return np.where(seen, column[index], column.dtype.type(otherwise))


def pair(waiting: Open, lines: Lines) -> Pairs:
    """Find the receive of each send's last byte, and the arrival."""
    sends, receives, arrivals, _ = lines
    if not receives.high.size:
        none = np.zeros(0, dtype=np.intp)
        return Pairs(none, none, none, none)
    partner = places(receives.high, sends.high)
    within = np.searchsorted(sends.high, receives.high[-1], side="right")
    # A receive of another flow begins above this one.
    place = np.flatnonzero(receives.low[partner[:within]] < sends.high[:within])
    send, receive = sends.order[place], receives.order[partner[place]]
    if not arrivals.high.size:
        return Pairs(place, send, receive, np.full(send.size, -1, dtype=np.intp))
    after = places(arrivals.high, sends.high[place])
    beyond = after == arrivals.high.size
    after[beyond] = 0
    arrival = arrivals.order[after]
    late = waiting.arrivals.time[arrival] > waiting.receives.time[receive]
    alien = waiting.arrivals.flow[arrival] != waiting.sends.flow[send]
    arrival[beyond | alien | late] = -1
    return Pairs(place, send, receive, arrival)


def _ripe(waiting: Open, pairs: Pairs, now: Now) -> Pairs:
    """Leave out the pairs that wait for an arrival."""
    bare = np.flatnonzero(pairs.arrival < 0)
    if now.final or not bare.size:
        return pairs
    sends, receives = pairs.send[bare], pairs.receive[bare]
    flow = waiting.sends.flow[sends]
    sent, read = waiting.sends.born[sends], waiting.receives.born[receives]
    young = bare[(sent > _limit(now, flow ^ 1)) & (read > _limit(now, flow))]
    return Pairs(*(np.delete(column, young) for column in pairs)) if young.size else pairs


def _ranges(sends: Sends, line: Ends, pairs: Pairs, now: Now) -> Located:
    """Return the bytes that matched, in order, the fewest ranges."""
    low, high = sends.begin[pairs.send] + line.shift[pairs.place], line.high[pairs.place]
    first, last = land.runs(low, high)
    begins, ends = pairs.send[first], pairs.send[last]
    touched = np.full(first.size, now.broker_ms, dtype=np.int64)
    ranges = Islands(sends.flow[begins], sends.begin[begins], sends.end[ends], touched)
    return Located(ranges, low[first], high[last])


def _limit(now: Now, end: I32) -> int | I64:
    """Return up to when what waits for each of (n,) ends was born that closes now."""
    return now.expire_before if now.limits is None else now.limits[end]


def _either_limit(now: Now, flow: I32) -> int | I64:
    """Return the lower limit of both ends of each of (n,) flows."""
    return now.expire_before if now.limits is None else np.minimum(now.limits[flow], now.limits[flow ^ 1])


def _leftover_sends(sends: Sends, rows: Index, now: Now) -> tuple[Index, Index]:
    """Return which of the rows stay and which expire."""
    old = sends.born[rows] <= _limit(now, sends.flow[rows] ^ 1)
    return rows[~old], rows[old]


def _leftover_receives(waiting: Open, lines: Lines, matched: Located, now: Now) -> tuple[Index, Holes]:
    line = lines.receives
    rest = np.flatnonzero(~land.covered(matched, line.low, line.high))
    old = waiting.receives.born[line.order[rest]] <= _limit(now, waiting.receives.flow[line.order[rest]])
    young, gone = rest[~old], rest[old]
    open_ = land.holes(matched, line.low[gone], line.high[gone])
    receives = take(waiting.receives, line.order[gone][open_.owner])
    begin, end = land.bounds(matched.islands, open_.before, open_.after, receives.begin, receives.end)
    stamps = _stamps(waiting.arrivals, lines.arrivals, (open_.low, open_.high), receives)
    first = np.diff(open_.owner, prepend=-1) != 0
    return line.order[young], Holes(receives, begin, end, first, stamps)


def _stamps(arrivals: Arrivals, line: Line, hole: tuple[I64, I64], receives: Receives) -> Stamps:
    """Return the arrivals within each hole and the first one behind it, as far as they are not too late."""
    begin = np.searchsorted(line.high, hole[0], side="right")
    end = np.minimum(np.searchsorted(line.high, hole[1], side="left") + 1, line.high.size)
    begin = np.maximum(begin, end - MOST_STAMPS)
    sizes = np.maximum(end - begin, 0)
    owner = np.repeat(np.arange(sizes.size), sizes)
    at = np.arange(owner.size) + np.repeat(begin - (np.cumsum(sizes) - sizes), sizes)
    row = line.order[at]
    good = (arrivals.flow[row] == receives.flow[owner]) & (arrivals.time[row] <= receives.time[owner])
    row = row[good]
    return Stamps(owner[good], arrivals.end[row], arrivals.time[row], arrivals.flags[row])


def _leftover_arrivals(arrivals: Arrivals, line: Line, matched: Located, now: Now) -> Index:
    rest = line.order[~land.needless(matched, line.high)]
    limit = _either_limit(now, arrivals.flow[rest])
    return rest[arrivals.born[rest] > limit - now.linger_ms]
