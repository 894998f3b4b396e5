# SPDX-License-Identifier: Apache-2.0
"""Compares what a connection's events hold with what the kernel counted of it: the account of each close.

Events are added as they are packed, so what the ring or this agent lost is missing here as well. The kernel's
totals come as facts (bpf/life.bpf.c) that carry the time of their close event. Memory is bounded: of
connections long silent, the oldest accounts are forgotten, and then count as sampled.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agent.release import EventArray
from schemas.batch import BLIND
from schemas.columns import U64
from schemas.event import POSITION_BITS, Audit, Flag, Kind
from schemas.section import Columns

PARKED = 65_536
SYN_SENT = 2
"""Of TCP's states, as in ``TOTALS_DTYPE``."""
TOTALS = 65_536
_MOST = 2**POSITION_BITS - 1
"""A count that a moved sequence number made absurd must not have a whole record refused."""
_SIDES = {Kind.SEND: 0, Kind.RECEIVE: 1}
_COPIED = (
    *("sent_bytes", "received_bytes", "retransmitted_bytes", "retransmits", "sent_segments"),
    *("received_segments", "min_rtt_us", "srtt_us"),
)


class Seen(NamedTuple):
    """Bytes of one direction in events, and the position they reach."""

    sent: int = 0
    received: int = 0
    sent_top: int = 0
    received_top: int = 0


class Accounts:
    """What was seen of each connection, by its index in the directory; bounded as the directory is."""

    def __init__(self) -> None:
        self._pair = np.zeros(64, dtype=np.uint64)
        self._bytes = np.zeros((2, 64), dtype=np.int64)
        self._tops = np.zeros((2, 64), dtype=np.int64)
        self._parked: dict[int, Seen] = {}
        self._totals: dict[tuple[int, int], np.void] = {}
        self.sampled_until_ns = 0
        """CLOCK_MONOTONIC of the newest event that sampling let through."""

    def restart(self) -> None:
        """Forget all: the programs were loaded anew, and count each connection from where they find it."""
        for array in (self._pair, self._bytes, self._tops):
            array.fill(0)
        self._parked.clear()
        self._totals.clear()

    def learn(self, totals: NDArray[Any]) -> None:
        """Take (t,) of TOTALS_DTYPE; each waits for the close event of its time.

        An opening that failed has totals, for those who print its end, and no close event.
        """
        for row in totals[totals["state"] != SYN_SENT]:
            self._totals[_pair(row), int(row["time_ns"])] = row
        while len(self._totals) > TOTALS:
            del self._totals[next(iter(self._totals))]

    def add(
        self, kind: Kind, flow: NDArray[np.int64], events: EventArray, part: NDArray[np.intp], table: Columns
    ) -> None:
        """Add (n,) sends or receives: those of ``events`` at ``part``, sorted by connection.

        ``flow`` are their connections' indices in the directory, ``table`` has their positions and lengths.
        """
        change = np.empty(flow.size, dtype=bool)
        change[0] = True
        np.not_equal(flow[1:], flow[:-1], out=change[1:])
        starts = np.flatnonzero(change)
        index = flow[starts]
        self._open(index, events[part[starts]])
        tops = np.maximum.reduceat(table["position"] + table["length"], starts).view(np.int64)
        sums = np.add.reduceat(table["length"], starts).view(np.int64)
        side = _SIDES[kind]
        self._bytes[side, index] += sums
        self._tops[side, index] = np.maximum(self._tops[side, index], tops)

    def close(self, flow: NDArray[np.int64], events: EventArray) -> Mapping[str, U64]:
        """Return the columns of (n,) close events that only the kernel's totals and the account tell."""
        rows = [self._close(index, event) for index, event in zip(flow.tolist(), events, strict=True)]
        return {name: np.array([min(row[name], _MOST) for row in rows], dtype=np.uint64) for name in rows[0]}

    def _close(self, index: int, event: np.void) -> dict[str, int]:
        pair, flags = _pair(event), int(event["flags"])
        self._open(np.array([index]), event.reshape(1))
        seen = (self._bytes[:, index].tolist(), self._tops[:, index].tolist())
        totals = self._totals.pop((pair, int(event["time_ns"])), None)
        if not flags & Flag.OPEN:
            self._pair[index] = 0
        if totals is None:
            return _untold(event)
        told = {name: int(totals[name]) for name in _COPIED}
        read = int(totals["read_bytes"])
        missing = (
            _missing(told["sent_bytes"], int(totals["base_sent"]), seen[0][0], seen[1][0]),
            _missing(read, int(totals["base_read"]), seen[0][1], seen[1][1]),
        )
        opened_ns = int(event["time_ns"]) - int(event["duration_ns"]) if event["duration_ns"] else 0
        told["unread_bytes"] = max(0, told["received_bytes"] - read)
        told["missing_sent"], told["missing_received"] = missing
        told["audit"] = self._judge(int(totals["flags"]), sum(missing), opened_ns)
        return told | {"flags": flags}

    def _judge(self, marks: int, missing: int, opened_ns: int) -> Audit:
        if marks & BLIND:
            return Audit.BLIND
        if not missing:
            return Audit.COMPLETE
        return Audit.SAMPLED if opened_ns <= self.sampled_until_ns else Audit.PARTIAL

    def _open(self, index: NDArray[np.int64], first: EventArray) -> None:
        """Have (k,) accounts stand for the connections of (k,) events: an index may have been another's."""
        self._grow(int(index.max()))
        pairs = first["iss"].astype(np.uint64) << np.uint64(32) | first["irs"]
        for at in np.flatnonzero(self._pair[index] != pairs).tolist():
            slot, pair = int(index[at]), int(pairs[at])
            if self._pair[slot]:
                self._park(slot)
            seen = self._parked.pop(pair, Seen())
            self._bytes[:, slot], self._tops[:, slot] = seen[:2], seen[2:]
            self._pair[slot] = pair

    def _park(self, slot: int) -> None:
        self._parked[int(self._pair[slot])] = Seen(
            *self._bytes[:, slot].tolist(), *self._tops[:, slot].tolist()
        )
        if len(self._parked) > PARKED:
            del self._parked[next(iter(self._parked))]

    def _grow(self, index: int) -> None:
        while index >= self._pair.size:
            self._pair = np.concatenate([self._pair, np.zeros_like(self._pair)])
            self._bytes = np.concatenate([self._bytes, np.zeros_like(self._bytes)], axis=1)
            self._tops = np.concatenate([self._tops, np.zeros_like(self._tops)], axis=1)


def _missing(total: int, base: int, seen: int, top: int) -> int:
    """Return how many bytes of [base, total) are in no event, given those seen up to ``top``."""
    return max(0, total - base - (seen - max(0, top - total)))


def _untold(event: np.void) -> dict[str, int]:
    """Return what a close says whose totals were lost with their record."""
    told = dict.fromkeys((*_COPIED, "unread_bytes", "missing_sent", "missing_received"), 0)
    told |= {"sent_bytes": int(event["position"]), "srtt_us": int(event["srtt_us"])}
    return told | {"audit": Audit.PARTIAL, "flags": int(event["flags"]) | Flag.UNCERTAIN}


def _pair(row: np.void) -> int:
    return int(row["iss"]) << 32 | int(row["irs"])
