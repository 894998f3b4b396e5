# SPDX-License-Identifier: Apache-2.0
"""The agent's status as Prometheus metrics, made when somebody asks. Imported only where metrics are on.

Base units (seconds, bytes, ratios), totals end in `_total`, no labels but stage and reason of the ledger and
the version.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from agent.brakes.standing import TRACING
from agent.ledger import ATTEMPTED, DELIVERED, SAMPLED
from agent.status import Status
from agent.version import VERSION
from common.metrics import new_registry
from schemas.batch import FULL_RATE

LABEL_NAMES = {"wirelag_agent_events": ("stage", "reason"), "wirelag_agent": ("version",)}
"""By name, of those that have labels."""


class Figure(NamedTuple):
    """One metric without labels; None is left out."""

    kind: type[CounterMetricFamily | GaugeMetricFamily]
    name: str
    text: str
    value: Callable[[Status], float | None]


def _kernel_seconds(one: Status) -> float | None:
    return None if one.kernel_us_per_event is None else one.kernel_us_per_event / 1e6


FIGURES = (
    Figure(
        GaugeMetricFamily,
        "attached",
        "1 while it traces, 0 while it is stopped",
        lambda one: float(one.state == TRACING),
    ),
    Figure(
        GaugeMetricFamily,
        "in_flight_events",
        "Events neither delivered nor lost nor sampled out (yet)",
        lambda one: one.in_flight,
    ),
    Figure(
        CounterMetricFamily,
        "delivered_records",
        "Records that Kafka has acknowledged",
        lambda one: one.delivered_records,
    ),
    Figure(
        CounterMetricFamily,
        "delivered_bytes",
        "Bytes of their values, before compression",
        lambda one: one.delivered_bytes,
    ),
    Figure(
        GaugeMetricFamily,
        "oldest_undelivered_seconds",
        "Age of the oldest event that Kafka has not acknowledged, 0: none waits",
        lambda one: one.oldest_undelivered_seconds,
    ),
    Figure(
        GaugeMetricFamily,
        "kept_connections_ratio",
        "Share of connections that are kept whole now",
        lambda one: one.connection_rate / FULL_RATE,
    ),
    Figure(
        GaugeMetricFamily,
        "kept_blocks_ratio",
        "Share of the blocks of a stream that are kept now",
        lambda one: one.block_rate / FULL_RATE,
    ),
    Figure(
        CounterMetricFamily,
        "rate_changes",
        "How often either share was changed",
        lambda one: one.rate_changes,
    ),
    Figure(
        GaugeMetricFamily,
        "bpf_seconds_per_event",
        "Time in the BPF programs for one event; absent until it was measured, which takes CAP_SYS_ADMIN",
        _kernel_seconds,
    ),
    Figure(
        GaugeMetricFamily,
        "spool_records",
        "Records on disk that wait for Kafka; absent without a spool, as are the next three",
        lambda one: one.spool_records,
    ),
    Figure(GaugeMetricFamily, "spool_bytes", "Bytes that the spool takes", lambda one: one.spool_bytes),
    Figure(
        GaugeMetricFamily, "spool_limit_bytes", "Bytes that it may take", lambda one: one.spool_limit_bytes
    ),
    Figure(
        GaugeMetricFamily,
        "spool_oldest_seconds",
        "Age of the oldest event in the spool; absent while it is empty",
        lambda one: one.spool_oldest_seconds,
    ),
)


class StatusCollector(Collector):
    """Shows the status that ``latest`` returns; only the version while that is None."""

    def __init__(self, latest: Callable[[], Status | None]) -> None:
        self._latest = latest

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of now."""
        yield InfoMetricFamily("wirelag_agent", "The agent's version", {"version": VERSION})
        status = self._latest()
        if status is None:
            return
        events = CounterMetricFamily(
            "wirelag_agent_events",
            "Events by what became of them: the ledger (kernel/attempted is all of them)",
            labels=LABEL_NAMES["wirelag_agent_events"],
        )
        for key, count in _ledger(status):
            events.add_metric(key, count)
        yield events
        for figure in FIGURES:
            value = figure.value(status)
            if value is not None:
                yield figure.kind(f"wirelag_agent_{figure.name}", figure.text, value=value)

    def describe(self) -> list[Metric]:
        """Return nothing: at registration there is no status to be asked."""
        return []


def registry_of(latest: Callable[[], Status | None]) -> CollectorRegistry:
    """Return a registry that has an agent's status and what its process costs."""
    registry = new_registry()
    registry.register(StatusCollector(latest))
    return registry


def _ledger(status: Status) -> Iterator[tuple[tuple[str, str], int]]:
    yield ATTEMPTED, status.events
    yield SAMPLED, status.sampled
    yield DELIVERED, status.delivered
    for name, count in status.lost.items():
        stage, _, reason = name.partition("/")
        yield (stage, reason), count
