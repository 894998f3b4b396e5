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

    known: Resolved
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

    def cycle(self, resolved: Resolved, now_ns: int) -> Outcome:
        """Split (n,) events into those with a flow and those to hold.

        Earlier ones that became known come first.
        """
        known: list[Resolved] = []
        held: list[tuple[int, Resolved]] = []
        lost = 0
        for age, part in self._held:
            again = self._directory.resolve(part.events, now_ns)
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
        ask = np.unique(np.concatenate([part.events["sock"] for _, part in held])).tolist() if held else []
        return Outcome(_joined(known), ask, lost)

    def give_up(self) -> int:
        """Drop what is held, when the agent ends; returns how many events."""
        lost, self._held = self.held, []
        return lost


def _joined(parts: list[Resolved]) -> Resolved:
    filled = [part for part in parts if part.flow.size] or parts[-1:]
    if len(filled) == 1:
        return filled[0]
    return Resolved(*(np.concatenate(arrays) for arrays in zip(*filled, strict=True)))
