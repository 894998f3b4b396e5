# SPDX-License-Identifier: Apache-2.0
"""Records that wait in memory for the last few of their shard to leave the spool, to go to Kafka behind them.

Without it a shard that never pauses would never leave the spool: each new record would be written behind one
that is just being taken out. Pure.
"""

from collections import deque
from collections.abc import Iterable
from math import inf

from agent.delivery.outstanding import Ticket

NEAR = 512
"""Records of a shard in the spool that Kafka, while it takes them, is expected to take at once."""


class Meanwhile:
    """By shard, in order."""

    def __init__(self) -> None:
        self._waiting: dict[int, deque[tuple[bytes, Ticket, float]]] = {}
        self.bytes = 0

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def has(self, shard: int) -> bool:
        """Say whether records of a shard wait."""
        return shard in self._waiting

    def add(self, value: bytes, ticket: Ticket, now: float) -> None:
        """Have a record wait behind those of its shard."""
        self._waiting.setdefault(ticket.shard, deque()).append((value, ticket, now))
        self.bytes += len(value)

    def since(self) -> float:
        """Return since when the oldest waits, infinity where none does."""
        return min((records[0][2] for records in self._waiting.values()), default=inf)

    def shards(self) -> list[int]:
        """Return the shards of which records wait."""
        return list(self._waiting)

    def take(self, shards: Iterable[int]) -> list[tuple[bytes, Ticket]]:
        """Return what waits of shards, and wait for nothing of them any more."""
        found = [(value, ticket) for shard in shards for value, ticket, _ in self._waiting.pop(shard, ())]
        self.bytes -= sum(len(value) for value, _ in found)
        return found
