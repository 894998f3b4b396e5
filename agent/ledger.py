# SPDX-License-Identifier: Apache-2.0
"""Counts every event at every stage: what a hook attempted equals what Kafka holds plus each counted loss.

Totals only grow. ``in flight`` is the difference that remains while the agent runs; after a clean end it is
zero.
"""

from collections import Counter

from schemas.control import Total

ATTEMPTED = ("kernel", "attempted")
DELIVERED = ("kafka", "delivered")
SAMPLED = ("kernel", "sampled")
"""Left out on purpose: no loss."""
NO_LOSS = {ATTEMPTED, DELIVERED, SAMPLED}


class Ledger:
    """Cumulative events by (stage, reason)."""

    def __init__(self) -> None:
        self._totals: Counter[tuple[str, str]] = Counter()
        self._carried: Counter[tuple[str, str]] = Counter()

    def add(self, stage: str, reason: str, events: int) -> None:
        """Count events that reached a point or were lost there."""
        self._totals[stage, reason] += events

    def put(self, stage: str, reason: str, events: int) -> None:
        """Set a total that is counted elsewhere (in the kernel), from 0 again after ``carry``."""
        self._totals[stage, reason] = self._carried[stage, reason] + events

    def carry(self, *stages: str) -> None:
        """Have what is ``put`` for these stages add to what they have: they are counted from 0 again."""
        self._carried.update(
            {key: n - self._carried[key] for key, n in self._totals.items() if key[0] in stages}
        )

    def total(self, stage: str, reason: str) -> int:
        """Return one total, 0 if never counted."""
        return self._totals[stage, reason]

    def lost(self) -> int:
        """Return the sum of all losses."""
        return sum(n for key, n in self._totals.items() if key not in NO_LOSS)

    def in_flight(self) -> int:
        """Return the events attempted that are neither delivered nor lost (yet)."""
        return self._totals[ATTEMPTED] - self._totals[SAMPLED] - self._totals[DELIVERED] - self.lost()

    def totals(self) -> tuple[Total, ...]:
        """Return all totals for the heartbeat, sorted."""
        return tuple(Total(stage, reason, events) for (stage, reason), events in sorted(self._totals.items()))
