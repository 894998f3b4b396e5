# SPDX-License-Identifier: Apache-2.0
"""`wirelag rollup`: builds what rolls a lake up from the consumer's settings, and runs it."""

import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from common.config import load
from common.errors import ConfigError, RuntimeFailure
from common.health import Health, Pulse
from common.log import setup_logging
from common.metrics import new_registry, served
from common.service import stop_on_signals
from common.systemd import notify
from common.throttle import Throttle
from common.units import Duration
from consumer.rollup.job import MOST_HOURS, Job
from consumer.rollup.metrics import Metrics
from consumer.rollup.solve import solve_window
from consumer.rollup.told import Told
from consumer.settings import ENV_PREFIX, ConsumerSettings
from lake.inputs import EVER, Range
from lake.rollup import RollUps

log = structlog.get_logger()
_PATIENCE = 3600.0
"""Seconds a round may take until `/livez` says no."""


def rollup(
    config: Path | None, set_: Sequence[str], *, every: str = "", span: tuple[int, int] | None = None
) -> None:
    """Roll up what is due and print a line, or with ``every`` do so until a signal comes.

    ``span`` is the time asked for, [from, to) in ns since the epoch: hours that overlap it.

    Raises:
        ConfigError: a setting or a duration cannot be used (exit 2).
        RuntimeFailure: something outside failed, of a single round (exit 1); the next one goes on.
    """
    pause = _duration(every) if every else None
    settings = load(ConsumerSettings, config, env_prefix=ENV_PREFIX, overrides=set_)
    setup_logging(settings.service.log_format, settings.service.log_level, service="rollup")
    own = settings.consumer
    lake = RollUps.open(settings.lake.uri, storage_options=settings.lake.storage_options)
    waits, asked = own.rollup.waits(own.horizon, own.peer_wait), Range(*span) if span else EVER
    job = Job(lake, waits, solve_window, span=asked, most=None if pause is None else MOST_HOURS)
    if pause is None:
        sys.stdout.write(f"{summary(job.round())} -> {settings.lake.uri}\n")
        return
    registry = new_registry()
    pulse, listen = Pulse(_PATIENCE + float(pause)), own.rollup.metrics_listen
    with stop_on_signals() as stop, served(registry, listen, Health(pulse.trouble, lambda: None)):
        notify("READY=1")
        follow(job, Metrics(registry), stop, float(pause), pulse.beat)
        notify("STOPPING=1")


def follow(
    job: Job, metrics: Metrics, stop: threading.Event, pause: float, alive: Callable[[], None] = lambda: None
) -> None:
    """Do rounds until told to stop; one that fails is tried again at its next time."""
    throttle = Throttle()
    while not stop.is_set():
        alive()
        try:
            told = job.round()
            metrics.count(told)
            if told.hours or told.days:
                log.info("rolled up", done=summary(told), seconds=round(told.seconds, 3))
        except RuntimeFailure as error:
            metrics.failed()
            if (silent := throttle.due("round")) is not None:
                log.warning("round of roll-up failed, tried again", error=str(error), more=silent)
        stop.wait(pause)


def summary(told: Told) -> str:
    """Return the line that says what a round did."""
    return (
        f"{told.hours:,} hours and {told.days:,} days, {told.windows:,} windows, {told.rows:,} rows: "
        f"{told.messages:,} messages corrected, {told.withheld:,} withheld, {told.too_late:,} rows too late"
    )


def _duration(text: str) -> Duration:
    try:
        found = Duration.parse(text)
    except ValueError as error:
        raise ConfigError(f"--every: {error}") from error
    if found < 1:
        raise ConfigError(f"--every: found {text}; allowed is 1s or more")
    return found
