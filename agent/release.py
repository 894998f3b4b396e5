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

EventArray = NDArray[Any]
"""(n,) structured array of ``agent.decode.EVENT_DTYPE``."""


class ReorderBuffer:
    """Holds events until their moment is complete. Pure but for what it holds."""

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
        emitted = pending["time_ns"] + pending["duration_ns"] * (pending["kind"] == _SEND)
        ready = emitted < complete_until_ns
        late = pending[~ready]
        self._held = [late] if late.size else []
        if late.size:
            pending, emitted = pending[ready], emitted[ready]
        return pending[np.argsort(emitted, kind="stable")]

    def drain(self) -> EventArray | None:
        """Return what is left in order of emission, for the last batches before the agent ends.

        None if nothing.
        """
        if not self._held:
            return None
        return self.release(self._held.pop(), np.iinfo(np.uint64).max)


_SEND = 1
