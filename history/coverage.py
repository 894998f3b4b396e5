# SPDX-License-Identifier: Apache-2.0
"""What share of the bytes that connections moved is in events, by the kernel's own count.

Each end that an agent follows tells an account as it closes, and every few minutes before: bytes sent, bytes
that the application took, and how many of them are in no event. The last one of the span counts. Sent bytes
count for send-block, client turns and rtt, those taken for receive-wait and server turns, both for delivery,
wire and network time. All bytes of a blind connection count as in no event; those of a sampled one, which
cannot be compared, as neither. Of two agents at one end the account with less missing is taken.
"""

from typing import Any, NamedTuple

from history.engine import Engine
from schemas.batch import BLIND, Mark

REASONS = {
    Mark.ULP: "kernel TLS or another upper layer",
    Mark.MPTCP: "multipath TCP",
    Mark.REPLACED: "a sockmap or the like",
    Mark.REPAIR: "TCP_REPAIR",
}
_OTHER = "not told why"
_MOVED = """
    account AS (
        SELECT * FROM close WHERE at_ns >= $from_ns AND at_ns < $to_ns
        QUALIFY row_number() OVER (PARTITION BY connection, endpoint, host
            ORDER BY sent_bytes + received_bytes DESC, missing_sent + missing_received, at_ns,
            topic_partition, tick) = 1),
    peer AS (SELECT connection, endpoint, min(host) AS host, min(edge) AS edge FROM account GROUP BY ALL),
    side AS (
        SELECT ['receive-wait', 'server-turn'] AS unlike, account.edge, account.host AS sender_host,
            peer.host AS receiver_host, account.at_ns AS window_start_ns, account.connection, audit, marks,
            sent_bytes AS bytes, missing_sent AS missing
        FROM account LEFT JOIN peer ON peer.connection = account.connection
            AND peer.endpoint = 1 - account.endpoint
        UNION ALL
        SELECT ['send-block', 'client-turn', 'rtt'], coalesce(peer.edge,
            CASE WHEN len(string_split(account.edge, ' > ')) = 2 THEN
                concat(split_part(account.edge, ' > ', 2), ' > ', split_part(account.edge, ' > ', 1)) END),
            peer.host, account.host, account.at_ns,
            account.connection, audit, marks, received_bytes - unread_bytes, missing_received
        FROM account LEFT JOIN peer ON peer.connection = account.connection
            AND peer.endpoint = 1 - account.endpoint),
    moved AS (
        SELECT * REPLACE (CASE audit WHEN 'sampled' THEN 0 ELSE bytes END AS bytes, CASE audit
            WHEN 'blind' THEN bytes WHEN 'sampled' THEN 0 ELSE least(missing, bytes) END AS missing)
        FROM side WHERE true {where})"""
_GROUPS = """
WITH {moved}, part AS (
    SELECT coalesce({label}, {none}) AS label, * FROM moved
    JOIN (SELECT unnest($kinds) AS measure) ON NOT list_contains(unlike, measure))
SELECT label, measure, count(DISTINCT connection) AS closed, sum(bytes)::BIGINT AS bytes,
    sum(missing)::BIGINT AS missing, count(DISTINCT connection) FILTER (audit = 'blind') AS blind,
    count(DISTINCT connection) FILTER (audit = 'partial') AS partial
FROM part GROUP BY label, measure"""
_MISSED = """
WITH {moved}
SELECT audit, CASE audit WHEN 'blind' THEN marks & $blind ELSE 0 END AS marks,
    count(DISTINCT connection) AS closed, sum(missing)::BIGINT AS missing
FROM moved WHERE audit IN ('blind', 'partial')
GROUP BY ALL ORDER BY ALL"""


class Cover(NamedTuple):
    """What connections of a group moved, of those that closed in the span."""

    closed: int = 0
    """Connections."""
    moved_bytes: int = 0
    covered_bytes: int = 0
    """Of those moved, in events."""
    blind: int = 0
    """Connections of which no bytes are in events."""
    partial: int = 0
    """Connections of which some are not."""

    @property
    def share(self) -> float | None:
        """Covered of moved; below 1 where a byte is missing, None where none was moved."""
        if not self.moved_bytes:
            return None
        return self.covered_bytes / self.moved_bytes if self.covered_bytes < self.moved_bytes else 1.0


class Missed(NamedTuple):
    """Connections that closed in the span and are not wholly in events."""

    blind: dict[str, int]
    """Reason -> connections."""
    partial: int
    missing_bytes: int
    """Of the partial ones, at both ends."""


def covers(
    engine: Engine, parameters: dict[str, Any], *, label: str, none: str, where: str
) -> dict[tuple[Any, str], Cover]:
    """Return (label, kind) -> cover, of connections that pass ``where``."""
    statement = _GROUPS.format(moved=_MOVED.format(where=where), label=label, none=none)
    return {
        (row["label"], row["measure"]): Cover(
            row["closed"], row["bytes"], row["bytes"] - row["missing"], row["blind"], row["partial"]
        )
        for row in engine.rows(statement, parameters)
    }


def missed(engine: Engine, parameters: dict[str, Any], *, where: str) -> Missed:
    """Return what is not wholly in events."""
    statement = _MISSED.format(moved=_MOVED.format(where=where))
    rows = engine.rows(statement, parameters | {"blind": int(BLIND)})
    blind: dict[str, int] = {}
    for row in rows:
        if row["audit"] == "blind":
            reason = next((text for mark, text in REASONS.items() if row["marks"] & mark), _OTHER)
            blind[reason] = blind.get(reason, 0) + row["closed"]
    partial = [row for row in rows if row["audit"] == "partial"]
    return Missed(blind, sum(row["closed"] for row in partial), sum(row["missing"] for row in partial))
