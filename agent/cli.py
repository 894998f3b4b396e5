# SPDX-License-Identifier: Apache-2.0
"""The command ``wirelag-agent``: run, check, count. Errors become one clear line and an exit code here."""

import sys
import time
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.exceptions import CycloptsError

from agent import count as counting
from agent.settings import ENV_PREFIX, AgentSettings
from agent.version import VERSION
from common.config import load, render
from common.errors import ConfigError
from common.log import setup_logging
from common.service import run_command, stop_on_signals

app = App(
    name="wirelag-agent",
    version=VERSION,
    help="Traces every TCP send, receive and arrival of this host and takes them to Kafka.",
)

Config = Annotated[
    Path | None, Parameter(("--config", "-c"), help="TOML file; without one, the defaults hold")
]
Overrides = Annotated[
    list[str] | None, Parameter("--set", help="section.key=value, over file and environment; may be repeated")
]


def _settings(config: Path | None, overrides: list[str] | None) -> AgentSettings:
    return load(AgentSettings, config, env_prefix=ENV_PREFIX, overrides=overrides or [])


@app.command
def run(*, config: Config = None, overrides: Overrides = None) -> None:
    """Trace until SIGTERM or Ctrl-C, then deliver what is left and say what became of every event."""
    from agent.service import AgentService  # noqa: PLC0415 - loads BCC, which `check` and `--help` do without

    settings = _settings(config, overrides)
    setup_logging(settings.service.log_format, settings.service.log_level, service="wirelag-agent")
    with stop_on_signals() as stop:
        AgentService(settings).run(stop)


@app.command
def check(*, config: Config = None, overrides: Overrides = None, offline: bool = False) -> None:
    """Say whether `run` would work here: settings, kernel, Kafka. Starts nothing, changes nothing.

    Args:
        config: as for run.
        overrides: as for run.
        offline: do not ask Kafka.
    """
    from agent import preflight  # noqa: PLC0415 - loads BCC and the Kafka client

    settings = _settings(config, overrides)
    sys.stdout.write(render(settings))
    for line in preflight.check(settings, offline=offline):
        print(line)


@app.command
def count(
    *,
    config: Config = None,
    overrides: Overrides = None,
    interval: float = 1.0,
    times: int | None = None,
) -> None:
    """Count calls of tcp_sendmsg, live, with no broker: the article's first program.

    Args:
        config: as for run (only [capture] is used).
        overrides: as for run.
        interval: seconds between two lines.
        times: end after so many lines; without it, Ctrl-C ends.
    """
    settings = _settings(config, overrides)
    with stop_on_signals() as stop:
        counting.count(settings.capture, interval, times, stop, time.monotonic)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return run_command("wirelag-agent", lambda: _run(arguments))


def _run(arguments: list[str] | None) -> None:
    try:
        app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        raise ConfigError(str(error)) from error
