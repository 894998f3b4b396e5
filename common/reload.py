# SPDX-License-Identifier: Apache-2.0
"""Reads the settings anew at SIGHUP: applies what a running service can take, names what needs a restart.

All or nothing: settings that `load` refuses change nothing, and the log says what is wrong and where.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

import structlog

from common.config import Settings
from common.config.settings import fields_of
from common.errors import ConfigError
from common.log import setup_logging
from common.service import ServiceSettings

S = TypeVar("S", bound=Settings)


class Reloader(Generic[S]):
    """Call it to read anew; one thread does.

    Args:
        started: the settings that the service was started with.
        read: reads them anew, raising ConfigError.
        apply: by key, such as `service.log-level`: brings the new settings' value into force.
    """

    def __init__(self, started: S, read: Callable[[], S], apply: Mapping[str, Callable[[S], None]]) -> None:
        self._in_force = dict(_flat(started, ""))
        self._read = read
        self._apply = apply
        self._log = structlog.get_logger()

    def __call__(self) -> None:
        """Read, apply what can be, say what became of it."""
        try:
            settings = self._read()
        except ConfigError as error:
            self._log.error("settings are not valid, the old ones stay", error=str(error))
            return
        found = dict(_flat(settings, ""))
        changed = [key for key, value in found.items() if value != self._in_force[key]]
        applied = [key for key in changed if key in self._apply]
        for key in applied:
            self._apply[key](settings)
            self._in_force[key] = found[key]
        waiting = [key for key in changed if key not in self._apply]
        say = self._log.warning if waiting else self._log.info
        say("settings read anew", applied=applied, need_a_restart=waiting)


def logging_of(service: str, section: Callable[[S], ServiceSettings]) -> dict[str, Callable[[S], None]]:
    """Return what applies the two settings of the log."""

    def apply(settings: S) -> None:
        own = section(settings)
        setup_logging(own.log_format, own.log_level, service=service)

    return {"service.log-level": apply, "service.log-format": apply}


def _flat(settings: Settings, above: str) -> Iterator[tuple[str, object]]:
    for key, field in fields_of(type(settings)).items():
        value = getattr(settings, field.name)
        if isinstance(value, Settings):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value
