# SPDX-License-Identifier: Apache-2.0
"""The command ``status``: how the agent that runs on this host stands."""

import time
from typing import TYPE_CHECKING

from agent.commands.options import Config, Json, Overrides, settings_of

if TYPE_CHECKING:
    from agent.status import Status

FULL = 65_536


def status(*, json: Json = False, config: Config = None, overrides: Overrides = None) -> None:
    """Say how the agent that runs here stands: cost, events, losses, delivery. Exit 1: none runs.

    Args:
        json: one object an agent.
        config: as for run (only agent.runtime-dir is used).
        overrides: as for run.
    """
    import msgspec  # noqa: PLC0415 - only where it is needed

    from agent.status import running  # noqa: PLC0415

    for one in running(settings_of(config, overrides).agent.runtime_dir):
        if json:
            print(msgspec.json.encode(one).decode())
        else:
            print("\n".join(lines(one, time.monotonic_ns())))


def lines(one: "Status", now_ns: int) -> list[str]:
    """Return a status as people read it; ``now_ns`` is CLOCK_MONOTONIC."""
    from agent.live import show  # noqa: PLC0415 - only where it is needed

    ago = show.duration(now_ns - one.last_delivery_ns) + " ago" if one.last_delivery_ns else "never"
    if one.kernel_us_per_event is None:
        kernel = "not measured yet (takes CAP_SYS_ADMIN): limits assume 0.4 us/event"
    else:
        kernel = f"{one.kernel_us_per_event} us/event"
    process = "-" if one.agent_us_per_event is None else f"{one.agent_us_per_event} us/event"
    lost = ", ".join(f"{reason} {events:,}" for reason, events in sorted(one.lost.items())) or "none"
    day = "" if one.bytes_per_day is None else f" ({show.size(one.bytes_per_day)} a day)"
    rows = [
        ("agent", f"{show.clean(one.host)}, pid {one.pid}, version {one.agent}"),
        ("up", f"{show.duration(round(one.uptime_seconds * 1e9))}, status {_age(one, now_ns)} old"),
        ("state", one.state + (f": {show.clean(one.why)}" if one.why else "")),
        ("events", f"{one.events:,} = {one.delivered:,} delivered + {_in_flight(one)}"),
        ("kept", _kept(one)),
        ("lost", lost),
        (
            "delivered",
            f"{one.delivered_records:,} records, {show.size(one.delivered_bytes)}{day}; last {ago}",
        ),
        ("kernel", kernel),
        (
            "process",
            f"{one.cpu_percent} % of a core now, {one.cpu_mean_percent} % since the start; {process}",
        ),
        ("memory", f"{one.rss_bytes / 2**20:.1f} MiB"),
    ]
    if one.ports_left_out:
        rows.append(("brokers", "ports left out: " + ", ".join(map(str, one.ports_left_out))))
    if one.spool_records is not None:
        rows.append(("spool", _spool(one)))
    if one.last_error:
        rows.append(("kafka", show.clean(one.last_error)))
    return [f"{name:<10} {text}" for name, text in rows]


def _in_flight(one: "Status") -> str:
    rest = f" + {one.sampled:,} sampled out" if one.sampled else ""
    return f"{one.in_flight:,} in flight + {sum(one.lost.values()):,} lost{rest}"


def _kept(one: "Status") -> str:
    if (one.connection_rate, one.block_rate) == (FULL, FULL):
        now = "all"
    else:
        now = f"{one.connection_rate / FULL:.2%} of connections and {one.block_rate / FULL:.2%} of blocks"
    return f"{now} now, {one.kept:,} of {one.events:,} since the start; {one.rate_changes} changes"


def _spool(one: "Status") -> str:
    from agent.live import show  # noqa: PLC0415 - only where it is needed

    if not one.spool_records:
        return "empty"
    age = show.duration(round((one.spool_oldest_seconds or 0) * 1e9))
    size = f"{show.size(one.spool_bytes or 0)} of {show.size(one.spool_limit_bytes or 0)}"
    return f"{one.spool_records:,} records, {size}; the oldest event is {age} old"


def _age(one: "Status", now_ns: int) -> str:
    from agent.live import show  # noqa: PLC0415 - only where it is needed

    return show.duration(max(0, now_ns - one.monotonic_ns))
