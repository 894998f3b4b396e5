# SPDX-License-Identifier: Apache-2.0
"""What all live programs share: events of this host, in order, with their connections and processes.

Guarantee: every event that the kernel handed over is in exactly one step, in the order it was emitted, unless
its connection's facts stayed unknown (`Live.unknown` counts those). Memory is bounded: idle connections and
processes are forgotten, sooner when there are many.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from agent import decode
from agent.directory import Directory, Resolved
from agent.kernel.capture import Cycle, Final
from agent.kernel.counters import Counters
from agent.pending import Pending
from agent.release import EventArray, ReorderBuffer, rows
from schemas.batch import Flow, Process
from schemas.key import FIXED_KEY

WAIT_MS = 100
PATIENCE_STEPS = 8
FORGET_EVERY_NS = 10 * 10**9
FORGET_NS, FORGET_MANY_NS = 120 * 10**9, 15 * 10**9
"""Longer than any program holds an index: a message 10 s, an interval of `top` 10 s."""
MANY_FLOWS = 131_072
_NO_CLOSES = np.zeros(0, decode.TOTALS_DTYPE)
_NO_INDICES = np.zeros(0, np.int64)


class Source(Protocol):
    """The part of a capture that live programs use."""

    def poll(self, timeout_ms: int) -> None: ...  # noqa: D102 - as Capture
    def cycle(self) -> Cycle: ...  # noqa: D102
    def reannounce(self, socks: list[int]) -> None: ...  # noqa: D102
    def stop(self) -> Final: ...  # noqa: D102


class Step(NamedTuple):
    """What happened between two moments."""

    events: NDArray[Any]
    """(n,) of EVENT_DTYPE, oldest first."""
    flow: NDArray[np.int64]
    """(n,) indices into ``Live.directory.flows``; never -1."""
    process: NDArray[np.int64]
    """(n,) indices into ``Live.directory.processes``; 0 for arrivals."""
    closes: NDArray[Any]
    """(c,) of TOTALS_DTYPE, oldest first: none unless the capture was asked for lives."""
    until_ns: int
    """CLOCK_MONOTONIC: everything emitted before is in this step or an earlier one."""


class Live:
    """A running capture as steps. ``lookup_name`` names processes that the kernel has not told of."""

    def __init__(self, source: Source, lookup_name: Callable[[int], str | None]) -> None:
        self._source = source
        self.directory = Directory(FIXED_KEY, lookup_name)
        self._reorder = ReorderBuffer()
        self._pending = Pending(self.directory, PATIENCE_STEPS)
        self._closes = _NO_CLOSES
        self._forget_at_ns = 0
        self.unknown = 0
        """Events given up because their connection stayed unknown."""
        self.counters: Counters | None = None
        """The kernel's account, once stopped."""

    def step(self, wait_ms: int = WAIT_MS) -> Step:
        """Wait at most so long for events, and return what has come."""
        self._source.poll(wait_ms)
        cycle = self._source.cycle()
        made = self._make(cycle.records, cycle.complete_until_ns)
        if cycle.complete_until_ns >= self._forget_at_ns:
            self._forget_at_ns = cycle.complete_until_ns + FORGET_EVERY_NS
            many = len(self.directory.flows) > MANY_FLOWS
            idle_ns = FORGET_MANY_NS if many else FORGET_NS
            self.directory.forget(cycle.complete_until_ns - idle_ns, cycle.complete_until_ns)
        return made

    def stop(self) -> Step:
        """Leave the kernel and return what was left."""
        final = self._source.stop()
        self.counters = final.counters
        last = self._make(final.records, time.monotonic_ns(), everything=True)
        self.unknown += self._pending.give_up()
        return last

    def abandon(self) -> None:
        """Leave the kernel, if that is still to do."""
        if self.counters is None:
            self._source.stop()

    @property
    def lost(self) -> int:
        """Events that are in no step, once stopped."""
        counters = self.counters
        return self.unknown + (counters.lost + counters.nested + counters.misses if counters else 0)

    def flow(self, index: int) -> Flow:
        """Return the connection (as one end sees it) at an index."""
        return self.directory.flows.value(index)

    def is_here(self, direction: int) -> bool:
        """Say whether the receiving end of a direction (sender's number << 32 | receiver's) is here."""
        return self.directory.flows.index((direction & 0xFFFFFFFF) << 32 | direction >> 32) >= 0

    def process(self, index: int) -> Process:
        """Return the process at an index."""
        return self.directory.processes.value(index)

    def _make(self, records: list[bytes], until_ns: int, *, everything: bool = False) -> Step:
        decoded = decode.decode(records)
        self.directory.learn(decoded.connections, decoded.tasks)
        closes = self._ripe(decoded.totals[decoded.totals["state"] > 0], until_ns)
        parts = self._resolve(decoded.events, 2**64 - 1 if everything else until_ns, until_ns)
        return Step(
            np.concatenate([rows(part.events, part.order) for part in parts])
            if parts
            else np.zeros(0, decode.EVENT_DTYPE),
            np.concatenate([part.flow for part in parts]) if parts else _NO_INDICES,
            np.concatenate([part.process for part in parts]) if parts else _NO_INDICES,
            closes,
            until_ns,
        )

    def _resolve(self, events: EventArray, complete_until_ns: int, now_ns: int) -> list[Resolved]:
        released = self._reorder.release(events, complete_until_ns)
        resolved = self.directory.resolve(released.events, released.order, now_ns)
        outcome = self._pending.cycle(resolved, now_ns)
        self.unknown += outcome.lost
        if outcome.ask and self.counters is None:
            self._source.reannounce(outcome.ask)
        return outcome.known

    def _ripe(self, told: NDArray[Any], until_ns: int) -> NDArray[Any]:
        """Return the ends of connections whose own facts and events have come."""
        held = np.concatenate([self._closes, told])
        ripe = held["time_ns"] < until_ns
        self._closes = held[~ripe]
        done: NDArray[Any] = held[ripe]
        return done[np.argsort(done["time_ns"], kind="stable")]


class Stop(Protocol):
    """What ends a program: an event that a signal sets."""

    def is_set(self) -> bool: ...  # noqa: D102 - as threading.Event


class Program(Protocol):
    """A live program: it is given every step, the last one apart."""

    def take(self, step: Step) -> bool:
        """Take a step; True ends the program."""

    def finish(self, step: Step) -> None:
        """Take the last step and print what is left."""


def follow(live: Live, make: Callable[[], Program], stop: Stop) -> None:
    """Make a program, give it every step until ``stop`` is set or it has had enough, then the last one.

    Where it fails, the capture is stopped all the same.
    """
    try:
        program = make()
        while not stop.is_set() and not program.take(live.step()):
            pass
        program.finish(live.stop())
    finally:
        live.abandon()


class Wall(NamedTuple):
    """Turns CLOCK_MONOTONIC into the time of day, by one comparison of the two."""

    offset_ns: int

    @classmethod
    def now(cls) -> Self:
        """Compare now."""
        return cls(time.time_ns() - time.monotonic_ns())

    def unix_ns(self, monotonic_ns: int) -> int:
        """Return nanoseconds since the Unix epoch."""
        return monotonic_ns + self.offset_ns
