# SPDX-License-Identifier: Apache-2.0
"""When hosts of an answer had no agent that traced: between two runs, while stopped, or after the last word.

What was sent and read on a host then is in no ledger, and no loss. So an answer that rests on such a host is
never called complete, though all that agents saw is there. Times are the broker's, of heartbeats as they are
stored: of an agent that was killed the beginning can be 10 s early; one that says good-bye calls itself
stopped, and traced until then. The time before a host's first run in the rows read is not told of. Silence
that all hosts share may be the consumer's: it is told apart, as ``behind_ns``.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from common.shown import duration
from common.units import MINUTE_NS
from history.engine import Engine, Parameters
from history.span import iso

SILENT_NS = 30 * 10**9
BEHIND_NS = MINUTE_NS
"""Standing is stored every 10 s, and a commit takes a while: what is nearer to the end is in time."""
SHOWN = 3
_ABSENT = """
WITH said AS (
    SELECT host, boot, epoch, heard_ns, coalesce(agent_state = 'stopped', false) AS stopped, final,
        lag(agent_state) OVER run AS before
    FROM agent WHERE heard_ns < $to_ns WINDOW run AS (PARTITION BY host, boot, epoch ORDER BY heard_ns)),
heard AS (
    SELECT * EXCLUDE stopped, stopped AND (before = 'stopped' OR NOT coalesce(final, false)) AS stopped
    FROM said),
phase AS (
    SELECT *, count(*) FILTER (stopped) OVER (PARTITION BY host, boot, epoch ORDER BY heard_ns) AS stops
    FROM heard),
traced AS (
    SELECT host, min(heard_ns) AS first_ns, max(heard_ns) AS last_ns FROM phase
    WHERE NOT stopped GROUP BY host, boot, epoch, stops),
told AS (
    SELECT host, first_ns, max(last_ns) OVER (PARTITION BY host ORDER BY first_ns
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before_ns FROM traced),
absence AS (
    SELECT host, before_ns AS from_ns, first_ns AS to_ns FROM told
    WHERE before_ns < first_ns AND first_ns > $from_ns
    UNION ALL
    SELECT host, max(last_ns), NULL FROM traced GROUP BY host
    HAVING max(last_ns) < (SELECT max(heard_ns) FROM heard) - $silent_ns)
SELECT * FROM absence ORDER BY from_ns, host"""
_NEWEST = "SELECT max(heard_ns) AS newest FROM agent WHERE heard_ns < $to_ns"
_RESTING = """
WITH {parts}
SELECT DISTINCT label, measure, unnest(CASE WHEN measure IN ('send-block', 'client-turn', 'rtt')
    THEN [sender_host] WHEN measure = 'server-turn' THEN [receiver_host]
    ELSE [sender_host, receiver_host] END) AS host FROM part"""


class Absence(NamedTuple):
    """One time in which nobody traced a host."""

    host: str
    from_ns: int
    to_ns: int | None
    """None: no agent of it was heard of after that."""


class Absences(NamedTuple):
    """Those of the hosts that an answer rests on."""

    times: list[Absence]
    """By their beginning."""
    groups: set[tuple[object, str]]
    """(label, kind) of what rests on one of these hosts."""
    behind_ns: int
    """How long before the span's end any agent was heard of last; 0 where that is no news, or not known."""

    @property
    def hosts(self) -> set[str]:
        """Those that had no agent for some of the time."""
        return {one.host for one in self.times}


def absences(engine: Engine, parameters: Parameters, parts: str, *, minutes: bool) -> Absences:
    """Return the absences that touch a span.

    Args:
        engine: with table ``agent`` and those that ``parts`` names.
        parameters: of ``parts``; ``from_ns`` and ``to_ns`` are the span's.
        parts: the table ``part``, for WITH.
        minutes: the label of a part is its minute, and only minutes with an absence count.
    """
    newest, end = engine.rows(_NEWEST, parameters)[0]["newest"], int(str(parameters["to_ns"]))
    behind = 0 if newest is None or end - newest < BEHIND_NS else end - newest
    found = [Absence(**row) for row in engine.rows(_ABSENT, {**parameters, "silent_ns": SILENT_NS})]
    if not found:
        return Absences([], set(), behind)
    away = {one.host for one in found}
    resting = [row for row in engine.rows(_RESTING.format(parts=parts), parameters) if row["host"] in away]
    named = {row["host"] for row in resting}
    groups = {
        (row["label"], row["measure"])
        for row in resting
        if not minutes or _touched(row["label"], (one for one in found if one.host == row["host"]))
    }
    return Absences([one for one in found if one.host in named], groups, behind)


def told(times: Sequence[Absence]) -> str:
    """Return when that was, the longest first, three of them."""
    longest = sorted(times, key=lambda one: (one.to_ns is not None, one.from_ns - (one.to_ns or 0)))
    parts = [
        f"{one.host} since {iso(one.from_ns, 0)}"
        if one.to_ns is None
        else f"{one.host} for {duration(one.to_ns - one.from_ns)} from {iso(one.from_ns, 0)} on"
        for one in longest[:SHOWN]
    ]
    return ", ".join(parts) + (f" and {len(times) - SHOWN:,} more" if len(times) > SHOWN else "")


def behind(nanoseconds: int) -> str:
    """Return what it means that no agent was heard of for so long."""
    return (
        f"no agent was heard of in the last {duration(nanoseconds)} of this time: none runs, or the consumer "
        "is behind, and the figures end there"
    )


def remarks(found: Absences) -> Iterator[str]:
    """Yield what a reader of figures has to know of absences, a line each."""
    if found.behind_ns:
        yield behind(found.behind_ns)
    if found.times:
        yield (
            f"hosts without an agent that traced: {told(found.times)}; what they did then is in no figure, "
            "so COMPLETE can be too high"
        )


def _touched(minute_ns: int, times: Iterable[Absence]) -> bool:
    """Say whether a minute has any of these times in it."""
    end = minute_ns + MINUTE_NS
    return any(one.from_ns < end and (one.to_ns is None or one.to_ns > minute_ns) for one in times)
