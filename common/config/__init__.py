# SPDX-License-Identifier: Apache-2.0
"""Settings from a TOML file, the environment and `--set`, checked whole before anything starts.

    class BatchSettings(Settings, frozen=True):
        max_age: Annotated[Duration, Meta(description="...")] = Duration(1)

    class AgentSettings(Settings, frozen=True):
        batch: BatchSettings = BatchSettings()

    load(AgentSettings, Path("agent.toml"), env_prefix="WIRELAG_AGENT", overrides=["batch.max-age=2s"])

Later wins: the file, then `WIRELAG_AGENT__BATCH__MAX_AGE`, then `--set batch.max-age=2s`. What is wrong is a
ConfigError that names its source, the path of the key, what was found and what is allowed.
"""

from common.config.load import load, load_told
from common.config.schema import json_schema
from common.config.settings import Settings
from common.config.text import defaults, describe, render

__all__ = ["Settings", "defaults", "describe", "json_schema", "load", "load_told", "render"]
