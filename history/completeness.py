# SPDX-License-Identifier: Apache-2.0
"""What share of a host's events is in the lake, from the ledger: (attempted - lost) / attempted.

A batch that an agent numbered and could not deliver is counted twice: by the agent (stages ``queue``,
``kafka``, ``spool``) and by the consumer, as a gap in the numbers. The greater of the two sums is taken.
What a host sent before this lake was (``earlier``) is none of its losses. What an agent left out on purpose
(``sampled``) is neither lost nor attempted here: the share is that of what was kept.
Whatever else the ledger names and is not listed below is a loss, so a reason that a later version adds is one
until it is listed.

An agent that is killed counts no losses. What it had attempted, by its last heartbeat, and neither the lake
nor a loss accounts for is lost too: ``unaccounted``. That is said of a run that is over: another one of its
host began after its last words, or it was silent for the last minute of the span; and whose beginning lies in
the span, since attempted and stored events of one moment are told at different ones.

What such a run saw after its last heartbeat is in no count at all: ``unended`` are the runs of a host whose
last words in the span were no good-bye, where another one followed. A share of such a host can be too high.
"""

COUNTED = """
    counted AS (
        SELECT host, boot, epoch, at_ns, events, stage, reason,
            CASE WHEN reason IN ('attempted', 'delivered', 'stored', 'duplicate', 'earlier') THEN 'way'
                WHEN stage = 'kernel' AND reason = 'sampled' THEN 'way'
                WHEN stage = 'consumer' THEN 'consumer'
                WHEN stage IN ('queue', 'kafka', 'spool') THEN 'delivery'
                ELSE 'agent' END AS part
        FROM ledger WHERE at_ns >= $from_ns AND at_ns < $to_ns),
    run AS (
        SELECT host, epoch, max(at_ns) FILTER (stage <> 'consumer') AS last_ns,
            max(at_ns) FILTER (reason = 'unreported') AS marked_ns,
            sum(events) FILTER (stage = 'kernel' AND reason = 'attempted')
                - coalesce(sum(events) FILTER (stage = 'kernel' AND reason = 'sampled'), 0) AS attempted,
            coalesce(sum(events) FILTER (reason IN ('stored', 'earlier')), 0) AS stored,
            coalesce(sum(events) FILTER (part = 'agent'), 0) + greatest(0, sum(events) FILTER (part =
            'consumer'), sum(events) FILTER (part = 'delivery')) AS lost
        FROM counted GROUP BY host, boot, epoch),
    unaccounted AS (
        SELECT host, sum(attempted - lost - stored)::BIGINT AS events
        FROM (SELECT *, max(epoch) OVER (PARTITION BY host) AS newest FROM run)
        WHERE epoch >= $from_ns AND attempted > lost + stored
            AND ((epoch < newest AND last_ns <= newest) OR last_ns < $to_ns - 60000000000)
        GROUP BY host),
    unended AS (SELECT host, count(*) AS runs FROM run WHERE marked_ns = last_ns GROUP BY host)"""
"""Tables ``counted`` (the ledger in the span), ``unaccounted`` (host, events) and ``unended`` (host, runs) of
hosts that have any."""

_TOTALS = """
    total AS (
        SELECT host, sum(counted.events) FILTER (stage = 'kernel' AND reason = 'attempted') AS attempted,
            coalesce(sum(counted.events) FILTER (stage = 'kernel' AND reason = 'sampled'), 0) AS sampled,
            coalesce(sum(counted.events) FILTER (part = 'agent'), 0)
            + greatest(0, sum(counted.events) FILTER (part = 'consumer'),
                sum(counted.events) FILTER (part = 'delivery'))
            + coalesce(any_value(unaccounted.events), 0) AS lost
        FROM counted LEFT JOIN unaccounted USING (host) GROUP BY host),
    host AS (
        SELECT host, lost, attempted, least(sampled, attempted) AS sampled, coalesce(runs, 0) AS unended,
            CASE WHEN attempted > sampled THEN greatest(0, 1 - lost / (attempted - sampled))
                WHEN lost > 0 THEN 0 ELSE 1 END AS share
        FROM total LEFT JOIN unended USING (host) WHERE attempted > 0)"""
HOSTS = f"{COUNTED},{_TOTALS}"
"""Table ``host`` (host, lost, attempted, sampled, unended, share) of hosts that attempted anything."""
