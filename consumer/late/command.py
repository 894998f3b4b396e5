# SPDX-License-Identifier: Apache-2.0
"""`wirelag rematch`: builds what looks at a lake from the consumer's settings, and runs it."""

import sys
from collections.abc import Sequence
from pathlib import Path

from common.config import load
from common.errors import ConfigError
from common.log import setup_logging
from common.service import stop_on_signals
from common.units import Duration
from consumer.late.publish import publisher
from consumer.late.rematch import Rematch
from consumer.publish.kafka import Sender
from consumer.settings import ENV_PREFIX, ConsumerSettings
from lake.late import Late


def rematch(
    config: Path | None, set_: Sequence[str], *, every: str = "", reach: str = "24h", publish: bool = False
) -> None:
    """Look once and print a line, or with ``every`` look until a signal comes.

    ``publish``: send to the latency topic what looks lead to.

    Raises:
        ConfigError: a setting or a duration cannot be used (exit 2).
        RuntimeFailure: something outside failed, of a single look (exit 1); look again.
    """
    pause, far = _duration("every", every) if every else None, _duration("reach", reach)
    settings = load(ConsumerSettings, config, env_prefix=ENV_PREFIX, overrides=set_)
    setup_logging(settings.service.log_format, settings.service.log_level, service="rematch")
    own = settings.consumer
    lake = Late.open(settings.lake.uri, storage_options=settings.lake.storage_options)
    looks = Rematch(lake, own.window.nanoseconds, own.edge_name, far.nanoseconds)
    if publish:
        looks.publish = publisher(Sender(settings.kafka.producer()), settings.kafka.latency_topic)
    if pause is not None:
        with stop_on_signals() as stop:
            looks.follow(stop, float(pause))
        return
    told = looks.once()
    sys.stdout.write(
        f"{told.files:,} new files of unmatched events, {told.matches:,} matches, "
        f"{told.exchanges:,} exchanges joined -> {settings.lake.uri}\n"
    )


def _duration(name: str, text: str) -> Duration:
    try:
        found = Duration.parse(text)
    except ValueError as error:
        raise ConfigError(f"--{name}: {error}") from error
    if found <= 0:
        raise ConfigError(f"--{name}: found {text}; allowed is a duration such as 10s")
    return found
