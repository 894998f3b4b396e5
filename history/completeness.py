# SPDX-License-Identifier: Apache-2.0
"""What share of a host's events is in the lake, from the ledger: (attempted - lost) / attempted.

A batch that an agent numbered and could not deliver is counted twice: by the agent (stages ``queue``,
``kafka``, ``spool``, or by a later run ``left-in-spool``) and by the consumer, as a gap in the numbers. Of
each run the greater of the two sums is taken. What a host sent before this lake was (``earlier``) is none of
its losses. What an agent left out on purpose (``sampled``) is neither lost nor attempted here: the share is
that of what was kept. Whatever else the ledger names and is not listed below is a loss, so a reason that a
later version adds is one until it is listed.

Agents and consumer date rows by the agent's clock: totals by the heartbeat, what was stored by when it was
packed. So both of one moment are within a heartbeat of each other, and a span may cut a run anywhere.

An agent that is killed counts no losses. What it had attempted, by its last heartbeat, and neither the lake
nor a loss accounts for is lost too: ``unaccounted``. That is said of a run that is over: another one of its
host began after its last words, or it was silent for the last minute of the span; at its last words, and over
the whole of the run, for which ``whole`` reads its ledger from its beginning. Where the host's newest words
told of records on its disk from before the span's end, the difference is not lost yet: ``waiting``.

What such a run saw after its last heartbeat is in no count at all: ``unended`` are the runs of a host whose
last words were in the span and no good-bye, where another one followed. Such a host's share can be too high.
"""

from typing import NamedTuple

from common.units import DAY_NS
from history.source import Source
from history.span import Span

LONGEST_NS = 31 * DAY_NS
"""Of runs that began longer ago than this, nothing is said to be unaccounted."""
_RUNS = """
    told AS (
        SELECT host, boot, epoch, at_ns, events, stage, reason,
            CASE WHEN reason IN ('attempted', 'delivered', 'stored', 'duplicate', 'earlier') THEN 'way'
                WHEN stage = 'kernel' AND reason = 'sampled' THEN 'way'
                WHEN stage = 'consumer' THEN 'consumer'
                WHEN stage IN ('queue', 'kafka', 'spool', 'left-in-spool') THEN 'delivery'
                ELSE 'agent' END AS part
        FROM ledger),
    run AS (
        SELECT host, boot, epoch,
            max(at_ns) FILTER (stage NOT IN ('consumer', 'left-in-spool')) AS last_ns,
            max(at_ns) FILTER (reason = 'unreported') AS marked_ns,
            coalesce(sum(events) FILTER (stage = 'kernel' AND reason = 'attempted'), 0)
                - coalesce(sum(events) FILTER (stage = 'kernel' AND reason = 'sampled'), 0) AS attempted,
            coalesce(sum(events) FILTER (reason IN ('stored', 'earlier')), 0) AS stored,
            coalesce(sum(events) FILTER (part = 'agent'), 0) + greatest(0, sum(events) FILTER (part =
            'consumer'), sum(events) FILTER (part = 'delivery')) AS lost
        FROM told GROUP BY host, boot, epoch),
    ended AS (
        SELECT * FROM (SELECT *, max(epoch) OVER (PARTITION BY host) AS newest FROM run)
        WHERE last_ns >= $from_ns AND last_ns < $to_ns
            AND ((epoch < newest AND last_ns <= newest) OR last_ns < $to_ns - 60000000000))"""
_COUNTED = """
    counted AS (SELECT * FROM told WHERE at_ns >= $from_ns AND at_ns < $to_ns),
    spooling AS (
        SELECT host FROM agent GROUP BY host HAVING arg_max(spool_records, heard_ns) > 0
            AND max(heard_ns) - arg_max(spool_oldest_ns, heard_ns) < $to_ns),
    missing AS (
        SELECT host, boot, epoch, last_ns, (attempted - lost - stored)::BIGINT AS events,
            host IN (SELECT host FROM spooling) AS waiting
        FROM ended WHERE epoch >= $since_ns AND attempted > lost + stored),
    unaccounted AS (
        SELECT host, sum(events)::BIGINT AS events FROM missing WHERE NOT waiting GROUP BY host),
    unended AS (
        SELECT host, count(*) AS runs FROM run
        WHERE marked_ns = last_ns AND last_ns >= $from_ns AND last_ns < $to_ns GROUP BY host)"""
COUNTED = f"{_RUNS},{_COUNTED}"
"""Tables ``told`` (all that was read of the ledger), ``counted`` (its rows in the span), ``missing`` (of runs
that are over, at their last words), ``unaccounted`` (host, events) and ``unended`` (host, runs)."""

_TOTALS = """
    lives AS (
        SELECT host, sum(events) FILTER (stage = 'kernel' AND reason = 'attempted') AS attempted,
            coalesce(sum(events) FILTER (stage = 'kernel' AND reason = 'sampled'), 0) AS sampled,
            coalesce(sum(events) FILTER (part = 'agent'), 0)
            + greatest(0, sum(events) FILTER (part = 'consumer'),
                sum(events) FILTER (part = 'delivery')) AS lost
        FROM counted GROUP BY host, boot, epoch),
    total AS (
        SELECT host, sum(attempted) AS attempted, sum(sampled) AS sampled,
            sum(lost) + coalesce(any_value(unaccounted.events), 0) AS lost
        FROM lives LEFT JOIN unaccounted USING (host) GROUP BY host),
    host AS (
        SELECT host, lost, attempted, least(sampled, attempted) AS sampled, coalesce(runs, 0) AS unended,
            host IN (SELECT host FROM spooling) AS waiting,
            CASE WHEN attempted > sampled THEN greatest(0, 1 - lost / (attempted - sampled))
                WHEN lost > 0 THEN 0 ELSE 1 END AS share
        FROM total LEFT JOIN unended USING (host) WHERE attempted > 0)"""
HOSTS = f"{COUNTED},{_TOTALS}"
"""Table ``host`` (host, lost, attempted, sampled, unended, waiting, share) of hosts that attempted any."""
_OLDEST = "WITH {runs} SELECT min(epoch) AS epoch FROM ended WHERE epoch < $from_ns"


class Whole(NamedTuple):
    """What to read so that runs which ended in a span are known from their beginning."""

    ledger: Span
    agent: Span
    since_ns: int
    """Runs that began from then on are wholly in the ledger read."""

    def parameters(self, span: Span) -> dict[str, object]:
        """Return what the statements above are asked with."""
        return {"from_ns": span.from_ns, "to_ns": span.to_ns, "since_ns": self.since_ns}


def whole(source: Source, span: Span) -> Whole:
    """Return what to read of the ledger for a span: back to the beginning of the runs that ended in it.

    And a day on: what they had on their disks is stored, or lost, later.
    """
    later = min(span.to_ns + DAY_NS, 2**63 - 1)
    agent = Span(max(0, span.from_ns - DAY_NS), later)
    with source.engine({"ledger": Span(span.from_ns, later)}) as engine:
        (oldest,) = engine.rows(_OLDEST.format(runs=_RUNS), {"from_ns": span.from_ns, "to_ns": span.to_ns})
    since = span.from_ns
    if oldest["epoch"] is not None:
        since = max(oldest["epoch"], span.from_ns - LONGEST_NS, 0)
    return Whole(Span(since, later), agent, since)
