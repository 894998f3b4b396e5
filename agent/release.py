# SPDX-License-Identifier: Apache-2.0
"""Puts the events of all CPUs and hooks into one order, complete up to a moment.

Each CPU and hook fills a buffer of its own, so events reach the agent out of order by up to one flush. An
event is released once every buffer has been flushed past the moment it was emitted; within one flow events
therefore leave the host in the order in which the kernel emitted them, which is what the consumer's arrival
matching builds on.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.event import Kind

CLOSE_GRACE_NS = 10**9
"""A call that was in the kernel when its connection closed ends afterwards; the account waits for it."""
EventArray = NDArray[Any]
"""(n,) structured array of ``agent.decode.EVENT_DTYPE``."""


class Released(NamedTuple):
    """Events that are complete, without a copy: which of an array's, and in which order."""

    events: EventArray
    """(m,) as they came."""
    order: NDArray[np.intp]
    """(n,) indices of those released, oldest first."""


class ReorderBuffer:
    """Holds events until their moment is complete."""

    def __init__(self) -> None:
        self._held: EventArray | None = None

    @property
    def held(self) -> int:
        """Number of events that wait."""
        return 0 if self._held is None else self._held.size

    @property
    def oldest_ns(self) -> int | None:
        """CLOCK_MONOTONIC of the oldest event that waits, None where none does."""
        return None if self._held is None else int(self._held["time_ns"].min())

    def release(self, events: EventArray, complete_until_ns: int) -> Released:
        """Add (n,) events and release all that were emitted before ``complete_until_ns``."""
        pending = events if self._held is None else joined([self._held, events])
        moment = emitted_ns(pending)
        # Each CPU's and hook's events are in order already, so this is a merge of a few sorted runs.
        order = np.argsort(moment, kind="stable")
        ready = int(np.searchsorted(moment, complete_until_ns, sorter=order))
        self._held = rows(pending, order[ready:]) if ready < order.size else None
        return Released(pending, order[:ready])


def emitted_ns(events: EventArray) -> NDArray[np.uint64]:
    """Return when each of (n,) events left its hook: its call's end; of a close, with a grace."""
    kind = events["kind"]
    rare = bool((kind > Kind.ARRIVAL).any())
    ends_late = (kind == Kind.SEND) | (kind == Kind.CONNECT) if rare else kind == Kind.SEND
    moment: NDArray[np.uint64] = events["time_ns"] + events["duration_ns"] * ends_late
    if rare:
        moment += (kind == Kind.CLOSE) * np.uint64(CLOSE_GRACE_NS)
    return moment


def joined(parts: Sequence[EventArray]) -> EventArray:
    """Return the events of several arrays as one, several times faster than numpy copies structures."""
    return np.concatenate([part.view(np.uint64) for part in parts]).view(parts[0].dtype)


def rows(events: EventArray, index: NDArray[np.intp], out: EventArray | None = None) -> EventArray:
    """Return ``events[index]``, several times faster than numpy copies structured elements."""
    words = events.view(np.uint64).reshape(events.size, -1)
    if out is None:
        return words.take(index, axis=0).reshape(-1).view(events.dtype)
    words.take(index, axis=0, out=out.view(np.uint64).reshape(out.size, -1), mode="clip")
    return out
