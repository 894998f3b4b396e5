# SPDX-License-Identifier: Apache-2.0
"""Makes the agent's status out of what its parts count, and keeps it written.

A status that cannot be written costs a warning, never the tracing.
"""

import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import structlog

from agent.brakes.standing import Standing
from agent.delivery.outstanding import Outstanding
from agent.ledger import ATTEMPTED, DELIVERED, NO_LOSS, SAMPLED, Ledger
from agent.meter import Meter, resident_bytes
from agent.pack import Identity
from agent.spool.limits import Figures as SpoolFigures
from agent.status import Status, StatusFile
from agent.version import VERSION
from common.units import DAY_NS

SOME = 2
"""Looks without which there is no pace, however old the first."""
RECENT_NS = 300 * 10**9


class Delivery(Protocol):
    """What delivery has counted."""

    records: int
    record_bytes: int
    last_delivery_ns: int | None
    last_error: str
    outstanding: Outstanding

    @property
    def standing(self) -> SpoolFigures | None:
        """How the spool stands, None without one."""


class Braked(Protocol):
    """How the brakes stand."""

    @property
    def standing(self) -> Standing:
        """Rates, state and why."""

    @property
    def us_per_event(self) -> float | None:
        """Time in the BPF programs, None where it was not measured yet."""


class DayRate:
    """Bytes that a day has at the pace of the last minutes."""

    def __init__(self) -> None:
        self._seen: deque[tuple[int, int]] = deque()

    def update(self, now_ns: int, total: int) -> float | None:
        """Take the total of now and return the bytes of a day, None at first."""
        self._seen.append((now_ns, total))
        while len(self._seen) > SOME and now_ns - self._seen[0][0] > RECENT_NS:
            self._seen.popleft()
        since, before = self._seen[0]
        return None if now_ns == since else (total - before) / (now_ns - since) * DAY_NS


class Figures(NamedTuple):
    """Where a report takes its figures from."""

    identity: Identity
    ledger: Ledger
    delivery: Delivery
    meter: Meter
    brakes: Braked
    left_out: tuple[int, ...] = ()
    """Ports of brokers."""


class Reporter:
    """Keeps the status file of one agent run."""

    def __init__(self, folder: Path, figures: Figures, now_ns: Callable[[], int]) -> None:
        self._file = StatusFile(folder)
        self._figures = figures
        self._now_ns = now_ns
        self._started_ns = now_ns()
        self._day = DayRate()
        self.left_out = figures.left_out
        """Ports of brokers."""
        self._log = structlog.get_logger()
        try:
            self._file.open()
        except OSError as error:
            self._log.warning("no status file", folder=str(folder), error=str(error))

    def write(self) -> Status:
        """Write how things stand, and return it."""
        status = self.status()
        try:
            self._file.write(status)
        except OSError as error:
            self._log.warning("status not written", error=str(error))
        return status

    def close(self) -> None:
        """Remove the file: this agent has ended."""
        self._file.close()

    def status(self) -> Status:
        """Return how things stand."""
        identity, ledger, delivery, meter, brakes, _ = self._figures
        now, events = self._now_ns(), ledger.total(*ATTEMPTED)
        standing, sampled = brakes.standing, ledger.total(*SAMPLED)
        day, oldest = self._day.update(now, delivery.record_bytes), delivery.outstanding.oldest_ns()
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
            oldest_undelivered_seconds=0.0 if oldest is None else max(0.0, round((now - oldest) / 1e9, 3)),
            kernel_us_per_event=brakes.us_per_event,
            agent_us_per_event=round(1e6 * meter.used_seconds / events, 3) if events else None,
            cpu_mean_percent=meter.read()["cpu_percent"],
            cpu_percent=meter.recent_percent(),
            rss_bytes=resident_bytes(),
            state=standing.state,
            why=standing.why,
            order=standing.order,
            connection_rate=standing.connection_rate,
            block_rate=standing.block_rate,
            rate_changes=standing.rate_changes,
            kept=events - sampled,
            sampled=sampled,
            bytes_per_day=None if day is None else round(day),
            ports_left_out=self.left_out,
            **_spool(delivery.standing),
        )


def _spool(standing: SpoolFigures | None) -> dict[str, Any]:
    """Return the fields of a status that tell of the spool."""
    if standing is None:
        return {}
    age = (
        None
        if standing.oldest_ns is None
        else max(0.0, round((time.time_ns() - standing.oldest_ns) / 1e9, 3))
    )
    return {
        "spool_records": standing.records,
        "spool_bytes": standing.bytes,
        "spool_limit_bytes": standing.limit,
        "spool_oldest_seconds": age,
    }
