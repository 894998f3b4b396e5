# SPDX-License-Identifier: Apache-2.0
"""Joins sends with the reads that took their last byte, where both ends are on this host.

The rule is that of docs/matching.md: a send [a, e) belongs to the read [b, c) of its direction with
b < e <= c, its arrival is the earliest one with a position >= e, no later than that read ended. One host has
one CLOCK_MONOTONIC, so the differences are exact. Pure: arrays and "now" in, arrays out. Memory is
bounded: one step, and ``LIMIT`` rows of each kind from one step to the next.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agent.live.source import Step
from common.units import MINUTE_NS
from schemas.event import Flag, Kind

LIMIT = 65_536
READ_KEEP_NS = 2 * 10**9
ARRIVAL_KEEP_NS = MINUTE_NS
ELSEWHERE_NS = 500 * 10**6
"""How long a send waits unless told otherwise: the reader's own facts come within a few flushes."""
HERE_WAIT_NS = 10 * 10**9
"""How long a send waits whose reader is on this host."""
I64 = NDArray[np.int64]

ROW = np.dtype(
    [
        ("key", "u8"),
        ("begin", "i8"),
        ("end", "i8"),
        ("time_ns", "i8"),
        ("duration_ns", "i8"),
        ("call_bytes", "i8"),
        ("flow", "i8"),
        ("process", "i8"),
        ("srtt_us", "u4"),
        ("tid", "u4"),
        ("flags", "u2"),
    ]
)
"""One send, read or arrival. ``key`` names the direction: it is the same at both ends."""
NO_ROWS = np.zeros(0, ROW)


class Messages(NamedTuple):
    """Messages that closed, (n,) each, in the order their sends ended."""

    sends: NDArray[Any]
    """Of ROW."""
    reads: NDArray[Any]
    """Of ROW; of what was not matched, zeros with ``time_ns`` -1."""
    arrival_ns: I64
    """-1 where none was seen."""

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Whether there is a delivery: matched, and both ends know who opened the connection."""
        known: NDArray[np.bool_] = (self.reads["time_ns"] >= 0) & (
            (self.sends["flags"] | self.reads["flags"]) & int(Flag.NO_ROLE) == 0
        )
        return known

    @property
    def delivery_ns(self) -> I64:
        """-1 where it is not known."""
        return np.where(self.measured, self.reads["time_ns"] - self.sends["time_ns"], -1)

    @property
    def wire_ns(self) -> I64:
        """-1 where it is not known."""
        seen = self.measured & (self.arrival_ns >= 0)
        return np.where(seen, self.arrival_ns - self.sends["time_ns"], -1)

    @property
    def wait_ns(self) -> I64:
        """The message's receive wait, -1 where it is not known."""
        seen = self.measured & (self.arrival_ns >= 0)
        return np.where(seen, self.reads["time_ns"] - self.arrival_ns, -1)


class Split(NamedTuple):
    """A step by kind, as rows."""

    sends: NDArray[Any]
    """Every piece of every send."""
    reads: NDArray[Any]
    arrivals: NDArray[Any]


def split(step: Step) -> Split:
    """Return a step's events as rows, each kind apart, oldest first."""
    made = np.zeros(step.events.size, ROW)
    events, kind = step.events, step.events["kind"]
    iss, irs = events["iss"].astype(np.uint64), events["irs"].astype(np.uint64)
    high, low = np.where(kind == Kind.SEND, (iss, irs), (irs, iss))
    made["key"] = high << np.uint64(32) | low
    made["begin"] = events["position"]
    made["end"] = made["begin"] + events["length"]
    made["call_bytes"] = events["length"]
    made["flow"], made["process"] = step.flow, step.process
    for name in ("time_ns", "duration_ns", "srtt_us", "tid", "flags"):
        made[name] = events[name]
    return Split(made[kind == Kind.SEND], made[kind == Kind.RECEIVE], made[kind == Kind.ARRIVAL])


def first_at_or_after(wanted: tuple[Any, I64], offered: tuple[Any, I64]) -> I64:
    """Return for (n,) pairs (key, place) the index of the first offered of that key at or after that place.

    -1 where there is none. Of several at one place it is the one offered first.
    """
    many = wanted[0].size
    keys = np.concatenate([wanted[0], offered[0]])
    places = np.concatenate([wanted[1], offered[1]])
    late = np.arange(keys.size) >= many
    order = np.lexsort((late, places, keys))
    nothing = keys.size
    at = np.where(late[order], np.arange(keys.size), nothing)
    following = np.minimum.accumulate(at[::-1])[::-1]
    found = np.full(many, -1, np.int64)
    mine = ~late[order]
    index, next_at = order[mine], following[mine]
    there = next_at < nothing
    index, other = index[there], order[next_at[there]]
    same = keys[index] == keys[other]
    found[index[same]] = other[same] - many
    return found


class Calls:
    """Sums up the pieces of a send call: only its last piece is a message, with the whole call's bytes."""

    def __init__(self) -> None:
        self._open: dict[tuple[int, int], int] = {}

    def whole(self, sends: NDArray[Any]) -> NDArray[Any]:
        """Return the last pieces among (n,) rows, in order."""
        both = int(Flag.FIRST_PIECE | Flag.LAST_PIECE)
        for at in np.flatnonzero(sends["flags"] & both != both).tolist():
            row = sends[at]
            call = (int(row["key"]), int(row["tid"]))
            before = 0 if row["flags"] & Flag.FIRST_PIECE else self._open.pop(call, 0)
            if row["flags"] & Flag.LAST_PIECE:
                row["call_bytes"] += before
            elif len(self._open) < LIMIT:
                self._open[call] = before + int(row["call_bytes"])
        last: NDArray[Any] = sends[sends["flags"] & int(Flag.LAST_PIECE) != 0]
        return last


class Pairs:
    """What waits for its other end. A send whose receiver is elsewhere waits ``elsewhere_ns`` only.

    ``is_here`` says of a direction (its key) whether its receiving end is on this host.
    """

    def __init__(self, elsewhere_ns: int, is_here: Callable[[int], bool]) -> None:
        self._elsewhere_ns = elsewhere_ns
        self._is_here = is_here
        self._calls = Calls()
        self._sends = self._reads = self._arrivals = NO_ROWS

    @property
    def waiting(self) -> int:
        """Number of sends that wait."""
        return int(self._sends.size)

    def take(self, new: Split, until_ns: int, *, final: bool = False) -> Messages:
        """Add a step that is complete up to a moment and return the messages that closed.

        ``final`` closes all.
        """
        self._sends = np.concatenate([self._sends, self._calls.whole(new.sends)])
        self._reads = np.concatenate([self._reads, new.reads])
        self._arrivals = np.concatenate([self._arrivals, new.arrivals])
        sends, reads = self._sends, self._reads
        found = first_at_or_after((sends["key"], sends["end"]), (reads["key"], reads["end"]))
        matched = found >= 0
        matched[matched] = reads["begin"][found[matched]] < sends["end"][matched]
        closing = matched | self._overdue(sends, until_ns) | final
        closing[: max(0, int((~closing).sum()) - LIMIT)] = True
        done = self._close(sends[closing], np.where(matched, found, -1)[closing])
        self._sends = sends[~closing]
        self._forget(until_ns)
        return done

    def waits(self, reads: NDArray[Any]) -> I64:
        """Return for (n,) reads of this step how long their last byte was in the kernel, -1: not known."""
        arrivals = self._arrivals
        found = first_at_or_after((reads["key"], reads["end"]), (arrivals["key"], arrivals["end"]))
        waited = reads["time_ns"] - _picked(arrivals["time_ns"], found)
        return np.where((found >= 0) & (waited >= 0), waited, -1)

    def _overdue(self, sends: NDArray[Any], until_ns: int) -> NDArray[np.bool_]:
        waited = until_ns - sends["time_ns"] - sends["duration_ns"]
        overdue: NDArray[np.bool_] = waited > self._elsewhere_ns
        here = [key for key in np.unique(sends["key"][overdue]).tolist() if self._is_here(key)]
        if here:
            overdue &= (waited > HERE_WAIT_NS) | ~np.isin(sends["key"], np.array(here, np.uint64))
        return overdue

    def _close(self, sends: NDArray[Any], read: I64) -> Messages:
        arrivals = self._arrivals
        reads = np.zeros(sends.size, ROW)
        reads["time_ns"] = -1
        reads[read >= 0] = self._reads[read[read >= 0]]
        found = first_at_or_after((sends["key"], sends["end"]), (arrivals["key"], arrivals["end"]))
        arrived = _picked(arrivals["time_ns"], found)
        seen = (found >= 0) & (reads["time_ns"] >= arrived)
        return Messages(sends, reads, np.where(seen, arrived, -1))

    def _forget(self, until_ns: int) -> None:
        """Drop reads that no send can still ask for, and arrivals that those reads cover."""
        old = self._reads["time_ns"] < until_ns - READ_KEEP_NS
        arrivals, gone = self._arrivals, self._reads[old]
        if gone.size:
            found = first_at_or_after((arrivals["key"], arrivals["end"]), (gone["key"], gone["end"]))
            arrivals = arrivals[found < 0]
            self._reads = self._reads[~old]
        self._reads = self._reads[-LIMIT:].copy()
        self._arrivals = arrivals[arrivals["time_ns"] >= until_ns - ARRIVAL_KEEP_NS][-LIMIT:].copy()


def _picked(values: I64, index: I64) -> I64:
    """Return ``values[index]``, 0 where the index is -1."""
    if not values.size:
        return np.zeros(index.size, np.int64)
    return np.where(index >= 0, values[index], 0)
