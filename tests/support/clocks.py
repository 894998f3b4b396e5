# SPDX-License-Identifier: Apache-2.0
"""Clocks by construction: what each shows is known, and messages between them obey causality."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from consumer.latency.clock.line import Points

F64 = NDArray[np.float64]
Shows = Callable[[F64], F64]
"""(n,) true times, ns -> what the clock shows then."""

MICRO = 1e3
SECOND = 1e9


def straight(offset: float, slope: float) -> Shows:
    """A clock that is ahead by `offset` ns at time 0 and gains `slope` (1e-6 = 1 ppm)."""
    return lambda true: true + offset + slope * true


def wandering(offset: float, slope: float, rate: float, period: float) -> Shows:
    """The same, with a rate that swings by `rate` (dimensionless) over `period` ns."""
    turn = period / (2 * np.pi)
    return lambda true: true + offset + slope * true + rate * turn * np.sin(true / turn)


def stepping(clock: Shows, at: float, jump: float) -> Shows:
    """A clock that goes ahead by `jump` ns at once at the true time `at`."""
    return lambda true: clock(true) + np.where(true >= at, jump, 0.0)


def slewing(clock: Shows, begin: float, end: float, rate: float) -> Shows:
    """A clock whose rate is changed by `rate` between two true times."""
    return lambda true: clock(true) + rate * (np.clip(true, begin, end) - begin)


def decaying(clock: Shows, begin: float, offset: float, second: float) -> Shows:
    """A clock that is brought ahead by `offset` ns, each second by the share `second` of what is left."""

    def shows(true: F64) -> F64:
        spent = np.maximum(true - begin, 0) / SECOND
        left = (1 - second) ** np.floor(spent) * (1 - second * (spent % 1))
        shown: F64 = clock(true) + offset * (1 - left)
        return shown

    return shows


@dataclass
class Path:
    """Delays of one way: never less than `floor` ns, and more by chance."""

    floor: float = 30 * MICRO
    jitter: float = 10 * MICRO
    heavy: bool = False
    """Chance is log-normal instead of exponential."""
    tail: float = 0.0
    """Chance is Pareto's, of this index: at 1.1 ten messages may take a hundred times longer than most."""

    def delays(self, rng: np.random.Generator, size: int) -> F64:
        """Return (size,) ns."""
        if self.heavy:
            return self.floor + rng.lognormal(np.log(self.jitter), 1.0, size)
        if self.tail:
            return self.floor + self.jitter * rng.pareto(self.tail, size)
        return self.floor + rng.exponential(self.jitter, size)


@dataclass
class Talk:
    """Messages between two hosts within [0, seconds), as both saw them."""

    rng: np.random.Generator
    there: Path = field(default_factory=Path)
    back: Path = field(default_factory=Path)
    begin: float = -30.0
    end: float = 90.0
    """Seconds: a window of a minute, and half a minute before and after it."""

    def between(self, a: Shows, b: Shows, messages: int) -> tuple[Points, Points]:
        """Return upper and lower bounds of B's clock minus A's, from so many messages a minute each way."""
        size = round(messages * (self.end - self.begin) / 60)
        span = self.begin * SECOND, self.end * SECOND
        sent = np.sort(self.rng.uniform(*span, size))
        arrived = sent + self.there.delays(self.rng, size)
        sent_back = np.sort(self.rng.uniform(*span, size))
        arrived_back = sent_back + self.back.delays(self.rng, size)
        return (
            Points(a(sent), b(arrived) - a(sent)),
            _sorted(Points(a(arrived_back), b(sent_back) - a(arrived_back))),
        )


def _sorted(points: Points) -> Points:
    order = np.argsort(points.time, kind="stable")
    return Points(points.time[order], points.value[order])
