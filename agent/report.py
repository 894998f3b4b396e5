# SPDX-License-Identifier: Apache-2.0
"""Makes the agent's status out of what its parts count, and keeps it written.

A status that cannot be written costs a warning, never the tracing.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import structlog

from agent.kernel.counters import Counters
from agent.ledger import ATTEMPTED, DELIVERED, NO_LOSS, Ledger
from agent.meter import Meter, resident_bytes
from agent.pack import Identity
from agent.status import Status, StatusFile
from agent.version import VERSION


class Delivery(Protocol):
    """What delivery has counted."""

    records: int
    record_bytes: int
    last_delivery_ns: int | None
    last_error: str


class KernelCost:
    """Time in the BPF programs per event, over the stretches in which the kernel measured it."""

    def __init__(self) -> None:
        self._before = (0, 0, 0)
        self._time_ns = self._events = 0

    def update(self, counters: Counters) -> None:
        """Take the kernel's account of now."""
        now = (counters.run_time_ns, counters.run_cnt, counters.attempts)
        time_ns, runs, events = (new - old for new, old in zip(now, self._before, strict=True))
        if runs > 0:
            self._time_ns += time_ns
            self._events += events
        self._before = now

    @property
    def us_per_event(self) -> float | None:
        """None where the kernel has measured nothing (kernel.bpf_stats_enabled is 0)."""
        return round(self._time_ns / self._events / 1000, 3) if self._events else None


class Figures(NamedTuple):
    """Where a report takes its figures from."""

    identity: Identity
    ledger: Ledger
    delivery: Delivery
    meter: Meter


class Reporter:
    """Keeps the status file of one agent run."""

    def __init__(self, folder: Path, figures: Figures, now_ns: Callable[[], int]) -> None:
        self._file = StatusFile(folder)
        self._figures = figures
        self._now_ns = now_ns
        self._started_ns = now_ns()
        self._cost = KernelCost()
        self._log = structlog.get_logger()
        try:
            self._file.open()
        except OSError as error:
            self._log.warning("no status file", folder=str(folder), error=str(error))

    def write(self, counters: Counters) -> None:
        """Write how things stand."""
        self._cost.update(counters)
        try:
            self._file.write(self.status())
        except OSError as error:
            self._log.warning("status not written", error=str(error))

    def close(self) -> None:
        """Remove the file: this agent has ended."""
        self._file.close()

    def status(self) -> Status:
        """Return how things stand."""
        identity, ledger, delivery, meter = self._figures
        now, events = self._now_ns(), ledger.total(*ATTEMPTED)
        totals = {(total.stage, total.reason): total.events for total in ledger.totals()}
        return Status(
            host=identity.host,
            pid=os.getpid(),
            agent=VERSION,
            epoch=identity.epoch,
            monotonic_ns=now,
            uptime_seconds=round((now - self._started_ns) / 1e9, 3),
            events=events,
            delivered=ledger.total(*DELIVERED),
            lost={"/".join(k): n for k, n in totals.items() if n and k not in NO_LOSS},
            in_flight=max(0, ledger.in_flight()),
            delivered_records=delivery.records,
            delivered_bytes=delivery.record_bytes,
            last_delivery_ns=delivery.last_delivery_ns,
            last_error=delivery.last_error,
            kernel_us_per_event=self._cost.us_per_event,
            agent_us_per_event=round(1e6 * meter.used_seconds / events, 3) if events else None,
            cpu_mean_percent=meter.read()["cpu_percent"],
            cpu_percent=meter.recent_percent(),
            rss_bytes=resident_bytes(),
        )
