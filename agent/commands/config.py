# SPDX-License-Identifier: Apache-2.0
"""The command ``config``: the settings in force, all there are, and their schema."""

import json
import sys

from cyclopts import App

from agent.commands.options import Config, Overrides
from agent.settings import ENV_PREFIX, AgentSettings
from common.config import defaults, json_schema, load_told, render

config = App(name="config", help="Show the settings: in force, by default, as a schema. Changes nothing.")


@config.command
def show(*, config: Config = None, overrides: Overrides = None) -> None:
    """Print the settings in force as TOML, where each comes from behind it; secrets are masked."""
    found = load_told(AgentSettings, config, env_prefix=ENV_PREFIX, overrides=overrides or [])
    sys.stdout.write(render(*found))


@config.command
def schema() -> None:
    """Print the JSON Schema of agent.toml, for editors."""
    print(json.dumps(json_schema(AgentSettings, "wirelag-agent"), indent=2, ensure_ascii=False))


@config.command
def default() -> None:
    """Print an agent.toml of all settings, each explained and commented out."""
    sys.stdout.write(defaults(AgentSettings))
