# SPDX-License-Identifier: Apache-2.0
"""Which share of the events to keep, so that the agent stays within its limits. Pure: readings in, share out.

A reading a second. Over a limit the share is cut at once to what should give 85 % of it, by at most 16 times;
it grows again, by at most 4 times, only where what it would then cost is known to fit. Between the two lies a
band in which nothing changes. After a cut it grows only once there is half as much to see, or a minute has
passed. For one state a greater load never gives a greater share.
"""

from collections import deque
from enum import Enum
from typing import NamedTuple

from schemas.batch import FULL_RATE

FLOOR = 1 / 4096
AIM = 0.85
"""Of a limit: what a cut aims at, and what growth may come to."""
LEAST_GROWTH, MOST_GROWTH = 1.25, 4.0
MOST_CUT = 16.0
NEARLY_ALL = 0.9
"""A share that would grow past this becomes 1."""
WINDOW, LATEST = 10, 3
"""Readings: over the first a load has to last, over the latest it has to be there still."""
CLIPPED = 3.0
"""Times a limit: more than this in a second counts as this, so that a burst has to last to matter."""
HOLD = 60
"""Readings after a cut until the share may grow though the load has not halved."""
COST_OF_EVENT = 20e-6
"""Seconds of CPU that a kept event costs at most: what remains of a load is not the events' doing."""
HOPELESS, PATIENCE = 2.0, 30
"""Times the CPU limit at the floor, and readings of it: more, and the agent has to let go."""


class Limits(NamedTuple):
    """0 = none."""

    cpu: float = 0.0
    """Cores."""
    events: float = 0.0
    """Kept a second."""


class Reading(NamedTuple):
    """Totals at a moment; each only grows while the agent is attached."""

    seconds: float
    cpu_seconds: float
    """Of the process and of the BPF programs."""
    attempts: int
    kept: int
    bytes: int
    """Delivered."""


class Rate(NamedTuple):
    """What moved in one second."""

    cpu: float
    attempts: float
    kept: float
    bytes: float


class Share(NamedTuple):
    """What to keep: 1 = all, with no sampling at all."""

    share: float
    why: str
    """The limit that thins, empty where nothing does."""

    @property
    def rates(self) -> tuple[int, int]:
        """Of connections and of blocks, of 65,536 each."""
        return rates_of(self.share)


class LetGo(Enum):
    """The one other answer: thinning does not help, detach."""

    DETACH = "detach"


def rates_of(share: float) -> tuple[int, int]:
    """Return (connection_rate, block_rate) that together keep about ``share`` of the events.

    An event is kept by its connection or by its block, which are independent: with both rates r that is
    1 - (1 - r)^2, about half the share each where it is small. Both, since turns need whole connections and
    latencies need many connections; neither is worth more than the other here.
    """
    if share >= 1:
        return (FULL_RATE, FULL_RATE)
    rate = min(FULL_RATE - 1, max(0, round(FULL_RATE * (1 - (1 - share) ** 0.5))))
    return (max(1, rate), max(1, rate)) if share > 0 else (0, 0)


class _Pressure(NamedTuple):
    """One limit against what was seen of it."""

    name: str
    lasting: float
    latest: float
    limit: float
    scaling: float
    """Of the latest: what would grow with the share, at most."""

    @property
    def over(self) -> bool:
        return self.lasting > self.limit and self.latest > self.limit

    @property
    def cut(self) -> float:
        """By what the share has to be multiplied."""
        return min(1.0, max(1 / MOST_CUT, AIM * self.limit / self.latest)) if self.over else 1.0

    @property
    def growth(self) -> float:
        """By what the share may be multiplied."""
        room = AIM * self.limit - max(self.latest, self.lasting)
        if room <= 0:
            return 1.0
        return min(MOST_GROWTH, 1 + room / self.scaling) if self.scaling > 0 else MOST_GROWTH


class Governor:
    """Decides once a reading."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._share = 1.0
        self._why = ""
        self._cut_at = 0.0
        """Attempts a second at the last cut."""
        self.attach()

    def under(self, limits: Limits) -> "Governor":
        """Return one that goes on from this share under other limits, with nothing seen yet."""
        other = Governor(limits)
        other._share, other._why = self._share, self._why
        return other

    @property
    def share(self) -> Share:
        """What to keep now."""
        return Share(self._share, self._why)

    def attach(self, share: float | None = None) -> None:
        """Begin anew: the agent has attached, which cost CPU of its own and set the totals back."""
        self._before: Reading | None = None
        self._seen: deque[Rate] = deque(maxlen=WINDOW)
        self._new = True
        self._held = 0
        self._hopeless = 0
        if share is not None:
            self._share = share

    def step(self, now: Reading, bytes_allowed: float | None = None) -> Share | LetGo:
        """Take a reading; ``bytes_allowed`` a second, None = any number."""
        before, self._before = self._before, now
        if before is None or now.seconds <= before.seconds:
            return self.share
        self._seen.append(_rate(before, now))
        self._held = max(0, self._held - 1)
        if bytes_allowed is not None and bytes_allowed <= 0:
            return self._change(0.0, "max-bytes-per-day: spent")
        if self._share == 0.0:
            return self._change(FLOOR, "max-bytes-per-day")
        pressures = self._pressures(bytes_allowed)
        if self._let_go(pressures):
            return LetGo.DETACH
        if len(self._seen) >= (WINDOW if self._new else LATEST) and pressures:
            self._decide(pressures)
        return self.share

    def _decide(self, pressures: list[_Pressure]) -> None:
        worst = min(pressures, key=lambda one: (one.cut, one.growth))
        attempts = _mean(list(self._seen)[-LATEST:]).attempts
        if worst.cut < 1:
            self._held, self._cut_at = HOLD, attempts
            self._change(max(FLOOR, self._share * worst.cut), worst.name)
        elif (
            self._share < 1
            and worst.growth >= LEAST_GROWTH
            and (not self._held or attempts < self._cut_at / 2)
        ):
            grown = self._share * worst.growth
            self._change(1.0 if grown >= NEARLY_ALL else grown, self._why)

    def _pressures(self, bytes_allowed: float | None) -> list[_Pressure]:
        seen = list(self._seen)
        latest = _mean(seen[-LATEST:])
        found = []
        for name, limit, scaling in (
            ("max-cpu-percent", self._limits.cpu, min(latest.cpu, latest.kept * COST_OF_EVENT)),
            ("max-events-per-second", self._limits.events, latest.kept),
            ("max-bytes-per-day", bytes_allowed or 0.0, latest.bytes),
        ):
            if limit:
                field = _FIELDS[name]
                lasting = sum(min(getattr(one, field), CLIPPED * limit) for one in seen) / len(seen)
                found.append(_Pressure(name, lasting, getattr(latest, field), limit, scaling))
        return found

    def _let_go(self, pressures: list[_Pressure]) -> bool:
        """Count how long the CPU limit was missed by far with nearly nothing kept."""
        far = any(one.name == "max-cpu-percent" and one.latest > HOPELESS * one.limit for one in pressures)
        self._hopeless = self._hopeless + 1 if far and self._share <= FLOOR else 0
        return self._hopeless >= PATIENCE

    def _change(self, share: float, why: str) -> Share:
        if share != self._share:
            self._share = share
            self._seen.clear()
            self._before = None  # what is under way is still of the old share
            self._new = False
        self._why = why if share < 1 else ""
        return self.share


_FIELDS = {"max-cpu-percent": "cpu", "max-events-per-second": "kept", "max-bytes-per-day": "bytes"}


def _rate(before: Reading, now: Reading) -> Rate:
    seconds = now.seconds - before.seconds
    moved = (max(0.0, new - old) for old, new in zip(before[1:], now[1:], strict=True))
    return Rate(*(one / seconds for one in moved))


def _mean(rates: list[Rate]) -> Rate:
    return Rate(*(sum(column) / len(rates) for column in zip(*rates, strict=True)))
