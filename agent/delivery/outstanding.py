# SPDX-License-Identifier: Apache-2.0
"""What Kafka has not acknowledged yet, by shard.

The source of watermarks and of "last sequence with no hole".
"""

import itertools
from typing import NamedTuple

from agent.spool.record import NOBODY, Place, Run


class Ticket(NamedTuple):
    """One batch on its way."""

    shard: int
    sequence: int
    events: int
    oldest_ns: int
    """CLOCK_MONOTONIC of its oldest event."""
    place: Place | None = None
    """Where in the spool it is, None: it comes straight from the packer."""
    own: bool = True
    """Of this agent run, not of an earlier one that left it in the spool."""
    run: Run = NOBODY
    """Who packed it, where it comes from the spool."""


class _Aside(NamedTuple):
    """What of a shard waits elsewhere, in order of its sequences: a mark, not a ticket each."""

    first: int
    """Sequence of the first that is not acknowledged."""
    oldest_ns: int
    """Not younger than its oldest event."""


class Outstanding:
    """Tickets by shard, in order of their sequences."""

    def __init__(self) -> None:
        self._open: dict[int, dict[int, Ticket]] = {}
        self._aside: dict[int, _Aside] = {}
        self._next: dict[int, int] = {}

    def open(self, ticket: Ticket) -> None:
        """A batch was handed over; sequences of a shard come in order."""
        self._open.setdefault(ticket.shard, {})[ticket.sequence] = ticket
        self._next[ticket.shard] = max(ticket.sequence + 1, self._next.get(ticket.shard, 0))

    def close(self, ticket: Ticket) -> None:
        """A batch was acknowledged, or given up and counted."""
        self._open[ticket.shard].pop(ticket.sequence, None)

    def put_aside(self, ticket: Ticket) -> None:
        """An open batch waits with others of its shard, to be sent in order; told by ``move_on``."""
        self.close(ticket)
        before = self._aside.get(ticket.shard)
        if before is None or ticket.sequence < before.first:
            self._aside[ticket.shard] = _Aside(ticket.sequence, ticket.oldest_ns)

    def move_on(self, shard: int, sequence: int, oldest_ns: int | None) -> None:
        """Of what was put aside all up to a sequence is decided; what follows is no older than given."""
        before = self._aside.get(shard)
        if before is not None and sequence >= before.first:
            self._aside[shard] = _Aside(sequence + 1, before.oldest_ns if oldest_ns is None else oldest_ns)

    def none_aside(self, shard: int) -> None:
        """Nothing of a shard is aside any more."""
        self._aside.pop(shard, None)

    def acknowledged(self) -> dict[int, int]:
        """Return shard -> last sequence with no open one before it (shards with none are left out)."""
        last = {
            shard: min(
                min(self._open.get(shard, ()), default=following),
                self._aside[shard].first if shard in self._aside else following,
            )
            - 1
            for shard, following in self._next.items()
        }
        return {shard: sequence for shard, sequence in last.items() if sequence >= 0}

    def oldest_ns(self) -> int | None:
        """Return the time of the oldest event not acknowledged, None if all are."""
        opened = (ticket.oldest_ns for shard in self._open.values() for ticket in shard.values())
        aside = (one.oldest_ns for one in self._aside.values())
        return min(itertools.chain(opened, aside), default=None)

    def tickets(self) -> list[Ticket]:
        """Return all open tickets."""
        return [ticket for shard in self._open.values() for ticket in shard.values()]

    def __len__(self) -> int:
        return sum(len(shard) for shard in self._open.values())
