# SPDX-License-Identifier: Apache-2.0
"""The questions of ``wirelag query`` about the lives of connections: connects and retransmits."""

import time
from typing import Annotated, Any

from cyclopts import Parameter

from wirelag.asked import Csv, Edge, From, Json, Lake, To, write
from wirelag.output import Column, check

_By = Annotated[str, Parameter("--by", help="edge, host or minute")]
_Host = Annotated[str, Parameter("--host", show_default=False, help="only what this host tells")]
_Limit = Annotated[int | None, Parameter("--limit", help="at most so many groups")]
_CONNECTS = (
    Column("n", "N", "count"),
    Column("failed", "FAILED", "count"),
    Column("reasons", "ERRORS"),
    Column("p50_ns", "P50", "duration"),
    Column("p99_ns", "P99", "duration"),
    Column("max_ns", "MAX", "duration"),
    Column("retransmits", "SYNS AGAIN", "count"),
)
_RETRANSMITS = (
    Column("segments", "SEGMENTS", "count"),
    Column("bytes", "BYTES", "count"),
    Column("connections", "CONNECTIONS", "count"),
    Column("share", "OF SENT", "part"),
)


def connects(  # noqa: PLR0913 - options of a command
    *,
    lake: Lake,
    from_: From = "-1h",
    to: To = "now",
    by: _By = "edge",
    edge: Edge = "",
    host: _Host = "",
    limit: _Limit = None,
    json: Json = False,
    csv: Csv = False,
) -> None:
    """Attempts to open a connection: how many failed and why, and how long the others took.

    For example:

    wirelag query connects --lake LAKE --edge :5432

    wirelag query connects --lake LAKE --from -1d --by minute --csv
    """
    from history import connects as question
    from history.source import Source
    from history.span import span

    check(json=json, csv=csv)
    asked = span(from_, to, time.time_ns())
    found = question.connects(Source(lake), asked, by=by, edge=edge, host=host, limit=limit)
    rows = [_grouped(by, one._asdict()) for one in found]
    if not json:
        for row in rows:
            row["reasons"] = ", ".join(f"{name} {count:,}" for name, count in row["errors"].items()) or None
            row["errors"] = row["reasons"]
    names = [by, *question.Connects._fields[1:]]
    only = {"--edge": edge, "--host": host}
    write("connects", rows, names, (Column(by, by.upper()), *_CONNECTS), json=json, csv=csv, only=only)


def retransmits(  # noqa: PLR0913 - options of a command
    *,
    lake: Lake,
    from_: From = "-1h",
    to: To = "now",
    by: _By = "edge",
    edge: Edge = "",
    host: _Host = "",
    limit: _Limit = None,
    json: Json = False,
    csv: Csv = False,
) -> None:
    """Segments sent again, by who sent them.

    For example:

    wirelag query retransmits --lake LAKE --from -1d --by host
    """
    from history import retransmits as question
    from history.source import Source
    from history.span import span

    check(json=json, csv=csv)
    asked = span(from_, to, time.time_ns())
    found = question.retransmits(Source(lake), asked, by=by, edge=edge, host=host, limit=limit)
    rows = [_grouped(by, one._asdict()) for one in found]
    names = [by, *question.Retransmits._fields[1:]]
    only = {"--edge": edge, "--host": host}
    write("retransmits", rows, names, (Column(by, by.upper()), *_RETRANSMITS), json=json, csv=csv, only=only)


def _grouped(by: str, row: dict[str, Any]) -> dict[str, Any]:
    """Return a row whose group is named by what it is."""
    return {by: row.pop("group"), **row}
