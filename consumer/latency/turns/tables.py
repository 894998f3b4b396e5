# SPDX-License-Identifier: Apache-2.0
"""The columns that exchanges are found in: calls in, exchanges out, (n,) arrays of equal length each.

An *end* is ``2 * connection number + side``, as in the engine: the number of the flow that this end sends.
Times are nanoseconds of the end's own CLOCK_MONOTONIC, positions are bytes of one direction.
"""

from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from consumer.latency.intervals import I32, I64, Arrivals, Bools, Index, Receives, Sends

ARRIVED, READ, SENT = 0, 1, 2
"""What a move is. At one instant they come in this order: nothing is answered before it was read."""

PAUSED = 1
"""The request's parts lie apart, by more than a third of the turn: perhaps it is more than one."""
EARLY = 2
"""At a server: bytes after the request were in the kernel before the response began. This is proof."""
TOLD = 4
"""Its turn was told before the other end's word for it came; this is no sign of anything."""
BROKEN = 8
"""Not proved: a call next to it was not seen, which may be part of another exchange, so two are lost."""


class Moves(NamedTuple):
    """What ends saw: calls that moved bytes [begin, stop), and arrivals, with ``begin`` = ``stop``."""

    end: I32
    kind: NDArray[np.int8]
    begin: I64
    stop: I64
    time: I64
    """A send's start, a read's end."""
    until: I64
    """When the call ended."""
    offset: I64
    """What makes times realtime."""
    process: I32
    born: I64
    """The broker's time (ms) of the record."""


class Calls(NamedTuple):
    """Calls of one kind; columns as in ``Moves``."""

    end: I32
    begin: I64
    stop: I64
    time: I64
    until: I64
    offset: I64
    process: I32
    born: I64


class Arrived(NamedTuple):
    """Arrivals at ends."""

    end: I32
    stop: I64
    time: I64
    born: I64


class Seen(NamedTuple):
    """What ends saw, kind by kind: the same as ``Moves``, without a column for the kind."""

    reads: Calls
    sends: Calls
    arrived: Arrived


class Exchanges(NamedTuple):
    """One request and the begin of its response, as one end saw them."""

    end: I32
    request_end: I64
    """Bytes of requests so far, this one with them."""
    response_begin: I64
    """Bytes of responses before this one. With the connection and the request's end, the exchange's name."""
    asked: I64
    """Server: the read of the last request byte ended. Client: the send of it started."""
    answered: I64
    """Server: the send of the first response byte started. Client: the read of it ended."""
    offset: I64
    """Of the call that moved the first response byte."""
    process: I32
    """Who sent: the response at the server, the request at the client."""
    marks: NDArray[np.int8]
    """PAUSED and EARLY: why this end takes the request for more than one, 0 = it does not."""
    born: I64
    """Of the call that proved it."""

    @property
    def turn(self) -> I64:
        """Think time at a server, response time at a client: ns, never negative."""
        return self.answered - self.asked

    @property
    def pipelined(self) -> Bools:
        """This end saw signs that another request was on its way."""
        told: Bools = (self.marks & (PAUSED | EARLY)) != 0
        return told


class Totals(NamedTuple):
    """What a closed end moved in all: proves that no request came after the last response."""

    end: I32
    sent: I64
    """Bytes given to the stream by this end."""
    read: I64
    """Bytes taken from it by the application of this end."""
    time: I64
    born: I64


Some = TypeVar("Some", bound=tuple[Any, ...])


def take(table: Some, index: Index | Bools) -> Some:
    """Return the rows that an index or a mask picks."""
    if index.dtype == np.bool_:
        index = np.flatnonzero(index)
    return made(table, [column[index] for column in table])


def only(seen: Seen, reads: Bools, sends: Bools, arrived: Bools) -> Seen:
    """Return what masks pick of each kind."""
    return Seen(take(seen.reads, reads), take(seen.sends, sends), take(seen.arrived, arrived))


def join(first: Some, *others: Some) -> Some:
    """Return the rows of all tables, in order."""
    filled = [table for table in (first, *others) if table[0].size]
    if len(filled) < 2:  # noqa: PLR2004 - nothing to join
        return filled[0] if filled else first
    return made(first, [np.concatenate(columns) for columns in zip(*filled, strict=True)])


def made(like: Some, columns: list[Any]) -> Some:
    """Return a table of the same kind with other columns."""
    return cast(Some, cast(Any, type(like))(*columns))


def by_kind(found: Moves) -> Seen:
    """Return the same moves, kind by kind."""
    arrived = take(found, found.kind == ARRIVED)
    reads, sends = (take(found, found.kind == kind) for kind in (READ, SENT))
    return Seen(_calls(reads), _calls(sends), Arrived(arrived.end, arrived.stop, arrived.time, arrived.born))


def _calls(found: Moves) -> Calls:
    return Calls(found.end, found.begin, found.stop, *found[4:])


def moves(sends: Sends, receives: Receives, arrivals: Arrivals) -> Moves:
    """Return what was seen at ends, from the tables of flows."""
    sizes = (arrivals.flow.size, receives.flow.size, sends.flow.size)
    unknown = np.zeros(arrivals.flow.size, dtype=np.int64)
    return Moves(
        np.concatenate((arrivals.flow ^ 1, receives.flow ^ 1, sends.flow)),
        np.repeat(np.array((ARRIVED, READ, SENT), dtype=np.int8), sizes),
        np.concatenate((arrivals.end, receives.begin, sends.begin)),
        np.concatenate((arrivals.end, receives.end, sends.end)),
        np.concatenate((arrivals.time, receives.time, sends.time)),
        np.concatenate((arrivals.time, receives.time, sends.time + sends.duration)),
        np.concatenate((unknown, receives.offset, sends.offset)),
        np.concatenate((unknown.astype(np.int32), receives.process, sends.process)),
        np.concatenate((arrivals.born, receives.born, sends.born)),
    )


def seen_at_ends(sends: Sends, receives: Receives, arrivals: Arrivals) -> Seen:
    """Return the same, kind by kind; columns are not copied."""
    reads = Calls(
        receives.flow ^ 1,
        receives.begin,
        receives.end,
        receives.time,
        receives.time,
        receives.offset,
        receives.process,
        receives.born,
    )
    sent = Calls(
        sends.flow,
        sends.begin,
        sends.end,
        sends.time,
        sends.time + sends.duration,
        sends.offset,
        sends.process,
        sends.born,
    )
    return Seen(reads, sent, Arrived(arrivals.flow ^ 1, arrivals.end, arrivals.time, arrivals.born))


def closing(totals: Totals, client: Bools) -> Moves:
    """Return closes as requests of no bytes where the requests ended; ``client`` is by end number."""
    asking = client[totals.end]
    place = np.where(asking, totals.sent, totals.read)
    zero = np.zeros(place.size, dtype=np.int64)
    return Moves(
        totals.end,
        np.where(asking, SENT, READ).astype(np.int8),
        place,
        place,
        totals.time,
        totals.time,
        zero,
        zero.astype(np.int32),
        totals.born,
    )


def waiting_for(arrived: Arrived) -> Moves:
    """Return arrivals as moves."""
    zero = np.zeros(arrived.end.size, dtype=np.int64)
    narrow = zero.astype(np.int32)
    kind = np.full(zero.size, ARRIVED, dtype=np.int8)
    stop, time = arrived.stop, arrived.time
    return Moves(arrived.end, kind, stop, stop, time, time, zero, narrow, arrived.born)


def no_totals() -> Totals:
    """Return a table of no rows."""
    wide = np.zeros(0, dtype=np.int64)
    return Totals(wide.astype(np.int32), wide, wide, wide, wide)


def no_moves() -> Moves:
    """Return a table of no rows."""
    wide, narrow = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int32)
    return Moves(narrow, narrow.astype(np.int8), wide, wide, wide, wide, wide, narrow, wide)


def no_exchanges() -> Exchanges:
    """Return a table of no rows."""
    wide, narrow = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int32)
    return Exchanges(narrow, wide, wide, wide, wide, wide, narrow, narrow.astype(np.int8), wide)
