# SPDX-License-Identifier: Apache-2.0
"""The agents of a span, a row each: when they were last heard of, how they stood, what they lost.

Times of hearing are the broker's, so that hosts with wrong clocks do not look silent. An agent is silent when
nothing was heard of it for ``SILENT_NS`` before the newest heartbeat of any agent, or the end of the span.
"""

from typing import Any, NamedTuple

from common.units import DAY_NS
from history.absent import SILENT_NS
from history.completeness import HOSTS, whole
from history.source import Source
from history.span import Span

_STANDINGS = """
SELECT *, min(heard_ns) OVER (PARTITION BY host) AS since_ns,
    row_number() OVER (PARTITION BY host ORDER BY heard_ns DESC, epoch DESC) AS place
FROM (SELECT *, row_number() OVER (PARTITION BY host, boot, epoch ORDER BY heard_ns DESC, final DESC) AS nth
    FROM agent WHERE heard_ns < $to_ns)
WHERE nth = 1 AND ($host = '' OR host = $host) ORDER BY host, epoch"""
_NEWEST = "SELECT max(heard_ns) AS newest, min(heard_ns) AS oldest FROM agent WHERE heard_ns < $to_ns"
_FIRST = "SELECT host, min(heard_ns) AS first_ns FROM agent GROUP BY host"
_FIGURES = "WITH {hosts} SELECT host, attempted, sampled, lost, share, unended FROM host"


class HostRow(NamedTuple):
    """One agent, the newest of its host or one that still speaks. None: not known."""

    host: str
    state: str | None
    """``tracing`` or ``stopped`` as it said, ``silent``, ``gone`` after a good-bye; None: only its ledger."""
    age_ns: int | None
    """Since it was heard of, at the end of the span."""
    heard_ns: int | None
    why: str | None
    """What stopped it or thins its events."""
    events_per_second: float | None
    """Attempted in the span, those sampled out among them."""
    lost: int
    """Events lost or unaccounted in the span."""
    complete: float | None
    """As everywhere: below 1 where anything is missing."""
    connection_rate: int | None
    block_rate: int | None
    spool_records: int | None
    spool_bytes: int | None
    spool_oldest_ns: int | None
    """Age of its oldest event when the agent was heard of."""
    undelivered_ns: int | None
    """Age of the oldest event that Kafka had not acknowledged."""
    agent: str | None
    """Version."""
    config: str | None
    """Equal where the settings are."""
    kernel: str | None
    backend: str | None
    boot: str | None
    epoch: int | None
    order: int | None
    rate_changes: int | None
    clock_ns: int | None
    """Its clock minus the broker's at that heartbeat, which was a moment on its way."""


class Hosts(NamedTuple):
    """All agents, and how fresh that is."""

    rows: list[HostRow]
    behind_ns: int
    """From the newest heartbeat of all to the end of the span, 0 without any."""


def hosts(source: Source, span: Span, *, host: str = "", lossy: bool = False, silent: bool = False) -> Hosts:
    """Return the agents heard of in a span, or within a day before its end, by host.

    ``host`` keeps one of them, ``lossy`` those that lost anything in the span, ``silent`` those that are.

    Raises:
        AnswerError: the lake's files could not be read.
    """
    wide = whole(source, span)
    heard = Span(max(0, min(span.from_ns, span.to_ns - DAY_NS)), span.to_ns)
    parameters = wide.parameters(span) | {"host": host}
    with source.engine({"ledger": wide.ledger, "agent": wide.agent}) as engine:
        figures = {row["host"]: row for row in engine.rows(_FIGURES.format(hosts=HOSTS), parameters)}
    with source.engine({"agent": heard}) as engine:
        newest = engine.rows(_NEWEST, parameters)[0]["newest"]
        first = {row["host"]: row["first_ns"] for row in engine.rows(_FIRST)}
        standings = engine.rows(_STANDINGS, parameters)
    now = min(span.to_ns, newest) if newest is not None else span.to_ns
    found = [
        _row(one, figures.get(one["host"]), span, now, first[one["host"]])
        for one in standings
        if one["place"] == 1 or (now - one["heard_ns"] <= SILENT_NS and not one["final"])
    ]
    told = {one.host for one in found}
    found += [_untold(row, span) for name, row in figures.items() if name not in told and host in {"", name}]
    kept = [one for one in found if (not lossy or _lossy(one)) and (not silent or one.state == "silent")]
    return Hosts(
        sorted(kept, key=lambda one: (one.host, one.epoch or 0)), 0 if newest is None else span.to_ns - now
    )


def _row(one: dict[str, Any], figures: dict[str, Any] | None, span: Span, now: int, first_ns: int) -> HostRow:
    silent = now - one["heard_ns"] > SILENT_NS
    state = "gone" if one["final"] else "silent" if silent else one["agent_state"]
    seconds = max(1.0, (now - max(span.from_ns, min(first_ns, now))) / 1e9)
    names = HostRow._fields
    same = {name: one[name] for name in names if name in one}
    return HostRow(
        **same
        | {
            "state": state,
            "age_ns": max(0, span.to_ns - one["heard_ns"]),
            "why": one["why"] or None,
            "events_per_second": round(int(figures["attempted"]) / seconds, 1) if figures else 0.0,
            "lost": int(figures["lost"]) if figures else 0,
            "complete": _complete(figures),
            "agent": one["agent_version"] or None,
            "config": one["config"] or None,
            "kernel": one["kernel"] or None,
            "backend": one["backend"] or None,
            "order": one["order_number"],
            "clock_ns": one["at_ns"] - one["heard_ns"],
        }
    )


def _untold(figures: dict[str, Any], span: Span) -> HostRow:
    """Return the row of a host of which only the ledger is known: agent or consumer are of before."""
    rate = round(int(figures["attempted"]) / ((span.to_ns - span.from_ns) / 1e9), 1)
    known = {"host": figures["host"], "events_per_second": rate, "lost": int(figures["lost"])}
    return HostRow(**dict.fromkeys(HostRow._fields) | known | {"complete": _complete(figures)})  # type: ignore[arg-type]


def _complete(figures: dict[str, Any] | None) -> float | None:
    if figures is None:
        return None
    missing = figures["lost"] or figures["unended"]
    return min(float(figures["share"]), 1 - 2**-53) if missing else 1.0


def _lossy(one: HostRow) -> bool:
    return one.lost > 0 or (one.complete is not None and one.complete < 1)
