# SPDX-License-Identifier: Apache-2.0
"""``wirelag query clocks``: how well clocks of hosts are related, and what is wrong where they are not."""

import time
from collections.abc import Iterator
from typing import Annotated, Any

from cyclopts import Parameter

from wirelag.asked import Csv, From, Json, Lake, To, remark, write
from wirelag.output import Column, check

_COLUMNS = (
    Column("first_host", "HOST"),
    Column("second_host", "AND"),
    Column("status", "STATUS"),
    Column("wall_ns", "APART", "duration"),
    Column("bound_ns", "BOUND", "bound"),
    Column("worst_ns", "WORST", "bound"),
    Column("skew_ppm", "SKEW PPM", "decimal"),
    Column("steps", "STEPS", "count"),
    Column("largest_step_ns", "LARGEST", "duration"),
    Column("messages", "MESSAGES", "count"),
    Column("windows", "MINUTES", "count"),
    Column("bounded", "SOLVED", "count"),
    Column("error_ns", "ERROR", "bound"),
    Column("seen_ns", "SEEN", "time"),
)


def clocks(
    *,
    lake: Lake,
    from_: From = "-1h",
    to: To = "now",
    host: Annotated[str, Parameter("--host", show_default=False, help="only this host's clocks")] = "",
    json: Json = False,
    csv: Csv = False,
) -> None:
    """Clocks of hosts: how far apart, how well that is known, and which jumped.

    For example:

    wirelag query clocks --lake LAKE --from -1d
    """
    from history import clocks as question
    from history.source import Source
    from history.span import span

    check(json=json, csv=csv)
    rows = question.clocks(Source(lake), span(from_, to, time.time_ns()), host=host)
    write("clocks", rows, question.COLUMNS, _COLUMNS, json=json, csv=csv, only={"--host": host})
    for line in _remarks(rows):
        remark(line)


def _remarks(rows: list[dict[str, Any]]) -> Iterator[str]:
    infeasible = [row for row in rows if row["infeasible"]]
    if infeasible:
        yield (
            f"{_names(infeasible)}: messages contradict one another, so their clocks jumped more than can be "
            "followed, or messages were matched wrongly; their delivery and wire are withheld"
        )
    unsynced = [row for row in rows if row["second_host"] is not None and row["unsynced"]]
    if never := [row for row in unsynced if not row["bounded"]]:
        yield (
            f"{_names(never)}: too few messages both ways to tell how far their clocks are apart; "
            "receive wait, turns and network time of theirs need no common clock"
        )
    if sometimes := [row for row in unsynced if row["bounded"]]:
        minutes = sum(row["unsynced"] for row in sometimes)
        yield (
            f"{_names(sometimes)}: too few messages both ways in {minutes:,} of their minutes; "
            "delivery and wire of these are withheld"
        )


def _names(rows: list[dict[str, Any]]) -> str:
    shown = [f"{row['first_host']} and {row['second_host']}" for row in rows[:3]]
    more = f" and {len(rows) - len(shown):,} more" if len(rows) > len(shown) else ""
    return "; ".join(shown) + more
