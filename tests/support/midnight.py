# SPDX-License-Identifier: Apache-2.0
"""For tests of what is counted by the UTC day: they have to be over before it is."""

import time

from common.units import DAY_NS, MINUTE_NS

ENOUGH_NS = 4 * MINUTE_NS


def wait_for_a_day() -> None:
    """Return at once, but in the last four minutes of the day, which are slept through."""
    left = DAY_NS - time.time_ns() % DAY_NS
    if left < ENOUGH_NS:
        time.sleep(left / 1e9)
