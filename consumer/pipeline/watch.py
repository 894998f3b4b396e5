# SPDX-License-Identifier: Apache-2.0
"""Looked at now and then, whether records come or not: are the topics still ours, and do we keep up?

A topic that was deleted or made anew is found although nothing is committed. A lag of more than half of what
Kafka keeps is told in the log while there is still time to do something about it.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from common.errors import RuntimeFailure
from common.throttle import Throttle
from consumer.pipeline.metrics import Metrics
from consumer.pipeline.work import Work
from consumer.source.lag import Keeping, Span
from consumer.source.topics import Partition

ALARM = 0.5
"""Share of what Kafka keeps."""

log = structlog.get_logger()


class LagSource(Protocol):
    """What is needed of Kafka to measure the lag."""

    def spans(self, partitions: Iterable[Partition]) -> dict[Partition, Span]:
        """Return the Kafka offsets there are of each partition."""

    def keeping(self, topic: str) -> Keeping:
        """Return how long a topic keeps its records."""


@dataclass
class Watch:
    """Looks every ``interval`` seconds of ``clock``."""

    source: LagSource
    metrics: Metrics
    check_unchanged: Callable[[], None]
    """Raises ConfigError where a topic is another one now."""
    interval: float
    clock: Callable[[], float] = time.monotonic
    now_ms: Callable[[], float] = field(default=lambda: time.time() * 1000)

    def __post_init__(self) -> None:
        self._throttle = Throttle()
        self._due = self.clock() + self.interval
        self._shown: set[Partition] = set()

    def turn(self, works: Sequence[Work]) -> None:
        """Look if it is due. A broker that does not answer is no reason to end."""
        if self.clock() < self._due:
            return
        self._due = self.clock() + self.interval
        try:
            self.check_unchanged()
            self._measure(works)
        except RuntimeFailure as error:
            if (silent := self._throttle.due("watch")) is not None:
                log.warning("cannot look at the topics", error=str(error), more=silent)

    def _measure(self, works: Sequence[Work]) -> None:
        spans = self.source.spans([work.partition for work in works]) if works else {}
        keeping = {topic: self.source.keeping(topic) for topic in {work.partition.topic for work in works}}
        shares: dict[Partition, float] = {}
        for work in works:
            topic, number = work.partition
            lag = max(0, spans[work.partition].high - work.mark.next_offset)
            share = share_of_kept(work, spans[work.partition], keeping[topic], self.now_ms())
            shares[work.partition] = share
            self.metrics.lag.labels(topic, str(number)).set(lag)
            self.metrics.lag_share.labels(topic, str(number)).set(share)
        self._forget(self._shown - set(shares))
        self._shown = set(shares)
        self._alarm({partition: share for partition, share in shares.items() if share > ALARM})

    def _forget(self, partitions: Iterable[Partition]) -> None:
        """Show no figure of what is another's now: it would stand still."""
        for topic, number in partitions:
            self.metrics.lag.remove(topic, str(number))
            self.metrics.lag_share.remove(topic, str(number))

    def _alarm(self, behind: dict[Partition, float]) -> None:
        if not behind or (silent := self._throttle.due("lag")) is None:
            return
        worst = max(behind, key=lambda partition: behind[partition])
        log.error(
            "the lag is more than half of what Kafka keeps: add consumers, or have the topic keep more",
            partitions=len(behind),
            worst=f"{worst.topic}/{worst.number}",
            share=round(behind[worst], 2),
            more=silent,
        )


def share_of_kept(work: Work, span: Span, keeping: Keeping, now_ms: float) -> float:
    """Return the share of what Kafka keeps of a partition that is not committed: at 1 it is being deleted.

    By time: the age of the first record that is not committed. By size, once the broker has deleted records:
    how many of those it has are not committed.
    """
    at = work.mark.next_offset
    lag = span.high - at
    if lag <= 0:
        return 0.0
    by_time = by_size = 0.0
    if keeping.milliseconds is not None and work.waiting_since_ms is not None:
        by_time = max(0.0, now_ms - work.waiting_since_ms) / keeping.milliseconds
    if keeping.by_size and span.low > 0:
        by_size = lag / max(1, span.high - span.low)
    return max(by_time, by_size)
