# SPDX-License-Identifier: Apache-2.0
"""The questions of ``wirelag query`` about what became of events: losses, and the hosts they come from."""

import time
from typing import Annotated, Any

from cyclopts import Parameter

from common.shown import duration
from wirelag.agents import share_kept
from wirelag.asked import Csv, From, Json, Lake, To, remark, write
from wirelag.output import Column, check

_REASONS = (
    Column("host", "HOST", grouped=True),
    Column("stage", "STAGE", grouped=True),
    Column("reason", "REASON"),
    Column("events", "EVENTS", "count"),
)
_BALANCE = (
    Column("host", "HOST"),
    Column("attempted", "ATTEMPTED", "count"),
    Column("sampled", "SAMPLED", "count"),
    Column("stored", "STORED", "count"),
    Column("lost", "LOST", "count"),
    Column("in_flight", "IN FLIGHT", "count"),
    Column("unaccounted", "BALANCE", "count"),
    Column("complete", "COMPLETE", "share"),
)
_HOSTS = (
    Column("host", "HOST"),
    Column("age_ns", "SEEN", "duration"),
    Column("state", "STATE"),
    Column("events_per_second", "EVENTS/S", "count"),
    Column("lost", "LOST", "count"),
    Column("complete", "COMPLETE", "share"),
    Column("kept", "KEPT", "share"),
    Column("spool_bytes", "SPOOL", "count"),
    Column("spool_oldest_ns", "OLDEST", "duration"),
    Column("agent", "AGENT"),
    Column("config", "CONFIG"),
    Column("kernel", "KERNEL"),
    Column("backend", "BACKEND"),
    Column("why", "WHY"),
)
_CLOCK_NS = 5 * 10**9
_FRESH_NS = 30 * 10**9
_NAMED = 5
_Host = Annotated[str, Parameter("--host", show_default=False, help="only this host")]


def losses(
    *,
    lake: Lake,
    from_: From = "-1h",
    to: To = "now",
    by: Annotated[
        str, Parameter("--by", help="reason; or host, minute or hour: the whole equation, a line each")
    ] = "reason",
    host: _Host = "",
    json: Json = False,
    csv: Csv = False,
) -> None:
    """What became of the events: attempted, delivered, stored, and why others were lost, by host.

    For example:

    wirelag query losses --lake LAKE --from -1d

    wirelag query losses --lake LAKE --from -15m --by minute --host web-1
    """
    from history import balance
    from history import losses as question
    from history.source import Source
    from history.span import span

    check(json=json, csv=csv)
    asked = span(from_, to, time.time_ns())
    only = {"--host": host}
    if by == "reason":
        rows = question.losses(Source(lake), asked, host=host)
        write("losses", rows, question.COLUMNS, _REASONS, json=json, csv=csv, only=only)
        return
    rows = balance.balance(Source(lake), asked, by=by, host=host)
    when = () if by == "host" else (Column(by, by.upper(), grouped=True),)
    names = [*(column.name for column in when), *balance.COLUMNS]
    write("losses", rows, names, (*when, *_BALANCE), json=json, csv=csv, only=only)


def hosts(  # noqa: PLR0913 - options of a command
    *,
    lake: Lake,
    from_: From = "-1h",
    to: To = "now",
    host: _Host = "",
    lossy: Annotated[
        bool, Parameter("--lossy", negative="", show_default=False, help="only those that lost events")
    ] = False,
    silent: Annotated[
        bool, Parameter("--silent", negative="", show_default=False, help="only those not heard of any more")
    ] = False,
    json: Json = False,
    csv: Csv = False,
) -> None:
    """The agents: when each was heard of, what it does, what it lost and what it is.

    For example:

    wirelag query hosts --lake LAKE

    wirelag query hosts --lake LAKE --from -1d --lossy
    """
    from history import hosts as question
    from history.source import Source
    from history.span import span

    check(json=json, csv=csv)
    asked = span(from_, to, time.time_ns())
    answer = question.hosts(Source(lake), asked, host=host, lossy=lossy, silent=silent)
    rows = [_shown(one._asdict(), whole=json or csv) for one in answer.rows]
    names = [*question.HostRow._fields, "kept"]
    only = {"--host": host, "--lossy": lossy, "--silent": silent}
    write("hosts", rows, names, _HOSTS, json=json, csv=csv, only=only)
    if answer.behind_ns > _FRESH_NS:
        age = duration(answer.behind_ns)
        remark(f"the newest heartbeat of all is {age} old: no agent runs, or the consumer is behind")
    off = [one for one in answer.rows if one.clock_ns is not None and abs(one.clock_ns) > _CLOCK_NS]
    if off:
        told = ", ".join(f"{one.host} {_ahead(one.clock_ns or 0)}" for one in off[:_NAMED])
        remark(f"clocks of {len(off):,} hosts are not the broker's: {told}")


def _shown(row: dict[str, Any], *, whole: bool) -> dict[str, Any]:
    rates = row["connection_rate"], row["block_rate"]
    row["kept"] = None if None in rates else share_kept(*rates)
    if not whole:
        row["events_per_second"] = round(row["events_per_second"] or 0)
        row["spool_oldest_ns"] = row["spool_oldest_ns"] or None
    return row


def _ahead(clock_ns: int) -> str:
    return f"{duration(abs(clock_ns))} {'ahead' if clock_ns > 0 else 'behind'}"
