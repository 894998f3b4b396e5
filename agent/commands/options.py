# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from agent.settings import ENV_PREFIX, AgentSettings
from common.config import load

Config = Annotated[
    Path | None, Parameter(("--config", "-c"), help="TOML file; without one, the defaults hold")
]
Overrides = Annotated[
    list[str] | None, Parameter("--set", help="section.key=value, over file and environment; may be repeated")
]
Json = Annotated[bool, Parameter("--json", negative="", help="one JSON object a line, integers exact")]


def settings_of(config: Path | None, overrides: list[str] | None) -> AgentSettings:
    """Return the settings.

    Raises:
        ConfigError: they cannot be used.
    """
    return load(AgentSettings, config, env_prefix=ENV_PREFIX, overrides=overrides or [])


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Filters:
    """Which traffic a live program shows; all empty is all. Each may be repeated."""

    port: tuple[int, ...] = ()
    """Connections with this port at either end."""
    netns: tuple[str, ...] = ()
    """Network namespace: inode number or path, such as /run/netns/a."""
    cgroup: tuple[str, ...] = ()
    """Cgroup (v2) of the process that made the socket: id or path."""
    pid: tuple[int, ...] = ()
    """Process at an end on this host."""
    comm: tuple[str, ...] = ()
    """Name of the process at an end on this host."""


NO_FILTERS = Filters()
