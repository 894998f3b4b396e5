# SPDX-License-Identifier: Apache-2.0
"""``wirelag query explain``: network or application, and since when; one line, and the figures behind it."""

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from wirelag.asked import Csv, From, Json, Lake, To, remark, write
from wirelag.output import Column, check

if TYPE_CHECKING:
    from history.figures import Latency
    from history.verdict import Told, Verdict

_COLUMNS = (
    Column("way", "WAY", grouped=True),
    Column("kind", "KIND"),
    Column("before_n", "BEFORE N", "count"),
    Column("before_p50_ns", "P50", "duration"),
    Column("before_p99_ns", "P99", "duration"),
    Column("before_complete", "COMPLETE", "share"),
    Column("after_n", "AFTER N", "count"),
    Column("after_p50_ns", "P50", "duration"),
    Column("after_p99_ns", "P99", "duration"),
    Column("after_complete", "COMPLETE", "share"),
    Column("clock_bound_ns", "BOUND", "bound"),
    Column("changed_ns", "CHANGED", "time"),
)
NAMES = (
    *("way", "kind", "changed_ns", "shift_ns", "clock_bound_ns"),
    *(
        f"{when}_{name}"
        for when in ("before", "after")
        for name in ("n", "p50_ns", "p90_ns", "p99_ns", "complete")
    ),
)


def explain(
    *,
    lake: Lake,
    edge: Annotated[str, Parameter("--edge", help="two sides, client first: 'checkout -> postgres'")],
    from_: From = "-1h",
    to: To = "now",
    json: Json = False,
    csv: Csv = False,
) -> None:
    """Is it the network or the application, and since when?

    Looks at the time asked for and at as long a time before it. For example:

    wirelag query explain --lake LAKE --edge 'checkout -> postgres' --from -1h
    """
    from history import verdict as question
    from history.source import Source
    from history.span import span

    check(json=json, csv=csv)
    found = question.verdict(Source(lake), span(from_, to, time.time_ns()), edge=edge)
    rows = [_row(one) for one in found.told]
    if json:
        write("verdict", [_head(found), *rows], NAMES, _COLUMNS, json=True, csv=False)
        return
    if csv:
        remark(found.text)
    else:
        sys.stdout.write(f"{found.text}\n")
    write("verdict", rows, NAMES, _COLUMNS, json=False, csv=csv)
    for note in found.notes:
        remark(note)


def _head(found: "Verdict") -> dict[str, Any]:
    told = {"verdict": found.where, "kind": found.kind, "since_ns": found.since_ns}
    return told | {"text": found.text, "notes": found.notes}


def _row(one: "Told") -> dict[str, Any]:
    bounds = [
        side.clock_bound_ns for side in (one.before, one.after) if side and side.clock_bound_ns is not None
    ]
    row: dict[str, Any] = {
        "way": one.way,
        "kind": one.kind,
        "changed_ns": one.changed_ns,
        "shift_ns": one.shift_ns,
        "clock_bound_ns": max(bounds, default=None),
    }
    return row | _side("before", one.before) | _side("after", one.after)


def _side(when: str, figure: "Latency | None") -> dict[str, Any]:
    names = ("n", "p50_ns", "p90_ns", "p99_ns", "complete")
    return {f"{when}_{name}": getattr(figure, name) if figure else None for name in names}
