# SPDX-License-Identifier: Apache-2.0
"""``wirelag config``: the consumer's settings in force, all there are, and their schema."""

import json
import sys

from cyclopts import App

from common.config import defaults, json_schema, load_told, render
from consumer.settings import ENV_PREFIX, ConsumerSettings
from wirelag.options import Config, Set

app = App(name="config")


@app.command
def show(
    *,
    config: Config = None,
    set_: Set = (),
) -> None:
    """Print the settings in force as TOML, where each comes from behind it; secrets are masked."""
    sys.stdout.write(render(*load_told(ConsumerSettings, config, env_prefix=ENV_PREFIX, overrides=set_)))


@app.command
def schema() -> None:
    """Print the JSON Schema of consumer.toml, for editors."""
    print(json.dumps(json_schema(ConsumerSettings, "wirelag consume"), indent=2, ensure_ascii=False))


@app.command
def default() -> None:
    """Print a consumer.toml of all settings, each explained and commented out."""
    sys.stdout.write(defaults(ConsumerSettings))
