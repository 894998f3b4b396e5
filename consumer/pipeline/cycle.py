# SPDX-License-Identifier: Apache-2.0
"""One cycle: poison aside, one lake commit for all that moved, then publish, then note for lag tools.

In that order, so that a crash anywhere leaves nothing out: what comes before the commit is done again with
the same records, what comes after it is in the outbox that was committed with the rows.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from common.errors import RuntimeFailure
from common.throttle import Throttle
from consumer.pipeline.metrics import Metrics
from consumer.pipeline.work import Work
from consumer.publish import latency, poison
from consumer.publish.message import Delivery, Outgoing
from consumer.source.topics import Mark, Partition
from lake.facts import Facts

log = structlog.get_logger()


class Sender(Protocol):
    """What is needed of Kafka to send."""

    def send(self, batch: Iterable[Outgoing]) -> Delivery:
        """Send all and wait for what becomes of them."""


class Marker(Protocol):
    """What is needed of Kafka to show lag tools where we are."""

    def mark(self, marks: Mapping[Partition, Mark]) -> None:
        """Note these; a failure costs nothing."""


@dataclass
class Cycle:
    """Commits and publishes partitions. Raises RuntimeFailure where their memory must be thrown away."""

    lake: Facts
    sender: Sender
    marker: Marker
    metrics: Metrics
    check_unchanged: Callable[[], None]
    poison_topic: str
    latency_topic: str
    """Empty: nothing is published."""
    throttle: Throttle

    def run(self, works: Sequence[Work]) -> None:
        """Commit what moved, publish what is not yet published."""
        moved = [work for work in works if work.moved]
        if moved:
            self._set_aside(moved)
            self.check_unchanged()
            self._commit(moved)
        unpublished = [work for work in works if work.outbox]
        self._publish(unpublished)
        settled = {work.partition: work.mark for work in [*moved, *unpublished] if not work.outbox}
        if settled:
            self.marker.mark(settled)

    def _set_aside(self, works: Sequence[Work]) -> None:
        found = [
            record
            for work in works
            for record in poison.outgoing(self.poison_topic, work.partition, work.poison)
        ]
        if not found:
            return
        delivery = self.sender.send(found)
        if delivery.failed:
            raise RuntimeFailure(f"poison records could not be set aside: {delivery.reason}")
        self.metrics.poison_refused.inc(delivery.refused)
        if (silent := self.throttle.due("poison")) is not None:
            first = next(work for work in works if work.poison)
            log.warning(
                "records could not be read",
                records=len(found),
                first=f"{first.partition.topic}/{first.partition.number}/{first.poison[0].kafka_offset}",
                why=first.poison[0].message,
                refused=delivery.refused,
                more=silent,
            )

    def _commit(self, works: Sequence[Work]) -> None:
        begun = time.perf_counter()
        version = self.lake.commit([work.part() for work in works])
        self.metrics.seconds.observe(time.perf_counter() - begun)
        self.metrics.totals.commits += 1
        for work in works:
            self.metrics.committed(work)
            work.settle()
        log.debug("committed", version=version, partitions=len(works))

    def _publish(self, works: Sequence[Work]) -> None:
        """Send the outboxes; one that is not wholly delivered is kept, and sent again at the next cycle."""
        if not self.latency_topic:
            for work in works:
                work.outbox.clear()
            return
        batch = [record for work in works for record in self._latencies(work)]
        if not batch:
            return
        delivery = self.sender.send(batch)
        self.metrics.published.inc(delivery.delivered)
        self.metrics.unpublished.inc(delivery.refused)
        for work in works:
            if delivery.failed:
                self.metrics.unpublished.inc(work.trim())
            else:
                work.outbox.clear()
        trouble = delivery.failed or delivery.refused
        if trouble and (silent := self.throttle.due("publish")) is not None:
            log.warning(
                "latencies were not published",
                kept=delivery.failed,
                refused=delivery.refused,
                why=delivery.reason,
                more=silent,
            )

    def _latencies(self, work: Work) -> Iterable[Outgoing]:
        for rows in work.outbox:
            yield from latency.outgoing(self.latency_topic, work.topic_id, rows)
