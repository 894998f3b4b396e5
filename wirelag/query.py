# SPDX-License-Identifier: Apache-2.0
"""``wirelag query``: options into questions, answers onto standard output, remarks onto standard error.

An answer without rows is no error: one line says why that could be.
"""

import sys
import time
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Annotated, Any

from cyclopts import App, Parameter

from wirelag.output import Column, check, write_csv, write_json, write_table

app = App(
    name="query",
    help="Ask the lake: percentiles by edge, single messages, connections, losses.\n\n"
    "Times are UTC: `now`, a time ago (`-1h`, `-30m`, `-7d`) or ISO 8601 (`2026-11-22T10:00`).",
)

Lake = Annotated[str, Parameter("--lake", env_var="WIRELAG_LAKE", help="folder or URI of the lake")]
From = Annotated[str, Parameter("--from", allow_leading_hyphen=True, help="first moment asked for")]
To = Annotated[
    str, Parameter("--to", allow_leading_hyphen=True, help="moment at which the time asked for ends")
]
Kind = Annotated[str, Parameter("--kind", help="delivery, wire, receive-wait, send-block, with commas")]
Edge = Annotated[
    str, Parameter("--edge", show_default=False, help="only edges whose name has this in it, any case")
]
Host = Annotated[str, Parameter("--host", show_default=False, help="only this host, as sender or receiver")]
Json = Annotated[
    bool, Parameter("--json", negative="", show_default=False, help="one JSON object a line, integers in ns")
]
Csv = Annotated[
    bool, Parameter("--csv", negative="", show_default=False, help="comma-separated, with a line of names")
]

_FIGURES = (
    Column("kind", "KIND"),
    Column("n", "N", "count"),
    Column("p50_ns", "P50", "duration"),
    Column("p90_ns", "P90", "duration"),
    Column("p99_ns", "P99", "duration"),
    Column("max_ns", "MAX", "duration"),
    Column("complete", "COMPLETE", "share"),
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
)
_LOSSES = (
    Column("host", "HOST", grouped=True),
    Column("stage", "STAGE", grouped=True),
    Column("reason", "REASON"),
    Column("events", "EVENTS", "count"),
)
_TABLE_ROWS = 100
_NONE = {
    "latency": "was the consumer running (`wirelag consume`), and has a window of 60 s closed since?",
    "messages": "was the consumer running (`wirelag consume`), and do agents run at both ends?",
    "connections": "connections are noted when they are first heard of: ask for an earlier --from",
    "losses": "hosts report every few seconds: is an agent running, and the consumer?",
}


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
    _write("latency", rows, names, (*heading, *_FIGURES), json=json, csv=csv)
    if answer.withheld:
        _remark(
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
            _remark(f"the first {_TABLE_ROWS} are shown; there are more (--limit, --json, --csv)")
    _write("messages", rows, question.COLUMNS, _MESSAGES, json=json, csv=csv)


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
    """Ends of connections that were first heard of in this time: who talks to whom.

    For example:

    wirelag query connections --lake LAKE --from -1d --port 5432
    """
    from history import connections as question
    from history.source import Source
    from history.span import span

    check(json=json, csv=csv)
    rows = question.connections(Source(lake), span(from_, to, time.time_ns()), host=host, port=port)
    _write("connections", rows, question.COLUMNS, _CONNECTIONS, json=json, csv=csv)


@app.command
def losses(
    *,
    lake: Lake,
    from_: From = "-1h",
    to: To = "now",
    host: Annotated[str, Parameter("--host", show_default=False, help="only this host")] = "",
    json: Json = False,
    csv: Csv = False,
) -> None:
    """What became of the events: attempted, delivered, stored, and why others were lost, by host.

    For example:

    wirelag query losses --lake LAKE --from -1d
    """
    from history import losses as question
    from history.source import Source
    from history.span import span

    check(json=json, csv=csv)
    rows = question.losses(Source(lake), span(from_, to, time.time_ns()), host=host)
    _write("losses", rows, question.COLUMNS, _LOSSES, json=json, csv=csv)


def _write(
    name: str,
    rows: Iterable[dict[str, Any]],
    names: Iterable[str],
    columns: tuple[Column, ...],
    *,
    json: bool,
    csv: bool,
) -> None:
    """Write an answer as asked; where there are no rows, say why on standard error."""
    remaining = _or_remark(name, rows)
    if json:
        write_json(remaining)
    elif csv:
        write_csv(list(names), remaining)
    elif found := list(remaining):
        write_table(columns, found)


def _or_remark(name: str, rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    iterator = iter(rows)
    first = next(iterator, None)
    if first is None:
        _remark(f"no {name} in this time: {_NONE[name]}")
        return iter(())
    return chain([first], iterator)


def _remark(text: str) -> None:
    sys.stdout.flush()
    sys.stderr.write(f"wirelag: {text}\n")
