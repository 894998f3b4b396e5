# SPDX-License-Identifier: Apache-2.0
"""The commands of the live programs. They say on standard error when they have begun."""

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from agent.commands.options import NO_FILTERS, Config, Filters, Json, Overrides, settings_of
from common.errors import ConfigError
from common.options import duration
from common.service import stop_on_signals

if TYPE_CHECKING:
    from agent.live.choice import Choice
    from agent.live.source import Live, Program

MOST_SECONDS = 10.0
MOST_PORT, MOST_PID = 65_535, 2**22
READY = "wirelag-agent: tracing; Ctrl-C ends"


def count(
    *,
    filters: Filters = NO_FILTERS,
    by: Annotated[Literal["host", "process"], Parameter(help="process tells processes apart")] = "host",
    interval: float = 1.0,
    times: int | None = None,
    json: Json = False,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Count calls of tcp_sendmsg, live, with no broker: the article's first program.

    Args:
        filters: which traffic.
        by: host counts all, process tells processes apart.
        interval: seconds between two lines.
        times: end after so many lines; without it, Ctrl-C ends.
        json: for programs.
        config: as for run (only [capture] is used).
        overrides: as for run.
    """
    from agent.kernel.capture import Capture  # noqa: PLC0415 - numpy and more, which `--help` does without
    from agent.live import count as counting  # noqa: PLC0415

    pace = counting.Pace(_positive("--interval", interval), _at_least_one("--times", times), time.monotonic)
    chosen = _choice(filters)
    capture = chosen.capture(settings_of(config, overrides).capture)
    if by == "host" and chosen.by_process:
        raise ConfigError("--pid and --comm: count tells processes apart with --by process only")
    if by == "host":
        with stop_on_signals() as stop:
            counting.count(Capture(capture), pace, stop, json=json)
        return
    _run(filters, config, overrides, lambda live, chosen: counting.ByProcess(live, chosen, pace, json=json))


def trace(
    *,
    filters: Filters = NO_FILTERS,
    wait: Annotated[str, Parameter(help="how long a send waits for a reader that is elsewhere")] = "500ms",
    as_article: Annotated[bool, Parameter("--as-article", negative="")] = False,
    json: Json = False,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Print one line a message: who sent how much, and when who had read it.

    A message is one send call. Both ends on this host: delivery, wire and receive wait are exact. Receiver
    elsewhere: the line comes after `--wait`, without them.

    Args:
        filters: which traffic; a process matches at either end.
        wait: a duration, such as 500ms.
        as_article: the article's second program: a thread's tcp_sendmsg to the next tcp_v4_do_rcv in it.
        json: for programs.
        config: as for run (only [capture] is used).
        overrides: as for run.
    """
    if as_article:
        if filters != NO_FILTERS:
            raise ConfigError("--as-article takes no filter: its program had none")
        _as_article(json=json)
        return
    from agent.live.trace import Trace  # noqa: PLC0415 - as above

    wait_ns = duration("--wait", wait).nanoseconds
    _run(filters, config, overrides, lambda live, chosen: Trace(live, chosen, wait_ns, json=json))


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Look:
    """How the table of ``top`` is made."""

    by: Literal["connection", "process"] = "connection"
    """A row a connection's end on this host, or a row a process."""
    sort: Literal["bytes", "messages", "p50", "p99", "wait", "rtt", "retransmits"] = "bytes"
    """What comes first."""
    interval: float = 2.0
    """Seconds that a table covers, at most 10."""
    rows: int = 20
    """Rows of a table at most."""
    once: Annotated[bool, Parameter(negative="")] = False
    """Print one table and end."""


DEFAULT_LOOK = Look()


def top(
    *,
    filters: Filters = NO_FILTERS,
    look: Look = DEFAULT_LOOK,
    json: Json = False,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Show which connections or processes move what, how fast it is read, and their round trips.

    On a terminal the keys below the table sort, filter and end.

    Args:
        filters: which traffic.
        look: how the table is made.
        json: one object a table.
        config: as for run (only [capture] is used).
        overrides: as for run.
    """
    from agent.live.keys import Controls  # noqa: PLC0415 - as above
    from agent.live.screen import screen  # noqa: PLC0415
    from agent.live.top import Plan, Top  # noqa: PLC0415

    if look.interval > MOST_SECONDS:
        raise ConfigError(f"--interval: found {look.interval}; allowed is up to {MOST_SECONDS}")
    _at_least_one("--rows", look.rows)
    plan = Plan(_positive("--interval", look.interval), look.rows, look.once, time.monotonic)
    controls = Controls(look.sort, look.by)
    with screen(json=json, once=look.once) as drawn:

        def make(live: "Live", chosen: "Choice") -> Top:
            return Top(live, chosen, plan, controls, drawn)

        _run(filters, config, overrides, make, lives=True)


def life(
    *,
    filters: Filters = NO_FILTERS,
    json: Json = False,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Print one line a connection that closes: who, how long, how much each way, round trip.

    Args:
        filters: which traffic.
        json: for programs.
        config: as for run (only [capture] is used).
        overrides: as for run.
    """
    from agent.live.life import Life  # noqa: PLC0415 - as above

    _run(filters, config, overrides, lambda live, chosen: Life(live, chosen, json=json), lives=True)


def _run(
    filters: Filters,
    config: Config,
    overrides: Overrides,
    make: "Callable[[Live, Choice], Program]",
    *,
    lives: bool = False,
) -> None:
    """Trace for a program until it has had enough or a signal comes."""
    from agent.kernel.capture import Capture  # noqa: PLC0415 - as above
    from agent.live.source import Live, follow  # noqa: PLC0415
    from agent.service import process_name  # noqa: PLC0415

    chosen = _choice(filters)
    capture = Capture(chosen.capture(settings_of(config, overrides).capture, lives=lives))
    with stop_on_signals() as stop:
        capture.start()
        _say_ready()
        live = Live(capture, process_name)
        follow(live, lambda: make(live, chosen), stop)


def _as_article(*, json: bool) -> None:
    from agent.live import article  # noqa: PLC0415 - as above

    functions = article.backend()
    with stop_on_signals() as stop:
        article.follow(functions, stop, json=json, on_started=_say_ready)


def _say_ready() -> None:
    sys.stderr.write(READY + "\n")
    sys.stderr.flush()


def _choice(filters: Filters) -> "Choice":
    from agent.live.choice import Choice  # noqa: PLC0415 - as above

    for name, found, most in (("--port", filters.port, MOST_PORT), ("--pid", filters.pid, MOST_PID)):
        for one in found:
            if not 1 <= one <= most:
                raise ConfigError(f"{name}: found {one}; allowed is 1 to {most}")
    if "" in filters.comm:
        raise ConfigError("--comm: found ''; allowed is a process's name")
    return Choice(
        ports=filters.port,
        netns=filters.netns,
        cgroups=filters.cgroup,
        pids=filters.pid,
        names=filters.comm,
    )


def _positive(name: str, value: float) -> float:
    if not (value > 0 and math.isfinite(value)):
        raise ConfigError(f"{name}: found {value}; allowed is more than 0")
    return value


def _at_least_one(name: str, value: int | None) -> int | None:
    if value is not None and value < 1:
        raise ConfigError(f"{name}: found {value}; allowed is 1 or more")
    return value
