# SPDX-License-Identifier: Apache-2.0
"""``wirelag query``: options into questions, answers onto standard output, remarks onto standard error."""

import time
from collections.abc import Iterable
from typing import Annotated, Any

from cyclopts import App, Parameter

from wirelag.asked import Csv, Edge, From, Host, Json, Kind, Lake, To, remark, write
from wirelag.clocks import clocks
from wirelag.latency import latency
from wirelag.ledger import hosts, losses
from wirelag.lives import connects, retransmits
from wirelag.output import Column, check
from wirelag.verdict import explain

app = App(
    name="query",
    help="Ask the lake: percentiles, network or application, messages, connections, losses, clocks.\n\n"
    "Times are UTC: `now`, a time ago (`-1h`, `-30m`, `-7d`) or ISO 8601 (`2026-11-22T10:00`).",
)

_MESSAGES = (
    Column("sent_at_ns", "SENT", "time"),
    Column("edge", "EDGE"),
    Column("kind", "KIND"),
    Column("latency_ns", "LATENCY", "duration"),
    Column("clock", "CLOCK"),
    Column("clock_bound_ns", "BOUND", "bound"),
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
app.command(latency)
app.command(explain)
app.command(clocks)
app.command(connects)
app.command(retransmits)
app.command(losses)
app.command(hosts)


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
    only = {"--edge": edge, "--host": host}
    write("messages", rows, question.COLUMNS, _MESSAGES, json=json, csv=csv, only=only)


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
    only = {"--host": host, "--port": port}
    write("connections", rows, question.COLUMNS, _CONNECTIONS, json=json, csv=csv, only=only)
