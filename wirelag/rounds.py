# SPDX-License-Identifier: Apache-2.0
"""`wirelag lake maintain --every`: round after round until told to stop, with a log line and metrics.

A round that fails is tried again at its next time; only what a person has to mend (exit 2) ends the loop.
"""

import threading
import time
from typing import TYPE_CHECKING, Any

import structlog
from msgspec import to_builtins
from prometheus_client import CollectorRegistry, Counter, Gauge

from common.errors import ConfigError, RuntimeFailure
from common.health import Health, Pulse
from common.log import setup_logging
from common.metrics import new_registry, served
from common.service import stop_on_signals
from common.systemd import notify, watchdog_interval
from common.units import Duration, UnitError
from lake.maintain import Done, Maintainer, Round

if TYPE_CHECKING:
    from consumer.settings import ConsumerSettings

log = structlog.get_logger()
_PATIENCE = 3600.0
"""Seconds a round may take until `/livez` says no."""


class Metrics:
    """What the rounds did since the process began."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.label_names: dict[str, tuple[str, ...]] = {}
        """By name, of those that have labels."""

        def counter(name: str, text: str, *labels: str) -> Counter:
            if labels:
                self.label_names[f"wirelag_maintain_{name}"] = labels
            return Counter(f"wirelag_maintain_{name}", text, labels, registry=registry)

        self.rounds = counter("rounds", "Rounds of housekeeping", "outcome")
        self.removed = counter("files_removed", "Files and objects removed or deleted", "action")
        self.added = counter("files_added", "Files written in their place", "action")
        self.conflicts = counter("conflicts", "Commits that another one came before")
        self.overtaken = counter("overtaken", "Merges whose files another process had replaced")
        self.failed = counter("failures", "Files or steps that could not be done")
        self.last = Gauge(
            "wirelag_maintain_last_seconds", "When the last whole round ended", registry=registry
        )

    def count(self, made: Round) -> None:
        """Add a round that came to its end."""
        self.rounds.labels("failed" if made.failed else "done").inc()
        for done in made.done.values():
            self.removed.labels(done.action).inc(done.removed)
            self.added.labels(done.action).inc(done.added)
        self.conflicts.inc(made.conflicts)
        self.overtaken.inc(made.overtaken)
        self.failed.inc(len(made.failed))
        if not made.failed:
            self.last.set(time.time())


def rows_of(made: Round) -> list[dict[str, Any]]:
    """Return what was done, one row an action and kind; what did not go at once as rows without files."""
    rows = [to_builtins(done) for done in made.done.values()]
    for action, times in (
        ("conflicts, tried again", made.conflicts),
        ("overtaken, given up", made.overtaken),
    ):
        if times:
            rows.append(to_builtins(Done(action, times=times)))
    return rows


def follow(maintainer: Maintainer, settings: "ConsumerSettings", every: str) -> None:
    """Do rounds until SIGTERM or Ctrl-C."""
    try:
        pause = Duration.parse(every)
    except UnitError as error:
        raise ConfigError(f"--every: {error}") from error
    if pause < 1:
        raise ConfigError(f"--every: found {pause}; allowed is 1s or more")
    setup_logging(settings.service.log_format, settings.service.log_level, service="maintain")
    registry = new_registry()
    metrics, pulse = Metrics(registry), Pulse(_PATIENCE + pause)
    with (
        stop_on_signals() as stop,
        served(registry, settings.lake.maintain.metrics_listen, Health(pulse.trouble, lambda: None)),
    ):
        notify("READY=1")
        while not stop.is_set():
            pulse.beat()
            notify("WATCHDOG=1")
            _round(maintainer, metrics)
            _rest(stop, pause)
        notify("STOPPING=1")


def _rest(stop: threading.Event, seconds: float) -> None:
    """Wait for the next round; the watchdog hears that this goes on."""
    until = time.monotonic() + seconds
    interval = watchdog_interval() or seconds
    while (left := until - time.monotonic()) > 0 and not stop.wait(min(left, interval)):
        notify("WATCHDOG=1")


def _round(maintainer: Maintainer, metrics: Metrics) -> None:
    begun = time.monotonic()
    try:
        made = maintainer.run()
    except RuntimeFailure as error:
        metrics.rounds.labels("failed").inc()
        why = {"error": str(error), "kind": type(error).__name__}
        log.error("round failed, tried again at its next time", **why)  # noqa: TRY400 - one line will do
        return
    metrics.count(made)
    for line in made.failed:
        log.error("not done", error=line)
    log.info(
        "round",
        seconds=round(time.monotonic() - begun, 3),
        removed=sum(done.removed for done in made.done.values()),
        added=sum(done.added for done in made.done.values()),
        conflicts=made.conflicts,
        overtaken=made.overtaken,
    )
