# SPDX-License-Identifier: Apache-2.0
"""From CLOCK_MONOTONIC to CLOCK_MONOTONIC_RAW of one host, by its readings of both. Pure.

NTP slews CLOCK_MONOTONIC, and changes how fast it does, at moments of its own: to the solver that would be
another clock each time. CLOCK_MONOTONIC_RAW is the crystal alone, which wanders slowly.
"""

from typing import NamedTuple

import numpy as np

from consumer.latency.intervals import I64


class Readings(NamedTuple):
    """(n,) readings of one boot of one host in the order of time, ns each, n >= 1."""

    monotonic: I64
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
