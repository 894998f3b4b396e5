# SPDX-License-Identifier: Apache-2.0
"""Puts the events of all CPUs and hooks into one order, complete up to a moment.

Each CPU and hook fills a buffer of its own, so events reach the agent out of order by up to one flush. An
event is released once every buffer has been flushed past the moment it was emitted; within one flow events
therefore leave the host in the order in which the kernel emitted them, which is what the consumer's arrival
matching builds on.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.event import Kind

EventArray = NDArray[Any]
"""(n,) structured array of ``agent.decode.EVENT_DTYPE``."""


class ReorderBuffer:
    """Holds events until their moment is complete."""

    def __init__(self) -> None:
        self._held: list[EventArray] = []

    @property
    def held(self) -> int:
        """Number of events that wait."""
        return sum(part.size for part in self._held)

    def release(self, events: EventArray, complete_until_ns: int) -> EventArray:
        """Add (n,) events and return all that were emitted before ``complete_until_ns``, oldest first."""
        parts = [*self._held, events] if events.size else self._held
        if not parts:
            return events
        pending = parts[0] if len(parts) == 1 else np.concatenate(parts)
        moment = emitted_ns(pending)
        # Each CPU's and hook's events are in order already, so this is a merge of a few sorted runs.
        order = np.argsort(moment, kind="stable")
        ready = int(np.searchsorted(moment, complete_until_ns, sorter=order))
        self._held = [rows(pending, order[ready:])] if ready < order.size else []
        return rows(pending, order[:ready])


def rows(events: EventArray, index: NDArray[np.intp]) -> EventArray:
    """Return ``events[index]``, several times faster than numpy copies structured elements."""
    words = events.view(np.uint64).reshape(events.size, -1)
    return words.take(index, axis=0).reshape(-1).view(events.dtype)


def emitted_ns(events: EventArray) -> NDArray[np.uint64]:
    """Return when each of (n,) events left its hook: the end of its call."""
    moment: NDArray[np.uint64] = events["time_ns"] + events["duration_ns"] * (events["kind"] == Kind.SEND)
    return moment
