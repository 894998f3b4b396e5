# SPDX-License-Identifier: Apache-2.0
"""Events whose connection the kernel has not told of yet: held, asked for again, then counted as lost.

Facts and events travel in different buffers, and facts can be lost with their record. Without a
connection's facts an event has no name and no shard, so it cannot be sent.
"""

from typing import NamedTuple

import numpy as np

from agent.directory import Directory, Resolved


class Outcome(NamedTuple):
    """What one cycle made of its events."""

    known: list[Resolved]
    """Oldest first."""
    ask: list[int]
    """Sockets whose facts the kernel should tell again."""
    lost: int
    """Events given up in this cycle."""


class Pending:
    """Holds unresolved events for at most ``patience`` cycles."""

    def __init__(self, directory: Directory, patience: int) -> None:
        self._directory = directory
        self._patience = patience
        self._held: list[tuple[int, Resolved]] = []

    @property
    def held(self) -> int:
        """Number of events that wait."""
        return sum(part.flow.size for _, part in self._held)

    @property
    def oldest_ns(self) -> int | None:
        """CLOCK_MONOTONIC of the oldest event that waits, None where none does."""
        return min((part.oldest_ns for _, part in self._held if part.order.size), default=None)

    def cycle(self, resolved: Resolved, now_ns: int) -> Outcome:
        """Split (n,) events into those with a flow and those to hold.

        What became known comes first, as it is older.
        """
        known: list[Resolved] = []
        held: list[tuple[int, Resolved]] = []
        lost = 0
        for age, part in self._held:
            again = self._directory.resolve(part.events, part.order, now_ns)
            known.append(again.select(np.flatnonzero(again.flow >= 0)))
            rest = again.select(np.flatnonzero(again.flow < 0))
            if rest.flow.size and age + 1 < self._patience:
                held.append((age + 1, rest))
            else:
                lost += rest.flow.size
        missing = resolved.flow < 0
        if missing.any():
            held.append((0, resolved.select(np.flatnonzero(missing))))
            resolved = resolved.select(np.flatnonzero(~missing))
        self._held = held
        known.append(resolved)
        socks = [part.events["sock"][part.order] for _, part in held]
        ask = np.unique(np.concatenate(socks)).tolist() if socks else []
        return Outcome([part for part in known if part.flow.size], ask, lost)

    def give_up(self) -> int:
        """Drop what is held, when the agent ends; returns how many events."""
        lost, self._held = self.held, []
        return lost
