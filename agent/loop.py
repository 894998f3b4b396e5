# SPDX-License-Identifier: Apache-2.0
"""One turn of the agent: kernel records in, batches out, every event accounted for."""

import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

import structlog

from agent import decode
from agent.delivery.outstanding import Ticket
from agent.directory import Directory
from agent.kernel.capture import Capture
from agent.kernel.counters import Counters
from agent.ledger import ATTEMPTED, SAMPLED, Ledger
from agent.pack import Clock, Packer
from agent.pending import Pending
from agent.release import ReorderBuffer
from common.units import MINUTE_NS
from schemas import batch

PATIENCE_PASSES = 8
ENOUGH_RECORDS = 64
"""Worth a pass of their own: array operations cost the less an event the more events there are."""
FORGET_NS = 600 * 10**9
FORGET_EVERY_NS = MINUTE_NS
ACCOUNTS_EVERY_NS = 300 * 10**9
"""How often open connections tell what they have moved (they do at their next event)."""


NOW = 0
"""Before any moment of the clock."""


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

    def __init__(self, parts: Parts, clock: Callable[[], Clock], pass_every_ns: int) -> None:
        self._parts = parts
        self._clock = clock
        self._reorder = ReorderBuffer()
        self._pending = Pending(parts.directory, PATIENCE_PASSES)
        self._pass_every_ns = pass_every_ns
        self._pass_at_ns = 0
        self._records: list[bytes] = []
        self._taken_until_ns = self._records_since_ns = clock().monotonic_ns
        self._forget_at_ns = clock().monotonic_ns + FORGET_EVERY_NS
        self._accounts_at_ns = clock().monotonic_ns + ACCOUNTS_EVERY_NS
        self.kernel: Counters | None = None

    def turn(self) -> bool:
        """Flush the kernel's batches, take them, send what is due; says whether anything came."""
        cycle = self._parts.capture.cycle()
        if not self._records:
            self._records_since_ns = self._taken_until_ns
        self._records += cycle.records
        self._taken_until_ns = max(self._taken_until_ns, cycle.complete_until_ns)
        now = self._clock().monotonic_ns
        if len(self._records) >= ENOUGH_RECORDS or now >= self._pass_at_ns:
            self._pass(cycle.complete_until_ns, now)
            self._pass_at_ns = now + self._pass_every_ns
        self._send(everything=False)
        if now >= self._forget_at_ns:
            self._parts.directory.forget(now - FORGET_NS, now)
            self._forget_at_ns = now + FORGET_EVERY_NS
        if now >= self._accounts_at_ns:
            self.audit()
        return bool(cycle.records)

    @property
    def oldest_ns(self) -> int | None:
        """CLOCK_MONOTONIC before which no event is held that was not handed to the sink; None: none is.

        After a pause of the process what waits here is as old as the pause was long.
        """
        parts = (self._reorder.oldest_ns, self._pending.oldest_ns, self._parts.packer.oldest_ns)
        unread = self._records_since_ns if self._records else None
        return min((one for one in (*parts, unread) if one is not None), default=None)

    def audit(self) -> None:
        """Have each open connection tell its account with its next event."""
        self._parts.capture.reannounce_all()
        if self._accounts_at_ns == NOW:
            structlog.get_logger().info("auditing")
        self._accounts_at_ns = self._clock().monotonic_ns + ACCOUNTS_EVERY_NS

    def audit_soon(self) -> None:
        """Have the next turn do so; of any thread, and of a signal's handler."""
        self._accounts_at_ns = NOW

    def finish(self, records: list[bytes], counters: Counters) -> None:
        """Send what is left once the capture has stopped; ``records`` are its last ones."""
        self._records += records
        for _ in range(PATIENCE_PASSES + 1):
            self._pass(2**64 - 1, self._clock().monotonic_ns)
        self._send(everything=True)
        self._taken_until_ns = self._clock().monotonic_ns
        self.count(counters)

    def count(self, counters: Counters) -> None:
        """Put the kernel's own totals into the ledger, for whoever reads it next."""
        self.kernel = counters
        ledger = self._parts.ledger
        ledger.put(*ATTEMPTED, counters.attempts + counters.misses)
        ledger.put(*SAMPLED, counters.sampled)
        ledger.put("kernel", "nested", counters.nested)
        ledger.put("kernel", "missed", counters.misses)
        ledger.put("perf-buffer", "full", counters.lost)

    def _pass(self, complete_until_ns: int, now: int) -> None:
        """Decode what is held, name the events that are complete and hand them to the packer."""
        if not (self._records or self._reorder.held or self._pending.held):
            return
        parts = self._parts
        decoded = decode.decode(self._records)
        self._records = []
        parts.directory.learn(decoded.connections, decoded.tasks)
        parts.packer.accounts.learn(decoded.totals)
        released = self._reorder.release(decoded.events, complete_until_ns)
        if not (released.order.size or self._pending.held):
            return
        resolved = parts.directory.resolve(released.events, released.order, now)
        outcome = self._pending.cycle(resolved, now)
        for known in outcome.known:
            parts.packer.add(known, now)
        if outcome.lost:
            parts.ledger.add("agent", "no-connection-facts", outcome.lost)
        if outcome.ask and parts.capture.running:
            parts.capture.reannounce(outcome.ask)

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
