# SPDX-License-Identifier: Apache-2.0
"""How many bytes may go now, so that a day's worth lasts the day. What was spent survives a restart.

The allowance grows evenly from midnight (UTC) on, an hour's worth of it is there in advance, and what was
not spent is saved until midnight. At any moment what there is may be spent within ten minutes. So a burst may
take six times the even pace at first, less and less as it lasts, and the rest of the day keeps what is still
to grow.
"""

import os
from pathlib import Path

import msgspec

DAY_SECONDS = 86_400
AHEAD_SECONDS = 3_600
OVER_SECONDS = 600
SAVE_EVERY_SECONDS = 10.0


class Spent(msgspec.Struct):
    """What is kept in the file."""

    day: int
    """Since 1970, UTC."""
    bytes: int


class DayBudget:
    """Bytes of the UTC day; every time is of CLOCK_REALTIME, in seconds."""

    def __init__(self, limit: int, spent: Spent, delivered: int = 0) -> None:
        self._limit = limit
        self._delivered = delivered
        self.spent = spent

    def take(self, delivered: int, now: float) -> None:
        """Count what was delivered since the last time; ``delivered`` is a total that only grows."""
        today = int(now // DAY_SECONDS)
        if today != self.spent.day:
            self.spent = Spent(today, 0)
        self.spent.bytes += max(0, delivered - self._delivered)
        self._delivered = delivered

    def allowed(self, now: float) -> float | None:
        """Return bytes a second that may go now, None = any number, at most 0 where the day's are spent."""
        if not self._limit:
            return None
        grown = min(1.0, (now % DAY_SECONDS + AHEAD_SECONDS) / DAY_SECONDS)
        if self.spent.bytes >= self._limit:
            return 0.0
        return max((grown * self._limit - self.spent.bytes) / OVER_SECONDS, 1.0)


class SpentFile:
    """Keeps ``Spent``; losing it costs a day's exactness, never the tracing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._next = 0.0

    def load(self, now: float) -> Spent:
        """Return what was spent of today, as far as that is known."""
        today = int(now // DAY_SECONDS)
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=Spent)
        except (OSError, msgspec.MsgspecError):
            return Spent(today, 0)
        return found if found.day == today and found.bytes >= 0 else Spent(today, 0)

    def save(self, spent: Spent, now: float, *, at_once: bool = False) -> None:
        """Write it, every ten seconds at most; a file is whole or the one before.

        Raises:
            OSError: the folder cannot be written.
        """
        if now < self._next and not at_once:
            return
        self._next = now + SAVE_EVERY_SECONDS
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self._path.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(spent))
        new.replace(self._path)
