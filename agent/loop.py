# SPDX-License-Identifier: Apache-2.0
"""One turn of the agent: kernel records in, batches out, every event accounted for."""

import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from agent import decode
from agent.delivery.outstanding import Ticket
from agent.directory import Directory
from agent.kernel.capture import Capture
from agent.kernel.counters import Counters
from agent.ledger import ATTEMPTED, Ledger
from agent.pack import Clock, Packer
from agent.pending import Pending
from agent.release import ReorderBuffer
from schemas import batch

PATIENCE_CYCLES = 20
FORGET_NS = 600 * 10**9
FORGET_EVERY_NS = 60 * 10**9


class Sink(Protocol):
    """Where packed batches go."""

    def send(self, value: bytes, ticket: Ticket) -> None:
        """Take one encoded batch."""


class Parts(NamedTuple):
    """What a turn works on."""

    capture: Capture
    directory: Directory
    packer: Packer
    sink: Sink
    ledger: Ledger


class Loop:
    """Moves events from the capture to the sink."""

    def __init__(self, parts: Parts, clock: Callable[[], Clock]) -> None:
        self._parts = parts
        self._clock = clock
        self._reorder = ReorderBuffer()
        self._pending = Pending(parts.directory, PATIENCE_CYCLES)
        self._forget_at_ns = clock().monotonic_ns + FORGET_EVERY_NS
        self.kernel: Counters | None = None

    def turn(self) -> int:
        """Flush the kernel's batches, take them, send what is due; returns how many events came."""
        cycle = self._parts.capture.cycle()
        events = self._take(cycle.records, cycle.complete_until_ns)
        self._send(everything=False)
        self.count(self._parts.capture.counters())
        now = self._clock().monotonic_ns
        if now >= self._forget_at_ns:
            self._parts.directory.forget(now - FORGET_NS, now)
            self._forget_at_ns = now + FORGET_EVERY_NS
        return events

    def finish(self, records: list[bytes], counters: Counters) -> None:
        """Send what is left once the capture has stopped; ``records`` are its last ones."""
        self._take(records, 2**64 - 1)
        for _ in range(PATIENCE_CYCLES):
            self._take([], 2**64 - 1)
        self._send(everything=True)
        self.count(counters)

    def count(self, counters: Counters) -> None:
        """Put the kernel's own totals into the ledger."""
        self.kernel = counters
        ledger = self._parts.ledger
        ledger.put(*ATTEMPTED, counters.attempts + counters.misses)
        ledger.put("kernel", "nested", counters.nested)
        ledger.put("kernel", "missed", counters.misses)
        ledger.put("perf-buffer", "full", counters.lost)

    def _take(self, records: list[bytes], complete_until_ns: int) -> int:
        decoded = decode.decode(records)
        parts, now = self._parts, self._clock().monotonic_ns
        parts.directory.learn(decoded.connections, decoded.tasks)
        released = self._reorder.release(decoded.events, complete_until_ns)
        if not (released.size or self._pending.held):
            return decoded.events.size
        outcome = self._pending.cycle(parts.directory.resolve(released, now), now)
        parts.packer.add(outcome.known, now)
        if outcome.lost:
            parts.ledger.add("agent", "no-connection-facts", outcome.lost)
        if outcome.ask:
            parts.capture.reannounce(outcome.ask)
        return decoded.events.size

    def _send(self, *, everything: bool) -> None:
        for one in self._parts.packer.take(self._clock(), everything=everything):
            ticket = Ticket(one.shard, one.sequence, one.events, one.packed_ns - one.age_ns)
            self._parts.sink.send(batch.encode(one), ticket)


def system_clock() -> Clock:
    """Read the host's clocks; the offset is taken between two readings of the same clock."""
    before = time.monotonic_ns()
    realtime = time.time_ns()
    after = time.monotonic_ns()
    return Clock(after, realtime - (before + after) // 2)
