# SPDX-License-Identifier: Apache-2.0
"""What a capture saw of a test's traffic, and how it is held against the truth."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.decode import Decoded, SequenceCheck, decode
from agent.kernel.capture import Capture
from schemas.event import Flag
from support.traffic import Call

KINDS = {"send": 1, "receive": 2, "arrival": 3}
_WAIT_MS = 20


class Trace:
    """Events and facts of one stretch of time."""

    def __init__(self, parts: list[Decoded]) -> None:
        self._parts = parts
        self.events = np.concatenate([part.events for part in parts])
        self.connections = np.concatenate([part.connections for part in parts])
        self.tasks = np.concatenate([part.tasks for part in parts])
        self.totals = np.concatenate([part.totals for part in parts])

    def __add__(self, later: "Trace") -> "Trace":
        """Return this stretch and a later one as one."""
        return Trace(self._parts + later._parts)

    def connection(self, port: int, peer: int | None = None) -> Any:  # noqa: ANN401 - one row
        """Return the newest fact of the only connection with this local port (and remote port)."""
        found = self.connections[self.connections["local_port"] == port]
        if peer is not None:
            found = found[found["remote_port"] == peer]
        names = {(int(one["iss"]), int(one["irs"])) for one in found}
        assert len(names) == 1, f"{len(names)} connections with the local port {port}"
        return found[-1]

    def of(self, port: int, kind: str, peer: int | None = None) -> NDArray[Any]:
        """Return the events of one kind at the end with this local port, in order of position and time."""
        fact = self.connection(port, peer)
        mine: NDArray[Any] = self.events[
            (self.events["iss"] == fact["iss"])
            & (self.events["irs"] == fact["irs"])
            & (self.events["kind"] == KINDS[kind])
        ]
        return mine[np.lexsort((mine["time_ns"], mine["position"]))]

    def ranges(self, port: int, kind: str, peer: int | None = None) -> list[tuple[int, int]]:
        """Return (position, length) of those events."""
        found = self.of(port, kind, peer)
        return list(zip(found["position"].tolist(), found["length"].tolist(), strict=True))


class Tracer:
    """A running capture, one stretch of traffic at a time."""

    def __init__(self, capture: Capture) -> None:
        self.capture = capture
        self.gaps = SequenceCheck()
        self.missing = 0

    def forget(self) -> None:
        """Leave behind what happened so far."""
        self.take()

    def cycle(self) -> tuple[Decoded, int]:
        """Return what one cycle brings, and up to when it is complete."""
        cycle = self.capture.cycle()
        decoded = decode(cycle.records)
        self.missing += self.gaps.update(decoded.spans)
        return decoded, cycle.complete_until_ns

    def take(self) -> Trace:
        """Return everything that was emitted before this call."""
        return Trace(self._rest())

    def follow(self, busy: Callable[[], bool]) -> Trace:
        """Return everything that is emitted until ``busy`` is no longer true; rings are emptied meanwhile."""
        parts = []
        while busy():
            self.capture.poll(_WAIT_MS)
            parts.append(self.cycle()[0])
        return Trace([*parts, *self._rest()])

    def _rest(self) -> list[Decoded]:
        now, parts = time.monotonic_ns(), []
        while True:
            decoded, complete_until_ns = self.cycle()
            parts.append(decoded)
            if complete_until_ns >= now:
                return parts


def triples(events: NDArray[Any]) -> list[tuple[int, int, int]]:
    """Return (thread, position, length) of (n,) events."""
    return list(
        zip(events["tid"].tolist(), events["position"].tolist(), events["length"].tolist(), strict=True)
    )


def merged(ranges: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Join one thread's neighbouring ranges, as runs of one letter are joined."""
    runs: list[tuple[int, int, int]] = []
    for thread, position, length in ranges:
        if runs and runs[-1][0] == thread and runs[-1][1] + runs[-1][2] == position:
            runs[-1] = (thread, runs[-1][1], runs[-1][2] + length)
        else:
            runs.append((thread, position, length))
    return runs


def assert_exact(trace: Trace, calls: list[Call]) -> None:
    """Every call of the application is one event: same bytes, same thread, within the call's time.

    For ends at which one thread did all calls of a kind.
    """
    for port, kind in sorted({(call.port, call.kind) for call in calls}):
        truth = [call for call in calls if (call.port, call.kind) == (port, kind)]
        seen = trace.of(port, kind)
        assert [(c.position, c.length) for c in truth] == trace.ranges(port, kind), (port, kind)
        for call, event in zip(truth, seen, strict=True):
            assert call.before_ns <= event["time_ns"] <= call.after_ns
            end = event["time_ns"] + (event["duration_ns"] if kind == "send" else 0)
            assert end <= call.after_ns
            assert event["tid"] == call.thread


def assert_arrivals_cover(trace: Trace, port: int) -> None:
    """Every byte read had an earlier arrival, no later than its own copy to the application, or is marked."""
    arrivals, reads = trace.of(port, "arrival"), trace.of(port, "receive")
    first = np.minimum.accumulate(arrivals["time_ns"][::-1])[::-1] if len(arrivals) else arrivals["time_ns"]
    for read in reads:
        if read["flags"] & Flag.NO_ARRIVAL:
            continue
        at = np.searchsorted(arrivals["position"], read["position"] + read["length"], "left")
        assert at < len(arrivals), f"no arrival for the read that ends at {read['position'] + read['length']}"
        assert first[at] <= read["time_ns"] - read["duration_ns"]
