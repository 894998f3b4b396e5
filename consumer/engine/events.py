# SPDX-License-Identifier: Apache-2.0
"""One partition of ``wirelag.events.v1``: records in, rows out, a pure function of the sequence of records.

The tick is the unit of it: records are only decoded, de-duplicated and collected until the broker's time (the
largest timestamp so far) enters a new tick. What was collected is then matched at once, so it does not matter
how the records are cut into calls of ``apply``, nor whether a snapshot was taken and restored between them.
``flush`` forces a tick, so where it is called is part of the sequence.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
import pyarrow as pa

from consumer.engine import alone, collect, exchanged, lives, rows, rtt, snapshot, turns
from consumer.engine.arrow import Place, broker_ns
from consumer.engine.bounds import evict_before, forget
from consumer.engine.closing import EVICTED, About, rows_of
from consumer.engine.flows import Flows
from consumer.engine.ledger import Ledger, told_ns
from consumer.engine.names import Names
from consumer.engine.peers import NOBODY, Peers, limits
from consumer.engine.records import Output, Poison, Record, combine
from consumer.engine.settings import EngineSettings
from consumer.engine.streams import Streams
from consumer.engine.turns import Turns
from consumer.engine.twice import once
from consumer.engine.unpack import Body, read
from consumer.engine.whole import Whole
from consumer.latency.intervals import I32, I64
from consumer.latency.match import Closed, Now, Open, add, match, nothing
from schemas.batch import EventBatch
from schemas.errors import RecordError
from schemas.event import Kind

LINGER = 4
"""Arrivals stay for a horizon and this part of one more, for reads that close after them."""


class EventEngine:
    """State machine of one partition. Not safe for use by several threads."""

    def __init__(self, topic_partition: int, settings: EngineSettings) -> None:
        self.topic_partition = topic_partition
        self.settings = settings
        self.broker_ms: int | None = None
        """Largest timestamp so far."""
        self.last_tick: int | None = None
        """Number of the last tick that was made; numbers only rise."""
        self.waiting: Open = nothing()
        self.flows = Flows(Names(settings.edge_names, settings.owners))
        self.streams = Streams()
        self.ledger = Ledger()
        self.peers = NOBODY
        self.turns = Turns()
        self.whole = Whole()
        self.collected: list[collect.Collected] = []
        self.collected_events = 0

    @classmethod
    def restore(cls, blob: bytes, topic_partition: int, settings: EngineSettings) -> Self:
        """Return the engine that ``snapshot`` was taken of; raises SnapshotError where it does not fit."""
        engine = cls(topic_partition, settings)
        snapshot.load(engine, blob)
        return engine

    def snapshot(self) -> bytes:
        """Return the state, for ``restore``; it can be taken between any two calls."""
        return snapshot.save(self)

    def apply(self, records: Sequence[Record]) -> Output:
        """Take records in the order of the partition; returns the rows of the ticks that became complete."""
        ticks: list[dict[str, pa.Table]] = []
        poison: list[Poison] = []
        for record, head, body in read(records):
            if isinstance(head, RecordError):
                poison.append(self._refused(record, head))
            elif isinstance(body, RecordError) and not self.streams.knows(head):
                poison.append(self._refused(record, body))
            else:
                if self._due(record.timestamp_ms):
                    ticks.append(self._tick(final=False))
                self._take(record, head, body)
        return Output(combine(ticks), poison)

    def hear(self, peers: Peers) -> None:
        """Take what is known of other hosts from here on: like a record, it is part of the sequence."""
        self.peers = peers

    def flush(self) -> Output:
        """Make a tick now: pairs no longer wait for an arrival; what has no partner and is not old stays."""
        if self.broker_ms is None:
            return Output()
        return Output(self._tick(final=True))

    def _due(self, timestamp_ms: int) -> bool:
        """Say whether what was collected must be matched before a record of this time is taken."""
        if self.broker_ms is None:
            return False
        tick_ms = self.settings.tick_ms
        full = self.collected_events >= self.settings.max_tick_events
        return full or timestamp_ms // tick_ms > self.broker_ms // tick_ms

    def _refused(self, record: Record, error: RecordError) -> Poison:
        self.ledger.add(("", "", 0), {"poison": 1})
        return Poison(record.kafka_offset, error.reason, str(error), record.value)

    def _take(self, record: Record, batch: EventBatch, body: Body) -> None:
        now = record.timestamp_ms if self.broker_ms is None else max(self.broker_ms, record.timestamp_ms)
        self.broker_ms = now
        agent = (batch.host, batch.boot, batch.epoch)
        packed_ns = told_ns(batch.packed_ns + batch.realtime_offset_ns, broker_ns(now))
        if isinstance(body, RecordError) or self.streams.knows(batch):
            self.ledger.add(agent, {"duplicate": batch.events}, packed_ns)
            return
        self.ledger.add(agent, self.streams.take(batch, broker_ns(now)), packed_ns)
        self.collected.append(collect.Collected(batch, collect.wanted(body), now, record))
        self.collected_events += batch.events

    def _tick(self, *, final: bool) -> dict[str, pa.Table]:
        assert self.broker_ms is not None  # noqa: S101 - a record was taken
        place = Place(self.topic_partition, self._next_tick(), self.broker_ms)
        new = collect.gather(self.collected, self.flows)
        partial = self.whole.partial(self.collected, self.flows)
        self.collected, self.collected_events = [], 0
        now = self._now(self.broker_ms, final=final)
        self._forget_marks(now)
        if self.flows.twice:
            new = self._once(new)
        before_ms = now.expire_before if now.limits is None else now.limits.reshape(-1, 2).min(axis=1)
        found = self._exchanges(place, new, partial, before_ms, final=final)
        waiting = add(self.waiting, new.sends, new.receives, new.arrivals)
        self.waiting, closed = match(waiting, self.flows.flows, now)
        found.append(self._rows(place, closed, self._about()))
        if new.lives:
            found.append(lives.rows_of(place, new.lives, self.flows))
            found.append(self._rtt(place, new.lives.get(Kind.CLOSE)))
        before = evict_before(self.waiting, self.settings.max_open_events)
        if before is not None:
            # Two parts of one edge and window differ in their tick, so what is evicted has one of its own.
            found.append(self._evict(place._replace(tick=place.tick + 1), before))
        found.append(self._told(place))
        self.waiting, gone = forget(self.waiting, self.flows, before_ms, self.turns)
        if gone is not None:
            self.whole.renumber(gone)
        if any(found):
            self.last_tick = place.tick + (before is not None)
        return combine(found)

    def _now(self, broker_ms: int, *, final: bool) -> Now:
        horizon_ms = self.settings.horizon_ms
        before = broker_ms - horizon_ms
        found = limits(self.flows, self.peers, before, horizon_ms)
        return Now(broker_ms, before, final, found, horizon_ms // LINGER)

    def _forget_marks(self, now: Now) -> None:
        """Forget what was noted of hosts before anything that can still close was born."""
        before = self._earliest(now)
        self.flows.thinned.forget(before - self.settings.horizon_ms)
        self.streams.gaps.forget(before - self.settings.horizon_ms)
        self.flows.forget_twice(before)

    @staticmethod
    def _earliest(now: Now) -> int:
        """Return up to when all that was born has closed."""
        return now.expire_before if now.limits is None else int(now.limits.min(initial=now.expire_before))

    def _exchanges(
        self, place: Place, new: collect.Events, partial: I32, before_ms: int | I64, *, final: bool
    ) -> list[dict[str, pa.Table]]:
        """Return the rows of exchanges; what had to go is counted."""
        by_end = before_ms if isinstance(before_ms, int) else np.repeat(before_ms, 2)
        now = turns.Now(by_end, final)
        told = self.turns.tick(new, partial, self.flows, now, self.flows.idle(before_ms))
        gone = self.turns.bounded(self.flows, self.settings.max_open_events)
        self._count(gone, "turns_evicted")
        tables = {
            "histogram": exchanged.rows_of(place, told, self.flows, self.settings.window_ns),
            "exchange": alone.rows_of(place, told.alone, self.flows),
        }
        return [{kind: table} for kind, table in tables.items() if table is not None]

    def _rtt(self, place: Place, accounts: collect.Lives | None) -> dict[str, pa.Table]:
        table = rtt.rows_of(place, accounts, self.flows, self.settings.window_ns)
        return {} if table is None else {"histogram": table}

    def _count(self, ends: I32, reason: str) -> None:
        """Count one of a reason for the agent at each of (n,) ends."""
        for at, number in zip(*np.unique(ends, return_counts=True), strict=True):
            self.ledger.add(self.flows.agent(int(at)), {reason: int(number)})

    def _about(self, why: str | None = None) -> About:
        return About(frozenset(self.peers.silent), frozenset(self.streams.gaps.hosts()), why)

    def _rows(self, place: Place, closed: Closed, about: About) -> dict[str, pa.Table]:
        settings = self.settings
        return rows_of(place, closed, self.flows, settings.window_ns, about, settings.match_rows)

    def _once(self, new: collect.Events) -> collect.Events:
        """Leave out, and count, what another agent run of the same host has told before."""
        sends, receives, ends = once(new.sends, new.receives, self.waiting, self.flows)
        self._count(ends, "duplicate")
        return new._replace(sends=sends, receives=receives)

    def _next_tick(self) -> int:
        assert self.broker_ms is not None  # noqa: S101 - a record was taken
        number = self.broker_ms // self.settings.tick_ms
        return number if self.last_tick is None else max(number, self.last_tick + 1)

    def _evict(self, place: Place, before: int) -> dict[str, pa.Table]:
        """Close what was born up to ``before`` as if its horizon had come, and count it."""
        ends = [self.waiting.arrivals.flow[self.waiting.arrivals.born <= before] ^ 1]
        self.waiting, closed = match(
            self.waiting, self.flows.flows, Now(place.broker_ms, before, final=False)
        )
        ends += [closed.expired.flow, closed.holes.receives.flow[closed.holes.first] ^ 1]
        self._count(np.concatenate(ends), "evicted")
        return self._rows(place, closed, self._about(EVICTED))

    def _told(self, place: Place) -> dict[str, pa.Table]:
        """Return the ledger, and the ends first heard of, since the last tick."""
        found = {}
        fresh, self.flows.fresh = self.flows.fresh, []
        if fresh:
            found["connection"] = rows.connections(place, self.flows, fresh)
        counts = self.ledger.drain(broker_ns(place.broker_ms))
        if counts:
            found["ledger"] = rows.ledger(place, counts)
        return found
