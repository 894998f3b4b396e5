# SPDX-License-Identifier: Apache-2.0
"""From CLOCK_MONOTONIC to CLOCK_MONOTONIC_RAW of one host, by its readings of both. Pure.

NTP slews CLOCK_MONOTONIC, and changes how fast it does, at moments of its own: to the solver that would be
another clock each time. CLOCK_MONOTONIC_RAW is the crystal alone, which wanders slowly.
"""

from typing import NamedTuple

import numpy as np

from consumer.latency.clock.line import F64, STEEPEST
from consumer.latency.intervals import I64


class Readings(NamedTuple):
    """(n,) readings of one boot of one host in the order of time, ns each, n >= 1."""

    monotonic: I64
    """Rising."""
    raw_offset: I64
    """CLOCK_MONOTONIC_RAW minus CLOCK_MONOTONIC."""


def to_raw(monotonic: I64, readings: Readings) -> I64:
    """Return (q,) the CLOCK_MONOTONIC_RAW at (q,) times of CLOCK_MONOTONIC.

    Between readings a straight line; before the first and after the last one that of the nearest two.
    """
    known, offset = readings
    if known.size == 1:
        known, offset = np.array([known[0], known[0] + 1]), np.repeat(offset, 2)
    right = np.clip(np.searchsorted(known, monotonic), 1, known.size - 1)
    run = known[right] - known[right - 1]
    rise = offset[right] - offset[right - 1]
    # rise * since stays far below 2^53: a slew of 500 ppm over hours
    moved = rise * ((monotonic - known[right - 1]) / run)
    raw: I64 = monotonic + offset[right - 1] + np.rint(moved).astype(np.int64)
    return raw


def doubt(monotonic: I64, readings: Readings) -> F64:
    """Return (q,) how far `to_raw` may be off, ns, where a slew began or ended between two readings.

    Taken to run as it does beside them, the clock bends off the straight line by no more than the change of
    its rate times the time to the reading before, or behind. Beyond the readings nothing is known of it.
    """
    known, offset = readings
    beyond: F64 = STEEPEST * (np.maximum(known[0] - monotonic, 0) + np.maximum(monotonic - known[-1], 0))
    right = np.clip(np.searchsorted(known, monotonic), 1, max(known.size - 1, 1))
    if known.size == 1:
        return beyond
    since = np.maximum(monotonic - known[right - 1], 0)
    until = np.maximum(known[right] - monotonic, 0)
    if known.size == 2:  # noqa: PLR2004 - nothing beside them
        beyond += STEEPEST * np.minimum(since, until)
        return beyond
    bends = np.abs(np.diff(np.diff(offset) / np.diff(known)))
    before, behind = np.concatenate((bends[:1], bends)), np.concatenate((bends, bends[-1:]))
    within: F64 = np.maximum(before[right - 1] * since, behind[right - 1] * until)
    return np.where(beyond > 0, beyond, within)
