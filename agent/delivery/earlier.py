# SPDX-License-Identifier: Apache-2.0
"""What became of records that earlier runs of the agent left in the spool. Pure."""

from collections import Counter

from agent.spool.record import Run

DELIVERED = "delivered"


class Earlier:
    """Counts events, under this run for its log, and what was lost under the run that packed it."""

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        """By what became of them: ``delivered``, or why they were lost."""
        self.lost_of: Counter[tuple[Run, str]] = Counter()

    def delivered(self, events: int) -> None:
        """Kafka has them."""
        self.events[DELIVERED] += events

    def lost(self, run: Run, reason: str, events: int) -> None:
        """They are gone; told with the name of their run."""
        self.events[reason] += events
        self.lost_of[run, reason] += events
