# SPDX-License-Identifier: Apache-2.0
"""What the pipeline counts: totals for the summary line and the same numbers for Prometheus.

Counted when a part is committed, so that work that was thrown away and done again is counted once.
"""

from collections import Counter as Tally
from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from consumer.pipeline.work import Work

STAGE = "consumer"
"""The stage whose ledger rows are this consumer's own."""
_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)


@dataclass
class Totals:
    """What this process committed since it started."""

    records: int = 0
    commits: int = 0
    poison: int = 0
    rows: Tally[str] = field(default_factory=Tally)
    """Rows by kind."""
    ledger: Tally[tuple[str, str]] = field(default_factory=Tally)
    """Events by (stage, reason), of this consumer's own ledger rows."""

    @property
    def events(self) -> int:
        """Events taken over from agents."""
        return self.ledger[STAGE, "stored"]

    @property
    def duplicates(self) -> int:
        """Events that came again and were dropped."""
        return self.ledger[STAGE, "duplicate"]

    def add(self, work: Work) -> None:
        """Count a part that was just committed, before it is cleared."""
        self.records += work.records
        self.poison += len(work.poison)
        for kind, tables in work.rows.items():
            self.rows[kind] += sum(table.num_rows for table in tables)
        for table in work.rows.get("ledger", []):
            self.ledger.update(ledger_sums(table))


def ledger_sums(table: pa.Table) -> Mapping[tuple[str, str], int]:
    """Return the events by (stage, reason) of ledger rows."""
    plain = pa.table({name: _plain(table[name]) for name in ("stage", "reason", "events")})
    sums = plain.group_by(["stage", "reason"]).aggregate([("events", "sum")])
    names = zip(sums["stage"].to_pylist(), sums["reason"].to_pylist(), strict=True)
    return dict(zip(names, sums["events_sum"].to_pylist(), strict=True))


class Metrics:
    """The pipeline's counters in a registry that the caller made."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.label_names: dict[str, tuple[str, ...]] = {}
        """By name, of those that have labels."""

        def counter(name: str, text: str, *labels: str) -> Counter:
            if labels:
                self.label_names[f"wirelag_consumer_{name}"] = labels
            return Counter(f"wirelag_consumer_{name}", text, labels, registry=registry)

        def of_partitions(name: str, text: str) -> Gauge:
            labels = self.label_names[f"wirelag_consumer_{name}"] = ("topic", "partition")
            return Gauge(f"wirelag_consumer_{name}", text, labels, registry=registry)

        self.totals = Totals()
        self.records = counter("records", "Records committed", "topic")
        self.record_bytes = counter("record_bytes", "Bytes of their values", "topic")
        self.rows = counter("rows", "Rows committed", "kind")
        self.ledger = counter("ledger_events", "Events of committed ledger rows", "stage", "reason")
        self.poison = counter("poison_records", "Records that could not be read", "topic", "reason")
        self.poison_refused = counter("poison_refused", "Poison records the poison topic did not take")
        self.failures = counter("failures", "Cycles that failed and were done again", "error")
        self.flushes = counter("idle_flushes", "Quiet partitions whose open events were closed")
        self.published = counter("published", "Latency records published")
        self.unpublished = counter("unpublished", "Latency records given up or refused")
        self.seconds = Histogram(
            "wirelag_consumer_commit_seconds", "Time of a commit", buckets=_SECONDS, registry=registry
        )
        self.partitions = Gauge("wirelag_consumer_partitions", "Partitions that are ours", registry=registry)
        self.position = of_partitions("position", "Next Kafka offset")
        self.lag = of_partitions("lag_records", "Records in Kafka that are not committed")
        self.lag_share = of_partitions(
            "lag_share", "Share of what Kafka keeps that is not committed; at 1 it deletes unread records"
        )

    def committed(self, work: Work) -> None:
        """Count a part that was just committed, before it is cleared."""
        self.totals.add(work)
        topic, number = work.partition
        self.records.labels(topic).inc(work.records)
        self.record_bytes.labels(topic).inc(work.size)
        self.position.labels(topic, str(number)).set(work.kafka_offset)
        for poison in work.poison:
            self.poison.labels(topic, poison.reason).inc()
        for kind, tables in work.rows.items():
            self.rows.labels(kind).inc(sum(table.num_rows for table in tables))
        for table in work.rows.get("ledger", []):
            for key, events in ledger_sums(table).items():
                self.ledger.labels(*key).inc(max(0, events))


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.cast(column, column.type.value_type) if pa.types.is_dictionary(column.type) else column
