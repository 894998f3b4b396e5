# SPDX-License-Identifier: Apache-2.0
"""The consumer's loop on stand-ins for Kafka and the lake, with a clock that turns when the loop does."""

import threading
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from common.throttle import Throttle
from consumer.pipeline.cycle import Cycle
from consumer.pipeline.metrics import Metrics
from consumer.pipeline.owned import Owned, Rules
from consumer.pipeline.service import Pace, Service
from consumer.pipeline.watch import Watch
from consumer.source.topics import OnTruncated
from support.fake_pipeline import FakeEngine, FakeKafka, FakeLake


@dataclass
class Bench:
    """A service on stand-ins, with a clock that a test moves."""

    kafka: FakeKafka = field(default_factory=FakeKafka)
    lake: FakeLake = field(default_factory=FakeLake)
    now: float = 0.0
    on_truncated: OnTruncated = "stop"

    def __post_init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)
        self.stop = threading.Event()
        self.service = self.start()

    def start(self, most_failures: int | None = None) -> Service:
        """Return a new process, as far as the lake and Kafka can tell."""
        owned = Owned(
            self.kafka,
            self.lake,  # type: ignore[arg-type]
            lambda _, state: FakeEngine.restored(state),
            Rules("events", "control", 1, on_truncated=self.on_truncated),
            clock=lambda: self.now,
        )
        cycle = Cycle(
            lake=self.lake,  # type: ignore[arg-type]
            sender=self.kafka,
            marker=self.kafka,
            metrics=self.metrics,
            check_unchanged=owned.check_unchanged,
            poison_topic="poison",
            latency_topic="latency",
            throttle=Throttle(),
        )
        watch = Watch(self.kafka, self.metrics, owned.check_unchanged, 10.0, lambda: self.now)
        pace = Pace(5.0, 10**9, 10.0, most_failures=most_failures)
        return Service(
            self.kafka,
            owned,
            cycle,
            self.metrics,
            pace,
            self.stop,
            alive=self.tick,
            watch=watch,
            clock=lambda: self.now,
            pause=lambda _seconds: None,
        )

    def tick(self) -> None:
        self.now += 1.0

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self.service._turn()
            self.service._flush_idle()

    def ticks(self) -> list[int]:
        """Return the ticks of the histogram rows in the lake."""
        return [
            tick
            for part in self.lake.commits
            for kind, table in part.rows.items()
            if kind == "histogram"
            for tick in table["tick"].to_pylist()
        ]

    def counts(self) -> dict[str, float]:
        """Return the samples of all counters and gauges."""
        return {
            f"{sample.name.removeprefix('wirelag_consumer_')}"
            f"{{{','.join(f'{key}={text}' for key, text in sorted(sample.labels.items()))}}}": sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if family.type != "histogram" and not sample.name.endswith("_created")
        }
