# SPDX-License-Identifier: Apache-2.0
"""When and how fast a spool is emptied. Pure but for the dice.

After a failure one record tries whether Kafka is back, later and later; then the rest follows after a random
while, at most ``spread`` long, so that a fleet does not begin at the same moment. From then on as many bytes
are allowed as came in, and ``per_second`` above that: the spool always gets emptier, at a bounded rate.
"""

import random
from collections.abc import Callable

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 30.0
BURST_SECONDS = 2.0
"""What was not used is saved up for so long."""


class Pace:
    """Told the time in seconds with each call."""

    def __init__(
        self, per_second: int, spread: float, dice: Callable[[float, float], float] = random.uniform
    ) -> None:
        self._per_second = per_second
        self._spread = spread
        self._dice = dice
        self._at = 0.0
        self._wait = FIRST_SECONDS
        self._allowed = 0.0
        self._now = 0.0
        self.probing = True
        """Kafka has taken nothing from the spool since the last failure."""

    def change(self, per_second: int, spread: float) -> None:
        """Go on at another rate."""
        self._per_second, self._spread = per_second, spread

    def start(self, now: float) -> None:
        """The spool held records when the agent started."""
        self._at = now + self._dice(0, self._spread)

    def failed(self, now: float) -> None:
        """Records were not taken."""
        self.probing = True
        self._allowed = 0.0
        self._at = now + self._wait * self._dice(0.5, 1.5)
        self._wait = min(LONGEST_SECONDS, 2 * self._wait)

    def arrived(self, now: float) -> None:
        """Kafka took a record from the spool."""
        self._wait = FIRST_SECONDS
        if self.probing:
            self.probing = False
            self._at = now + self._dice(0, self._spread)

    def is_open(self, now: float) -> bool:
        """Say whether records may be taken from the spool."""
        return now >= self._at

    def came(self, size: int) -> None:
        """So many bytes came into the spool: as many may go, or it would never get empty."""
        if not self.probing:
            self._allowed += size

    def may_go(self, now: float) -> bool:
        """Say whether another record may go now."""
        saved = BURST_SECONDS * self._per_second
        if self._allowed < saved:
            self._allowed = min(saved, self._allowed + (now - self._now) * self._per_second)
        self._now = now
        return self._allowed > 0

    def went(self, size: int) -> None:
        """So many bytes went to Kafka."""
        self._allowed -= size
