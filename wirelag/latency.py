# SPDX-License-Identifier: Apache-2.0
"""``wirelag query latency``: figures onto standard output, and what they do not say onto standard error."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from wirelag.asked import Csv, Edge, From, Host, Json, Lake, To, remark, write
from wirelag.output import Column, check, share

if TYPE_CHECKING:
    from history.coverage import Missed
    from history.latency import Answer, Latency

Row = dict[str, Any]
KINDS = "delivery,wire,receive-wait,server-turn"
ENOUGH = 0.999
"""Of what closed: where fewer messages have a latency it is said why."""
Kind = Annotated[
    str,
    Parameter(
        "--kind",
        help="delivery, wire, receive-wait, send-block, server-turn, client-turn, network, rtt, with commas",
    ),
]
_HEAD = (
    Column("kind", "KIND"),
    Column("n", "N", "count"),
)
_TAIL = (
    Column("max_ns", "MAX", "duration"),
    Column("complete", "COMPLETE", "share"),
    Column("cover", "COVER", "share"),
)
_PERCENTILES = ("p50", "p90", "p99")
_BOUND = Column("clock_bound_ns", "BOUND", "bound")
_MESSAGES = Column("messages", "MESSAGES", "count")


def latency(  # noqa: PLR0913 - options of a command
    *,
    lake: Lake,
    from_: From = "-1h",
    to: To = "now",
    by: Annotated[str, Parameter("--by", help="edge, host, measure or minute")] = "edge",
    kind: Kind = KINDS,
    edge: Edge = "",
    host: Host = "",
    explain: Annotated[
        bool,
        Parameter(
            "--explain", negative="", show_default=False, help="what the figures rest on, instead of them"
        ),
    ] = False,
    json: Json = False,
    csv: Csv = False,
) -> None:
    """Percentiles of latency, how far they can be off, and how complete they are.

    For example:

    wirelag query latency --lake /var/lib/wirelag/lake

    wirelag query latency --lake LAKE --from -15m --edge :5432 --by minute

    wirelag query latency --lake LAKE --edge 'checkout -> postgres' --kind client-turn,network --explain
    """
    from history import latency as question
    from history.source import Source
    from history.span import span

    check(json=json, csv=csv)
    asked = span(from_, to, time.time_ns())
    source = Source(lake)
    answer = question.latency(source, asked, by=by, kinds=kind, edge=edge, host=host)
    if explain:
        from history.explain import COLUMNS, explained

        lines = [one._asdict() for one in explained(source, asked, answer, edge=edge, host=host)]
        looks = (Column("about", "ABOUT", grouped=True), Column("text", "WHAT THE FIGURES REST ON"))
        write("latency", lines, COLUMNS, looks, json=json, csv=csv)
        return
    rows = [_row(figure, by) for figure in answer.figures]
    heading = () if by == "measure" else (Column(by, by.upper(), grouped=True),)
    fields = (name for name in question.Latency._fields if name != "group")
    names = [*(column.name for column in heading), *fields]
    if not (json or csv):
        rows = [row | _limits(row) for row in rows]
    only = {"--edge": edge, "--host": host}
    write("latency", rows, names, (*heading, *_columns(answer)), json=json, csv=csv, only=only)
    for line in remarks(answer):
        remark(line)
    if _lacking(answer):
        from history import unmatched

        away = answer.absences.hosts
        for line, _ in unmatched.told(unmatched.unmatched(source, asked, edge=edge, host=host, away=away)):
            remark(line)


def _row(figure: "Latency", by: str) -> Row:
    row = {by: figure.group, **figure._asdict()}
    del row["group"]
    if by == "measure":
        del row["measure"]
    return row


def _columns(answer: "Answer") -> tuple[Column, ...]:
    """Return the columns that this answer needs."""
    sampled = any(figure.messages != figure.n for figure in answer.figures)
    bounded = any(figure.clock_bound_ns is not None for figure in answer.figures)
    found = [*_HEAD, *([_MESSAGES] if sampled else [])]
    for name in _PERCENTILES:
        found.append(Column(f"{name}_ns", name.upper(), "duration"))
        if sampled:
            found.append(Column(f"{name}_limits", "95%"))
    return (*found, *([_BOUND] if bounded else []), *_TAIL)


def _limits(row: Row) -> Row:
    """Return the limits of percentiles as they are shown."""
    from common.shown import duration

    found: Row = {}
    for name in _PERCENTILES:
        low, high = row[f"{name}_low_ns"], row[f"{name}_high_ns"]
        found[f"{name}_limits"] = None if low is None else f"{duration(low)}-{duration(high)}"
    return found


def remarks(answer: "Answer") -> Iterator[str]:
    """Yield what an answer does not say in figures."""
    from history import absent

    if answer.kept is not None and answer.kept < 1:
        yield f"sampled: {share(answer.kept)} of events kept; N and COMPLETE are of those, the rest estimates"
    yield from _unsure(answer.figures)
    if answer.unended:
        yield (
            f"{answer.unended:,} runs of agents ended without a good-bye: what they saw after their last "
            "heartbeat is in no count, so COMPLETE can be too high"
        )
    yield from absent.remarks(answer.absences)
    if answer.waiting:
        yield f"records of this time wait in spools of {answer.waiting:,} hosts: COMPLETE is of what arrived"
    yield from _uncovered(answer.missed)
    if answer.withheld:
        yield (
            f"withheld: delivery and wire of {answer.withheld:,} messages between hosts whose clocks are not "
            "related (`wirelag query clocks` says why, `wirelag query messages --unsynced` shows them raw); "
            "the other kinds need no common clock"
        )
    if answer.invalid:
        yield f"withheld: {turns_of(answer.invalid)}"


def _lacking(answer: "Answer") -> bool:
    """Say whether it is worth a look at what closed without its other end."""
    one_way = [one for one in answer.figures if one.kind in {"delivery", "wire"}]
    return bool(answer.absences.times) or any(one.n < one.seen * ENOUGH for one in one_way)


def turns_of(invalid: dict[str, int]) -> str:
    """Return which turns are withheld and why."""
    why = {
        "too few": "with fewer than 20 exchanges",
        "pipelined": "in which requests and answers overlap",
    }
    parts = [f"{count:,} {why[reason]}" for reason, count in invalid.items()]
    return f"turns of {sum(invalid.values()):,} edges: {', '.join(parts)}"


def _unsure(figures: "list[Latency]") -> Iterator[str]:
    unsure = [one for one in figures if one.messages != one.n and one.p50_low_ns is None]
    if unsure:
        yield (
            f"no limits of {len(unsure):,} lines: too few connections were kept, or the rows that say which "
            "messages were kept together are gone"
        )


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
