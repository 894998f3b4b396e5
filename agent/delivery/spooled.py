# SPDX-License-Identifier: Apache-2.0
"""Delivery with a disk spool behind it: what Kafka does not take, or not in time, waits there in order.

A shard is either live (its records go straight to Kafka) or behind (it has records in the spool, and newer
ones queue up after them). When a record cannot be handed over, fails, or takes longer than ``spool.after``,
all that is on its way is recalled and spooled in order of its sequences, so that no shard is split between
the two. Once Kafka takes what a shard has in the spool, newer records wait in memory for the last of it. What
may have arrived all the same is sent again under its old sequence; the consumer drops what it has.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping

from agent.delivery.earlier import Earlier
from agent.delivery.kafka import KafkaDelivery
from agent.delivery.meanwhile import NEAR, Meanwhile
from agent.delivery.outstanding import Ticket
from agent.delivery.pace import Pace
from agent.ledger import DELIVERED, Ledger
from agent.spool.keeper import Keeper, Taken
from agent.spool.limits import Figures
from agent.spool.record import Loss, Record, Run
from agent.spool.settings import SpoolSection
from common.kafka import KafkaSettings

IDLE_SECONDS = 0.05
ONE, ALL = 1, 2**62  # bytes that may be out of the spool: a single record, or what it allows
FLUSH_SECONDS = 5.0


class SpooledDelivery(KafkaDelivery):
    """As KafkaDelivery; ``begin`` opens the spool and ``end`` closes it."""

    def __init__(
        self, settings: KafkaSettings, ledger: Ledger, keeper: Keeper, pace: Pace, after_seconds: float
    ) -> None:
        super().__init__(settings, ledger)
        self.spool = keeper
        self._pace = pace
        self._after = after_seconds
        self._live: dict[Ticket, float] = {}
        """On their way straight from the packer, and since when."""
        self._out = 0
        """On their way from the spool."""
        self._back: list[tuple[bytes, Ticket]] = []
        self._meanwhile = Meanwhile()
        self._ready: deque[tuple[bytes, Ticket]] = deque()
        self._held: Counter[int] = Counter()
        """Shard -> records in the spool's hands, those that are out included."""
        self._recalls = 0
        self._ended = False
        self.earlier = Earlier()

    def begin(self) -> None:
        """Open the spool; what earlier runs left is delivered first, shard by shard.

        Raises:
            RuntimeFailure: another process has it, or it cannot be written.
        """
        self._held.update(self.spool.start())
        if self._held.total():
            self._log.info("spool holds records of earlier runs", records=self._held.total())
            self._pace.start(time.monotonic())

    def change(self, section: SpoolSection) -> None:
        """Go on with other limits; those of what is on the disk already hold once more comes in."""
        self._after = section.after
        self._pace.change(section.drain, section.after)
        self.spool.change(section.limits)

    def resume(self) -> None:
        """The topics fit: what waited goes, after a random while."""
        super().resume()
        self._pace.arrived(time.monotonic())  # Kafka has answered: nothing needs to be tried first

    def send(self, value: bytes, ticket: Ticket) -> None:
        """Hand over one encoded batch; never blocks, and never waits for the disk."""
        self.outstanding.open(ticket)
        if self._is_nearly_live(ticket.shard):
            self._meanwhile.add(value, ticket, time.monotonic())
        else:
            self._go(value, ticket)

    def poll(self) -> None:
        """Take delivery reports, and move what is due between Kafka and the spool."""
        self._serve(0)
        self._look_anew()
        now = time.monotonic()
        late = self._live and now - next(iter(self._live.values())) > self._after
        if self._back or self._fatal or late:
            self._retreat(now)
        elif now - self._meanwhile.since() > self._after:
            self._go_all(self._meanwhile.shards())  # to the spool: those before them are there
        self._go_all(shard for shard in self._meanwhile.shards() if not self._held[shard])
        self._take()
        self._drain(now)

    def close(self, seconds: float, now: Callable[[], float]) -> int:
        """Wait until everything is acknowledged, at most ``seconds``; the rest is on the disk then.

        Returns the records that are not acknowledged: of those in the spool, the next run delivers them.
        """
        deadline = now() + seconds
        while self._busy() and now() < deadline:
            self._serve(IDLE_SECONDS)
            self.poll()
        if self._live or self._out or self._ready or self._meanwhile:
            self._retreat(time.monotonic())
        self._collect()
        self.spool.give(0)
        for _ in range(2):  # what was still handed out goes back first; then it is told what was lost of it
            if not self.spool.flush(FLUSH_SECONDS):
                self._log.warning("spool not written in time", seconds=FLUSH_SECONDS)
            self._take()
            self._put_all_back()
        return self._held.total()

    def _collect(self) -> None:
        """Wait for what was recalled: on a busy host reports are late; what never comes back is counted."""
        deadline = time.monotonic() + FLUSH_SECONDS
        while (self._live or self._out) and time.monotonic() < deadline:
            self._serve(IDLE_SECONDS)
            if self._back:
                self._retreat(time.monotonic())
        if lost := sum(ticket.events for ticket in self._live):
            self._ledger.put("kafka", "undelivered-at-exit", lost)

    def end(self) -> None:
        """Close the spool; once."""
        if self._ended:
            return
        self._ended = True
        self.spool.stop(FLUSH_SECONDS)
        if self.earlier.events:
            self._log.info("records of earlier runs", events=dict(self.earlier.events))

    @property
    def standing(self) -> Figures:
        """How the spool stands."""
        return self.spool.figures

    @property
    def left(self) -> Mapping[tuple[Run, str], int]:
        """Events of earlier runs' records that this run lost, by run and reason."""
        return self.earlier.lost_of

    @property
    def waiting(self) -> int:
        """Records in the spool."""
        return self._held.total()

    def _busy(self) -> bool:
        under_way = self._live or self._out or self._back or self._meanwhile or len(self._producer)
        return bool(under_way or (self._held.total() and not self._pace.probing))

    def _is_nearly_live(self, shard: int) -> bool:
        """Say whether a record is to wait for those of its shard that are about to leave the spool."""
        moving = not (self.paused or self._pace.probing) and self._pace.is_open(time.monotonic())
        if not moving or self._meanwhile.bytes > self._settings.buffer:
            self._go_all((shard,))  # to the spool, or to Kafka: what comes now must be behind it
            return False
        return self._meanwhile.has(shard) or 0 < self._held[shard] <= NEAR

    def _go_all(self, shards: Iterable[int]) -> None:
        for value, ticket in self._meanwhile.take(shards):
            self._go(value, ticket)

    def _go(self, value: bytes, ticket: Ticket) -> None:
        """Hand a record to Kafka, or where its shard is behind, or falls behind by that, to the spool."""
        if self.paused or self._held[ticket.shard]:
            self._store(value, ticket)
            return
        self._live[ticket] = time.monotonic()
        if not self._produce(value, ticket):
            del self._live[ticket]
            self._retreat(time.monotonic())
            self._store(value, ticket)

    def _arrived(self, ticket: Ticket) -> None:
        if ticket.place is None:
            self._live.pop(ticket, None)
            super()._arrived(ticket)
            return
        self._pace.arrived(time.monotonic())
        self._decided(ticket)
        if ticket.own:
            self._ledger.add(*DELIVERED, ticket.events)
        else:
            self.earlier.delivered(ticket.events)

    def _given_up(self, ticket: Ticket, reason: str) -> None:
        if ticket.place is None:
            self._live.pop(ticket, None)
            super()._given_up(ticket, reason)
            return
        self._decided(ticket)
        if ticket.own:
            self._ledger.add("kafka", reason, ticket.events)
        else:
            self.earlier.lost(ticket.run, reason, ticket.events)

    def _returned(self, value: bytes, ticket: Ticket) -> None:
        if ticket.place is None:
            self._live.pop(ticket, None)
        else:
            self._out -= 1
        self._back.append((value, ticket))

    def _decided(self, ticket: Ticket) -> None:
        """A record from the spool needs no place there any more."""
        assert ticket.place is not None  # noqa: S101 - callers look
        self._out -= 1
        self.spool.done(ticket.place)
        if ticket.own:
            self.outstanding.close(ticket)
            self.outstanding.move_on(ticket.shard, ticket.sequence, ticket.oldest_ns)
        self._fewer(ticket.shard, 1)

    def _fewer(self, shard: int, records: int) -> None:
        self._held[shard] -= records
        if not self._held[shard]:
            self.outstanding.none_aside(shard)

    def _retreat(self, now: float) -> None:
        """Put all that is on its way into the spool, or back into it."""
        self._recall()
        back, self._back = self._back, []
        for value, ticket in sorted(back, key=lambda one: (one[1].shard, one[1].sequence)):
            if ticket.place is None:
                self._store(value, ticket)
            else:
                self._put_back(ticket)
        self._put_all_back()
        for value, ticket in self._meanwhile.take(self._meanwhile.shards()):
            self._store(value, ticket)
        self._recalls += 1
        self.spool.recall(self._recalls)
        self._pace.failed(now)

    def _store(self, value: bytes, ticket: Ticket) -> None:
        record = Record(ticket.shard, ticket.sequence, ticket.events, ticket.oldest_ns, value)
        if not self.spool.put(record):
            self._ledger.add("spool", "queue-full", ticket.events)
            self.outstanding.close(ticket)
            return
        self._held[ticket.shard] += 1
        self.outstanding.put_aside(ticket)
        self._pace.came(len(value))

    def _take(self) -> None:
        for one in self.spool.take():
            if isinstance(one, Loss):
                self._lost(one)
            else:
                self._take_out(one)

    def _take_out(self, taken: Taken) -> None:
        place, own, record, run = taken.given
        ticket = Ticket(record.shard, record.sequence, record.events, record.oldest_ns, place, own, run)
        if own:
            self.outstanding.open(ticket)
        if taken.recall == self._recalls:
            self._ready.append((record.value, ticket))
        else:
            self._put_back(ticket)

    def _put_all_back(self) -> None:
        while self._ready:
            self._put_back(self._ready.popleft()[1])

    def _put_back(self, ticket: Ticket) -> None:
        assert ticket.place is not None  # noqa: S101 - it was taken out
        if ticket.own:
            self.outstanding.put_aside(ticket)
        self.spool.back(ticket.place)

    def _lost(self, loss: Loss) -> None:
        if loss.own:
            self._ledger.add("spool", loss.reason, loss.events)
            if loss.through is not None:
                self.outstanding.move_on(loss.shard, loss.through, loss.oldest_ns)
        else:
            self.earlier.lost(loss.run, loss.reason, loss.events)
        self._fewer(loss.shard, loss.records)

    def _drain(self, now: float) -> None:
        if self.paused or not self._held.total() or not self._pace.is_open(now):
            self.spool.give(0)
            return
        self.spool.give(ONE if self._pace.probing else ALL)
        while self._ready and self._pace.may_go(now) and not (self._pace.probing and self._out):
            value, ticket = self._ready[0]
            self._out += 1
            if not self._produce(value, ticket):
                self._out -= 1
                return
            self._ready.popleft()
            self._pace.went(len(value))
