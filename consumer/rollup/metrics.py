# SPDX-License-Identifier: Apache-2.0
"""What rounds of roll-up count: of a loop of its own, and of the one beside a consumer."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge

from consumer.rollup.told import Told


class Metrics:
    """What rounds did since the process began, in a registry that the caller made."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.label_names: dict[str, tuple[str, ...]] = {}
        """By name, of those that have labels."""

        def counter(name: str, text: str, *labels: str) -> Counter:
            if labels:
                self.label_names[f"wirelag_rollup_{name}"] = labels
            return Counter(f"wirelag_rollup_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"wirelag_rollup_{name}", text, registry=registry)

        self.rounds = counter("rounds", "Rounds of roll-up", "outcome")
        self.replaced = counter("replaced", "Hours and days whose roll-up was made or made anew", "length")
        self.facts = counter("fact_rows", "Rows of facts that were gone through")
        self.messages = counter("messages", "Messages between hosts in them", "outcome")
        self.conflicts = counter("conflicts", "Commits that another one came before, tried again")
        self.overtaken = counter("overtaken", "Roll-ups given up since another process was first")
        self.too_late = gauge(
            "too_late_rows", "Rows that came when others of their hour had been deleted by age"
        )
        self.settled = gauge("settled_seconds", "Time up to which windows are settled, since the epoch")
        self.seconds = counter("busy_seconds", "Time that rounds took")
        self.last = gauge("last_seconds", "When the last whole round ended, since the epoch")

    def count(self, told: Told) -> None:
        """Add a round that came to its end."""
        self.rounds.labels("done").inc()
        self.replaced.labels("hour").inc(told.hours)
        self.replaced.labels("day").inc(told.days)
        self.facts.inc(told.rows)
        self.messages.labels("corrected").inc(told.messages)
        self.messages.labels("withheld").inc(told.withheld)
        self.conflicts.inc(told.conflicts)
        self.overtaken.inc(told.overtaken)
        self.too_late.set(told.too_late)
        self.settled.set(told.settled_ns / 10**9)
        self.seconds.inc(told.seconds)
        self.last.set(time.time())

    def failed(self) -> None:
        """Count a round that failed."""
        self.rounds.labels("failed").inc()
