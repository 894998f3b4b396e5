# SPDX-License-Identifier: Apache-2.0
"""Each delivery between two guests: what wirelag makes of it, and what it truly was."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from common.units import MINUTE_NS
from consumer.rollup.solve import Solved, solve_window
from support.consumer import read_kind
from support.true_clocks import F64, I64, Difference
from support.two_hosts import Story

WINDOW_NS = AROUND_NS = MINUTE_NS
Bool = NDArray[np.bool_]


class Deliveries(NamedTuple):
    """(n,) of each; times in ns."""

    there: Bool
    """From the first host to the second; else back."""
    end: I64
    """The stream position behind the message."""
    sent: I64
    """CLOCK_MONOTONIC of the sender, as the lake has it."""
    received: I64
    """Likewise of the receiver."""
    first: I64
    """When its end on the first host was, by that host's CLOCK_MONOTONIC."""
    window: I64
    true: F64
    unsure: F64
    """How far ``true`` may be off."""
    latency: I64
    """As corrected."""
    bound: I64
    """-1: not known."""

    def where(self, chosen: Bool) -> "Deliveries":
        """Return some of them."""
        return Deliveries._make(column[chosen] for column in self)

    @property
    def off(self) -> F64:
        """(n,) how far each corrected latency is certainly off."""
        return np.maximum(np.abs(self.latency - self.true) - self.unsure, 0)


def read(story: Story, since: int = 0) -> Deliveries:
    """Return the deliveries in the story's lake, each window solved from its clocks and readings.

    Args:
        story: what happened.
        since: only of messages from this CLOCK_MONOTONIC of the first host on, which also solve alone.
    """
    matches, clock, reading = (read_kind(story.lake, kind) for kind in ("match", "clock", "reading"))
    difference = Difference(story.looks)
    there = np.asarray(pc.equal(matches["sender_boot"], story.said[0].boot))
    sent, received = (np.asarray(matches[f"{name}_monotonic_ns"]) for name in ("sent", "received"))
    true, unsure = _true(difference, there, sent, received)
    window = np.asarray(matches["sent_at_ns"]) // WINDOW_NS
    kept = np.where(there, sent, received) >= since
    if since:
        clock = clock.filter(pa.array(_since(story, difference, clock, since)))
    latency, bound = np.zeros(there.size, np.int64), np.full(there.size, -1)
    for number in np.unique(window[kept]):
        rows = kept & (window == number)
        some = matches.filter(pa.array(rows))
        solved = _solve(int(number), clock, reading)
        latency[rows], bound[rows] = solved.correct(
            some["sender_boot"], some["receiver_boot"], sent[rows], received[rows]
        )
    end, first = np.asarray(matches["end"]), np.where(there, sent, received)
    found = Deliveries(there, end, sent, received, first, window, true, unsure, latency, bound)
    return found.where(kept)


def _true(difference: Difference, there: Bool, sent: I64, received: I64) -> tuple[F64, F64]:
    far, unsure = difference.on_first(np.where(there, received, sent))
    near = difference.since(np.where(there, sent, received))
    return np.where(there, far - near, near - far), unsure


def _since(story: Story, difference: Difference, clock: pa.Table, since: int) -> list[bool]:
    """Say of each row whether all its messages are of then or later."""
    behind = next(look.there - look.before for look in story.looks if look.before >= since)
    own = story.said[0].boot
    return [
        row["sent_times"][0] >= (since if row["sender_boot"] == own else since + behind)
        for row in clock.select(["sender_boot", "sent_times"]).to_pylist()
    ]


def _solve(number: int, clock: pa.Table, reading: pa.Table) -> Solved:
    begin = number * WINDOW_NS
    near = [
        rows.filter(
            pc.and_(
                pc.greater_equal(rows["at_ns"], begin - AROUND_NS),
                pc.less(rows["at_ns"], begin + WINDOW_NS + AROUND_NS),
            )
        )
        for rows in (clock, reading)
    ]
    return solve_window(begin, WINDOW_NS, *near)
