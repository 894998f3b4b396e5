# SPDX-License-Identifier: Apache-2.0
"""What Kafka has not acknowledged yet, by shard.

The source of watermarks and of "last sequence with no hole".
"""

from typing import NamedTuple


class Ticket(NamedTuple):
    """One batch on its way."""

    shard: int
    sequence: int
    events: int
    oldest_ns: int
    """CLOCK_MONOTONIC of its oldest event."""


class Outstanding:
    """Tickets by shard, in order of their sequences."""

    def __init__(self) -> None:
        self._open: dict[int, dict[int, Ticket]] = {}
        self._next: dict[int, int] = {}

    def open(self, ticket: Ticket) -> None:
        """A batch was handed over; sequences of a shard come in order."""
        self._open.setdefault(ticket.shard, {})[ticket.sequence] = ticket
        self._next[ticket.shard] = ticket.sequence + 1

    def close(self, ticket: Ticket) -> None:
        """A batch was acknowledged, or given up and counted."""
        self._open[ticket.shard].pop(ticket.sequence, None)

    def acknowledged(self) -> dict[int, int]:
        """Return shard -> last sequence with no open one before it (shards with none are left out)."""
        last = {
            shard: min(self._open[shard], default=following) - 1 for shard, following in self._next.items()
        }
        return {shard: sequence for shard, sequence in last.items() if sequence >= 0}

    def oldest_ns(self) -> int | None:
        """Return the time of the oldest event not acknowledged, None if all are."""
        return min(
            (ticket.oldest_ns for shard in self._open.values() for ticket in shard.values()), default=None
        )

    def tickets(self) -> list[Ticket]:
        """Return all open tickets."""
        return [ticket for shard in self._open.values() for ticket in shard.values()]

    def __len__(self) -> int:
        return sum(len(shard) for shard in self._open.values())
