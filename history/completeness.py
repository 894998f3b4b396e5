# SPDX-License-Identifier: Apache-2.0
"""What share of a host's events is in the lake, from the ledger: (attempted - lost) / attempted.

A batch that an agent numbered and could not deliver is counted twice: by the agent (stages ``queue``,
``kafka``, ``spool``) and by the consumer, as a gap in the numbers. The greater of the two sums is taken.
What a host sent before this lake was (``earlier``) is none of its losses.
Whatever else the ledger names and is not listed below is a loss, so a reason that a later version adds is one
until it is listed.
"""

HOSTS = """
    counted AS (
        SELECT host, events, stage, reason,
            CASE WHEN reason IN ('attempted', 'delivered', 'stored', 'duplicate', 'earlier') THEN 'way'
                WHEN stage = 'consumer' THEN 'consumer'
                WHEN stage IN ('queue', 'kafka', 'spool') THEN 'delivery'
                ELSE 'agent' END AS part
        FROM ledger WHERE at_ns >= $from_ns AND at_ns < $to_ns),
    total AS (
        SELECT host, sum(events) FILTER (stage = 'kernel' AND reason = 'attempted') AS attempted,
            coalesce(sum(events) FILTER (part = 'agent'), 0) + greatest(0, sum(events) FILTER (part =
            'consumer'), sum(events) FILTER (part = 'delivery')) AS lost
        FROM counted GROUP BY host),
    host AS (
        SELECT host, lost, greatest(0, (attempted - lost) / attempted) AS share
        FROM total WHERE attempted > 0)"""
"""Tables ``host`` (host, lost, share); hosts that attempted nothing are not in it."""
