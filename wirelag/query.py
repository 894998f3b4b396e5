# SPDX-License-Identifier: Apache-2.0
"""``wirelag query``: options into questions, answers onto standard output, remarks onto standard error."""

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from wirelag.asked import Csv, Edge, From, Host, Json, Kind, Lake, To, remark, write
from wirelag.ledger import hosts, losses
from wirelag.lives import connects, retransmits
from wirelag.output import Column, check, share

if TYPE_CHECKING:
    from history.coverage import Missed

app = App(
    name="query",
    help="Ask the lake: percentiles by edge, single messages, connections, connects, losses, hosts.\n\n"
    "Times are UTC: `now`, a time ago (`-1h`, `-30m`, `-7d`) or ISO 8601 (`2026-11-22T10:00`).",
)

_FIGURES = (
    Column("kind", "KIND"),
    Column("n", "N", "count"),
    Column("p50_ns", "P50", "duration"),
    Column("p90_ns", "P90", "duration"),
    Column("p99_ns", "P99", "duration"),
    Column("max_ns", "MAX", "duration"),
    Column("complete", "COMPLETE", "share"),
    Column("cover", "COVER", "share"),
)
_MESSAGES = (
    Column("sent_at_ns", "SENT", "time"),
    Column("edge", "EDGE"),
    Column("kind", "KIND"),
    Column("latency_ns", "LATENCY", "duration"),
    Column("clock", "CLOCK"),
    Column("connection", "CONNECTION"),
    Column("direction", "DIR"),
    Column("begin", "BEGIN", "count"),
    Column("end", "END", "count"),
)
_CONNECTIONS = (
    Column("first_seen_ns", "FIRST SEEN", "time"),
    Column("connection", "CONNECTION"),
    Column("host", "HOST"),
    Column("process", "PROCESS"),
    Column("label", "LABEL"),
    Column("owner", "OWNER"),
    Column("role", "ROLE"),
    Column("local_address", "LOCAL"),
    Column("local_port", "PORT", "port"),
    Column("remote_address", "REMOTE"),
    Column("remote_port", "PORT", "port"),
    Column("state", "STATE"),
    Column("duration_ns", "DURATION", "duration"),
    Column("sent_bytes", "SENT", "count"),
    Column("received_bytes", "RECEIVED", "count"),
    Column("retransmits", "AGAIN", "count"),
    Column("min_rtt_us", "MIN RTT", "microseconds"),
    Column("audit", "AUDIT"),
)
_TABLE_ROWS = 100
app.command(connects)
app.command(retransmits)
app.command(losses)
app.command(hosts)


@app.command
def latency(  # noqa: PLR0913 - options of a command
    *,
    lake: Lake,
    from_: From = "-1h",
    to: To = "now",
    by: Annotated[str, Parameter("--by", help="edge, host, measure or minute")] = "edge",
    kind: Kind = "delivery,wire,receive-wait,send-block",
    edge: Edge = "",
    host: Host = "",
    json: Json = False,
    csv: Csv = False,
) -> None:
    """Percentiles of latency, and how complete they are.

    For example:

    wirelag query latency --lake /var/lib/wirelag/lake

    wirelag query latency --lake LAKE --from -15m --edge :5432 --by minute

    wirelag query latency --lake LAKE --from 2026-11-22T10:00 --to now --csv
    """
    from history import latency as question
    from history.source import Source
    from history.span import span

    check(json=json, csv=csv)
    asked = span(from_, to, time.time_ns())
    answer = question.latency(Source(lake), asked, by=by, kinds=kind, edge=edge, host=host)
    rows = [{by: figure.group, **figure._asdict()} for figure in answer.figures]
    for row in rows:
        del row["group"]
        if by == "measure":
            del row["measure"]
    heading = () if by == "measure" else (Column(by, by.upper(), grouped=True),)
    names = [
        *(column.name for column in heading),
        *(name for name in question.Latency._fields if name != "group"),
    ]
    write("latency", rows, names, (*heading, *_FIGURES), json=json, csv=csv)
    if answer.kept is not None and answer.kept < 1:
        remark(f"sampled: {share(answer.kept)} of events kept; figures and COMPLETE are of those")
    if answer.unended:
        remark(
            f"{answer.unended:,} runs of agents ended without a good-bye: what they saw after their last "
            "heartbeat is in no count, so COMPLETE can be too high"
        )
    if answer.waiting:
        remark(
            f"records of this time wait in spools of {answer.waiting:,} hosts: COMPLETE is of what arrived"
        )
    for line in _uncovered(answer.missed):
        remark(line)
    if answer.withheld:
        remark(
            f"withheld: delivery and wire of {answer.withheld:,} messages between hosts whose clocks are not "
            "related (`wirelag query messages --unsynced` shows them raw)"
        )


@app.command
def messages(  # noqa: PLR0913 - options of a command
    *,
    lake: Lake,
    from_: From = "-1h",
    to: To = "now",
    kind: Kind = "delivery",
    edge: Edge = "",
    host: Host = "",
    limit: Annotated[int | None, Parameter("--limit", help="at most so many; 100 in a table")] = None,
    slowest: Annotated[
        bool, Parameter("--slowest", negative="", show_default=False, help="greatest latency first")
    ] = False,
    unsynced: Annotated[
        bool,
        Parameter(
            "--unsynced",
            negative="",
            show_default=False,
            help="one-way latencies without a common clock, too",
        ),
    ] = False,
    json: Json = False,
    csv: Csv = False,
) -> None:
    """Single messages, from the earliest on.

    For example:

    wirelag query messages --lake LAKE --edge checkout --slowest --limit 5

    wirelag query messages --lake LAKE --from -1d --kind delivery,receive-wait --csv > messages.csv
    """
    from history import messages as question
    from history.source import Source
    from history.span import span

    check(json=json, csv=csv)
    in_table = not (json or csv)
    most = _TABLE_ROWS + 1 if in_table and limit is None else limit
    asked = span(from_, to, time.time_ns())
    rows: Iterable[dict[str, Any]] = question.messages(
        Source(lake), asked, kinds=kind, edge=edge, host=host, limit=most, slowest=slowest, unsynced=unsynced
    )
    if in_table:
        found = list(rows)
        rows = found[: limit or _TABLE_ROWS]
        if len(found) > len(rows):
            remark(f"the first {_TABLE_ROWS} are shown; there are more (--limit, --json, --csv)")
    write("messages", rows, question.COLUMNS, _MESSAGES, json=json, csv=csv)


@app.command
def connections(
    *,
    lake: Lake,
    from_: From = "-1h",
    to: To = "now",
    host: Annotated[str, Parameter("--host", show_default=False, help="only ends on this host")] = "",
    port: Annotated[
        int, Parameter("--port", show_default=False, help="only with this port at either end")
    ] = 0,
    json: Json = False,
    csv: Csv = False,
) -> None:
    """Ends of connections that were first heard of in this time: who talks to whom, and what became of it.

    For example:

    wirelag query connections --lake LAKE --from -1d --port 5432
    """
    from history import connections as question
    from history.source import Source
    from history.span import span

    check(json=json, csv=csv)
    rows = question.connections(Source(lake), span(from_, to, time.time_ns()), host=host, port=port)
    write("connections", rows, question.COLUMNS, _CONNECTIONS, json=json, csv=csv)


def _uncovered(missed: "Missed") -> Iterator[str]:
    """Yield at most one line about connections that closed in the span and are not wholly in events."""
    parts = []
    if missed.blind:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in missed.blind.items())
        parts.append(f"all of {sum(missed.blind.values()):,} connections ({reasons})")
    if missed.partial:
        parts.append(
            f"{missed.missing_bytes:,} bytes of {missed.partial:,} {'more' if parts else 'connections'}"
        )
    if parts:
        yield f"not covered, by the accounts of this time: {'; '.join(parts)}"
