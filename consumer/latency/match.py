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
from consumer.latency.axis import Points, coordinates, order_by_flow, places
from consumer.latency.intervals import I32, I64, Arrivals, Bools, Index, Receives, Sends, empty, join, take
from consumer.latency.islands import Islands, Located

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
    receives: Receives
    arrived: I64
    """Arrival time, -1 where none was seen."""
    arrival_flags: I32
    expired: Sends
    holes: Holes


class _Line(NamedTuple):
    """One table on the common line, in ascending order of ``high``; ``order`` leads back to its rows."""

    order: Index
    flow: I32
    low: I64
    high: I64


class _Lines(NamedTuple):
    sends: _Line
    receives: _Line
    arrivals: _Line
    islands: Located


class _Pairs(NamedTuple):
    """Matches: places on the lines of sends, receives and arrivals (-1: none)."""

    send: Index
    receive: Index
    arrival: Index


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
    lines = _locate(waiting, flows)
    pairs = _ripe(waiting, lines, _pair(waiting, lines), now)
    matched = land.union(lines.islands, land.runs(_ranges(waiting, lines.sends, pairs.send, now)))
    sends, expired = _leftover_sends(waiting, lines.sends, pairs, now)
    receives, holes = _leftover_receives(waiting, lines, matched, now)
    arrivals = _leftover_arrivals(waiting, lines.arrivals, matched, now)
    islands = land.keep(matched.islands, _either_limit(now, matched.islands.flow))
    still = Open(sends, receives, arrivals, islands)
    seen = pairs.arrival >= 0
    arrival = lines.arrivals.order[pairs.arrival] if lines.arrivals.order.size else pairs.arrival
    return still, Closed(
        take(waiting.sends, lines.sends.order[pairs.send]),
        take(waiting.receives, lines.receives.order[pairs.receive]),
        _where(seen, waiting.arrivals.time, arrival, -1),
        _where(seen, waiting.arrivals.flags, arrival, 0),
        expired,
        holes,
    )


_Number = TypeVar("_Number", np.int64, np.int32)


def _where(seen: Bools, column: NDArray[_Number], index: Index, otherwise: int) -> NDArray[_Number]:
    if not column.size:
        return np.full(index.size, otherwise, dtype=column.dtype)
    return np.where(seen, column[index], column.dtype.type(otherwise))


def _locate(waiting: Open, flows: int) -> _Lines:
    sends, receives, arrivals, islands = waiting
    points = [
        Points(sends.flow, (sends.begin, sends.end)),
        Points(receives.flow, (receives.begin, receives.end)),
        Points(arrivals.flow, (arrivals.end,)),
        Points(islands.flow, (islands.begin, islands.end)),
    ]
    placed = coordinates(points, flows)
    lines = [_sorted(points[kind].flow, placed[kind], flows) for kind in range(3)]
    return _Lines(lines[0], lines[1], _earliest(lines[2], arrivals.time), Located(islands, *placed[3]))


def _sorted(flow: I32, placed: list[I64], flows: int) -> _Line:
    order = order_by_flow(flow, flows)
    line = _Line(order, flow[order], placed[0][order], placed[-1][order])
    if (line.high[1:] >= line.high[:-1]).all():
        return line
    return _reorder(line, np.argsort(line.high, kind="stable"))


def _reorder(line: _Line, index: Index | Bools) -> _Line:
    return _Line(line.order[index], line.flow[index], line.low[index], line.high[index])


def _earliest(line: _Line, time: I64) -> _Line:
    """Leave out arrivals that one of a higher position came before: no message takes them."""
    stamp = time[line.order]
    same = line.flow[1:] == line.flow[:-1]
    if not (same & (stamp[1:] < stamp[:-1])).any():
        return line
    rank = np.empty(stamp.size, dtype=np.int64)
    rank[np.lexsort((stamp, line.flow))] = np.arange(stamp.size)
    best = np.minimum.accumulate(rank[::-1])[::-1]
    return _reorder(line, rank == best)


def _pair(waiting: Open, lines: _Lines) -> _Pairs:
    sends, receives, arrivals, _ = lines
    if not receives.high.size:
        none = np.zeros(0, dtype=np.intp)
        return _Pairs(none, none, none)
    partner = places(receives.high, sends.high)
    within = np.searchsorted(sends.high, receives.high[-1], side="right")
    # A receive of another flow begins above this one.
    send = np.flatnonzero(receives.low[partner[:within]] < sends.high[:within])
    receive = partner[send]
    if not arrivals.high.size:
        return _Pairs(send, receive, np.full(send.size, -1, dtype=np.intp))
    arrival = places(arrivals.high, sends.high[send])
    beyond = arrival == arrivals.high.size
    arrival[beyond] = 0
    stamped = waiting.arrivals.time[arrivals.order[arrival]] <= waiting.receives.time[receives.order[receive]]
    alien = arrivals.flow[arrival] != sends.flow[send]
    arrival[beyond | alien | ~stamped] = -1
    return _Pairs(send, receive, arrival)


def _ripe(waiting: Open, lines: _Lines, pairs: _Pairs, now: Now) -> _Pairs:
    """Leave out the pairs that wait for an arrival."""
    bare = np.flatnonzero(pairs.arrival < 0)
    if now.final or not bare.size:
        return pairs
    flow = lines.sends.flow[pairs.send[bare]]
    sent = waiting.sends.born[lines.sends.order[pairs.send[bare]]]
    read = waiting.receives.born[lines.receives.order[pairs.receive[bare]]]
    young = bare[(sent > _limit(now, flow ^ 1)) & (read > _limit(now, flow))]
    return _Pairs(*(np.delete(column, young) for column in pairs)) if young.size else pairs


def _ranges(waiting: Open, line: _Line, picked: Index, now: Now) -> Located:
    rows = line.order[picked]
    touched = np.full(rows.size, now.broker_ms, dtype=np.int64)
    ranges = Islands(line.flow[picked], waiting.sends.begin[rows], waiting.sends.end[rows], touched)
    return Located(ranges, line.low[picked], line.high[picked])


def _limit(now: Now, end: I32) -> int | I64:
    """Return up to when what waits for each of (n,) ends was born that closes now."""
    return now.expire_before if now.limits is None else now.limits[end]


def _either_limit(now: Now, flow: I32) -> int | I64:
    """Return the lower limit of both ends of each of (n,) flows."""
    return now.expire_before if now.limits is None else np.minimum(now.limits[flow], now.limits[flow ^ 1])


def _leftover_sends(waiting: Open, line: _Line, pairs: _Pairs, now: Now) -> tuple[Sends, Sends]:
    rest = take(waiting.sends, np.delete(line.order, pairs.send))
    old = rest.born <= _limit(now, rest.flow ^ 1)
    return (take(rest, ~old), take(rest, old)) if old.any() else (rest, empty(Sends))


def _leftover_receives(waiting: Open, lines: _Lines, matched: Located, now: Now) -> tuple[Receives, Holes]:
    line = lines.receives
    rest = np.flatnonzero(~land.covered(matched, line.low, line.high))
    old = waiting.receives.born[line.order[rest]] <= _limit(now, line.flow[rest])
    young, gone = rest[~old], rest[old]
    open_ = land.holes(matched, line.low[gone], line.high[gone])
    receives = take(waiting.receives, line.order[gone][open_.owner])
    begin, end = land.bounds(matched.islands, open_.before, open_.after, receives.begin, receives.end)
    stamps = _stamps(waiting.arrivals, lines.arrivals, (open_.low, open_.high), receives)
    first = np.diff(open_.owner, prepend=-1) != 0
    return take(waiting.receives, line.order[young]), Holes(receives, begin, end, first, stamps)


def _stamps(arrivals: Arrivals, line: _Line, hole: tuple[I64, I64], receives: Receives) -> Stamps:
    """Return the arrivals within each hole and the first one behind it, as far as they are not too late."""
    begin = np.searchsorted(line.high, hole[0], side="right")
    end = np.minimum(np.searchsorted(line.high, hole[1], side="left") + 1, line.high.size)
    begin = np.maximum(begin, end - MOST_STAMPS)
    sizes = np.maximum(end - begin, 0)
    owner = np.repeat(np.arange(sizes.size), sizes)
    at = np.arange(owner.size) + np.repeat(begin - (np.cumsum(sizes) - sizes), sizes)
    row = line.order[at]
    good = (line.flow[at] == receives.flow[owner]) & (arrivals.time[row] <= receives.time[owner])
    row = row[good]
    return Stamps(owner[good], arrivals.end[row], arrivals.time[row], arrivals.flags[row])


def _leftover_arrivals(waiting: Open, line: _Line, matched: Located, now: Now) -> Arrivals:
    rest = line.order[~land.needless(matched, line.high)]
    limit = _either_limit(now, waiting.arrivals.flow[rest])
    return take(waiting.arrivals, rest[waiting.arrivals.born[rest] > limit - now.linger_ms])
