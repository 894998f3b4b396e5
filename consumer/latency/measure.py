# SPDX-License-Identifier: Apache-2.0
"""The figures of a match, in nanoseconds; what each one means is in docs/matching.md.

Where both stamps are of one clock the difference is taken on CLOCK_MONOTONIC, never through realtime, so a
step of the wall clock does not show; else it is the raw difference of realtime stamps, clock error and all.
"""

from typing import NamedTuple

import numpy as np

from consumer.latency.intervals import I64, Bools
from consumer.latency.match import Closed


class Measured(NamedTuple):
    """(n,) ns each, beside the matches of a tick; ``wire`` and ``wait`` mean nothing without an arrival."""

    sent_at: I64
    """Realtime of the send's start."""
    received_at: I64
    """Realtime of the read's end."""
    delivery: I64
    """Send started -> read ended."""
    wire: I64
    """Send started -> last byte arrived."""
    wait: I64
    """Last byte arrived -> read ended."""


def measure(closed: Closed, same_clock: Bools) -> Measured:
    """Return the figures of all matches; ``same_clock`` (n,) says which have both ends on one clock."""
    sends, receives = closed.sends, closed.receives
    sent_at, received_at = sends.time + sends.offset, receives.time + receives.offset
    delivery = receives.time - sends.time
    if not same_clock.all():
        delivery = np.where(same_clock, delivery, received_at - sent_at)
    wait = receives.time - closed.arrived
    return Measured(sent_at, received_at, delivery, delivery - wait, wait)
