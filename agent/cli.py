# SPDX-License-Identifier: Apache-2.0
"""The command ``wirelag-agent``. Errors become one clear line and an exit code here."""

import signal
import sys
from collections.abc import Callable
from functools import partial

from cyclopts import App
from cyclopts.exceptions import CycloptsError

from agent.commands import live
from agent.commands.audit import AUDIT_SIGNAL, audit
from agent.commands.config import config as config_commands
from agent.commands.doctor import doctor
from agent.commands.options import Config, Overrides, settings_of
from agent.commands.spool import spool
from agent.commands.status import status
from agent.settings import AgentSettings
from agent.version import VERSION
from common.config import render
from common.errors import ConfigError
from common.log import setup_logging
from common.reload import Reloader, logging_of
from common.service import run_command, stop_on_signals

app = App(
    name="wirelag-agent",
    version=VERSION,
    help="Traces every TCP send, receive and arrival of this host and takes them to Kafka.",
)


@app.command
def run(*, config: Config = None, overrides: Overrides = None) -> None:
    """Trace until SIGTERM or Ctrl-C, then deliver what is left and say what became of every event."""
    from agent.service import CHANGEABLE, AgentService  # noqa: PLC0415 - loads BCC, which `check` and `--help` do without

    settings = settings_of(config, overrides)
    setup_logging(settings.service.log_format, settings.service.log_level, service="wirelag-agent")
    service = AgentService(settings)
    signal.signal(AUDIT_SIGNAL, lambda _number, _frame: service.audit())
    read = partial(settings_of, config, overrides)
    apply: dict[str, Callable[[AgentSettings], None]]
    apply = logging_of("wirelag-agent", lambda new: new.service)
    apply |= dict.fromkeys(CHANGEABLE, service.change)
    reload = Reloader(settings, read, apply)
    with stop_on_signals(reload if config else None) as stop:
        service.run(stop)


@app.command
def check(*, config: Config = None, overrides: Overrides = None, offline: bool = False) -> None:
    """Say whether `run` would work here: settings, kernel, Kafka. Starts nothing, changes nothing.

    Args:
        config: as for run.
        overrides: as for run.
        offline: do not ask Kafka.
    """
    from agent import preflight  # noqa: PLC0415 - loads BCC and the Kafka client

    settings = settings_of(config, overrides)
    sys.stdout.write(render(settings))
    for line in preflight.check(settings, offline=offline):
        print(line)


app.command(spool)
for command in (live.count, live.trace, live.top, live.life, doctor, status, audit):
    app.command(command)
app.command(config_commands)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return run_command("wirelag-agent", lambda: _run(arguments))


def _run(arguments: list[str] | None) -> None:
    try:
        app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        raise ConfigError(str(error)) from error
