# SPDX-License-Identifier: Apache-2.0
"""At most one log line per interval about what may happen a million times. Counters count every one."""

import time
from collections.abc import Callable


class Throttle:
    """Says when to speak again, and how often it kept silent meanwhile.

    throttle = Throttle()
    if (silent := throttle.due("queue full")) is not None:
        log.warning("queue full", more=silent)
    """

    def __init__(self, interval: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = interval
        self._clock = clock
        self._last: dict[str, float] = {}
        self._silent: dict[str, int] = {}

    def due(self, subject: str) -> int | None:
        """None when `subject` was spoken of within the interval; else how often it was not spoken of since.

        Keep the subjects a fixed few: each one is remembered for good.
        """
        now = self._clock()
        if subject in self._last and now - self._last[subject] < self._interval:
            self._silent[subject] = self._silent.get(subject, 0) + 1
            return None
        self._last[subject] = now
        return self._silent.pop(subject, 0)
