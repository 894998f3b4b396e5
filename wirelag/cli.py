# SPDX-License-Identifier: Apache-2.0
"""The command ``wirelag``. Errors become one clear line and an exit code here.

0: done, also where there was nothing to show; 1: something outside failed; 2: options or settings cannot be
used. A command loads what it needs when it is called.
"""

import os
import sys
from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.exceptions import CycloptsError, MissingArgumentError

from common.command import run_command
from common.errors import ConfigError
from wirelag.cat import cat
from wirelag.options import Config, LakeUri, Set


def _version() -> str:
    from importlib.metadata import version

    return version("wirelag")


app = App(
    name="wirelag",
    version=_version,
    help="How long every TCP message takes, across a fleet: fill the lake, ask it, look into the topics.",
)
app.command(
    "wirelag.query:app",
    name="query",
    help="Ask the lake: latencies, messages, connections, losses, and more.",
)
app.command(cat)
app.command("wirelag.control:app", name="control", help="Have agents stop or start, and see that they did.")
app.command("wirelag.lake:app", name="lake", help="The lake: housekeeping, whether it is whole, its columns.")
app.command(
    "wirelag.topics:app", name="topics", help="Kafka's topics: make them, check them, who needs which rights."
)
app.command(
    "wirelag.config:app", name="config", help="The consumer's settings: in force, by default, as a schema."
)
app.command("wirelag.schema:app", name="schema", help="The wire format: show it, check it.")


@app.command
def consume(
    *,
    config: Config = None,
    set_: Set = (),
    until_end: Annotated[
        bool,
        Parameter(
            "--until-end",
            negative="",
            show_default=False,
            help="read to the present end, close all, print a summary",
        ),
    ] = False,
    lake: LakeUri = "",
    bootstrap: Annotated[
        str,
        Parameter(
            "--bootstrap", show_default=False, help="host:port: short for --set kafka.bootstrap-servers=…"
        ),
    ] = "",
) -> None:
    """Turn Kafka's records into rows of the lake, exactly once, until SIGTERM or Ctrl-C.

    For example:

    wirelag consume --config /etc/wirelag/consumer.toml

    wirelag consume --bootstrap localhost:9092 --lake ./lake --until-end
    """
    from consumer.cli import consume as run

    shortcuts = {"lake.uri": lake, "kafka.bootstrap-servers": bootstrap}
    overrides = [*set_, *(f"{key}={value}" for key, value in shortcuts.items() if value)]
    run(config, overrides, until_end=until_end)


@app.command
def rematch(
    *,
    config: Config = None,
    set_: Set = (),
    every: Annotated[
        str, Parameter("--every", show_default=False, help="look again after so long; without it once")
    ] = "",
    reach: Annotated[
        str, Parameter("--reach", help="ends of a connection are looked for in hours so far apart")
    ] = "24h",
    publish: Annotated[
        bool, Parameter("--publish", negative="", help="send what was found to the latency topic, too")
    ] = False,
    lake: LakeUri = "",
) -> None:
    """Match what closed unmatched with what came later, as from a spool, and correct the lake.

    For example:

    wirelag rematch --config /etc/wirelag/consumer.toml --every 1m --publish
    """
    from consumer.late.command import rematch as run

    overrides = [*set_, *([f"lake.uri={lake}"] if lake else [])]
    run(config, overrides, every=every, reach=reach, publish=publish)


@app.command
def rollup(
    *,
    config: Config = None,
    set_: Set = (),
    every: Annotated[
        str, Parameter("--every", show_default=False, help="do so again after so long; without it once")
    ] = "",
    from_: Annotated[
        str,
        Parameter(
            "--from", allow_leading_hyphen=True, show_default=False, help="only hours from this time on"
        ),
    ] = "",
    to: Annotated[
        str,
        Parameter("--to", allow_leading_hyphen=True, show_default=False, help="only hours before this time"),
    ] = "",
    lake: LakeUri = "",
) -> None:
    """Solve clocks of closed windows, correct latencies between hosts, keep their histograms.

    `wirelag consume` has this done beside it; this is for lakes without, and for a process of its own.

    For example:

    wirelag rollup --lake ./lake

    wirelag rollup --config /etc/wirelag/consumer.toml --every 1m
    """
    import time

    from consumer.rollup.command import rollup as run
    from history.span import span

    overrides = [*set_, *([f"lake.uri={lake}"] if lake else [])]
    asked = span(from_ or "1970-01-01", to or "2262-01-01", time.time_ns()) if from_ or to else None
    run(config, overrides, every=every, span=asked)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return run_command("wirelag", lambda: _run(arguments))


def command() -> None:
    """Run the command line and end the process with its exit code.

    At once, without the interpreter's own end: threads that deltalake leaves behind can abort there, which
    would turn a success into a failure.
    """
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _run(arguments: list[str] | None) -> None:
    try:
        app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except MissingArgumentError as error:
        raise ConfigError(f"{error}{_elsewhere(error)}") from error
    except CycloptsError as error:
        raise ConfigError(str(error)) from error
    except ModuleNotFoundError as error:
        raise ConfigError(_missing(error)) from error


def _elsewhere(error: MissingArgumentError) -> str:
    """Name the environment variables that what was not given may stand in."""
    names = error.argument.parameter.env_var if error.argument else None
    return f" It may stand in the environment, too: {', '.join(names)}" if names else ""


def _missing(error: ModuleNotFoundError) -> str:
    return f"{error.name} is not installed: this command needs `pip install 'wirelag[consumer,history]'`"
