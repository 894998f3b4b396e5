# SPDX-License-Identifier: Apache-2.0
"""Options that commands share which go by the consumer's settings, and those settings."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from consumer.settings import ConsumerSettings

Config = Annotated[Path | None, Parameter(("--config", "-c"), help="the consumer's TOML file")]
Set = Annotated[
    tuple[str, ...],
    Parameter("--set", negative="", show_default=False, help="section.key=value, over file and environment"),
]
LakeUri = Annotated[
    str, Parameter("--lake", show_default=False, help="folder or URI: short for --set lake.uri=…")
]
JsonLines = Annotated[bool, Parameter("--json", negative="", show_default=False, help="JSON lines")]


def settings_of(config: Path | None, overrides: Iterable[str], key: str, value: str) -> "ConsumerSettings":
    """Return the consumer's settings; the option that stands for ``key`` holds over all where it is given.

    Raises:
        ConfigError: one of them cannot be used.
    """
    from common.config import load
    from consumer.settings import ENV_PREFIX, ConsumerSettings

    own = [f"{key}={value}"] if value else []
    return load(ConsumerSettings, config, env_prefix=ENV_PREFIX, overrides=[*overrides, *own])
