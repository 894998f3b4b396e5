# SPDX-License-Identifier: Apache-2.0
"""Reads this host's clocks against one another, so that the consumer can tell a slewed clock from a slow one.

Events are stamped with CLOCK_MONOTONIC, which NTP speeds up and slows down; CLOCK_MONOTONIC_RAW is the
crystal alone. A reading takes the first between two looks at the second, ten times, and keeps the tightest;
on the same occasion CLOCK_REALTIME, and what the kernel was told of its error (adjtimex(2): chrony, ntpd and
systemd-timesyncd keep it up to date).
"""

import ctypes
import time
from collections.abc import Callable

from agent.loop import system_clock
from schemas.control import MAX_READINGS, Reading

TRIES = 10
EVERY_SECONDS = 1.0
UNDISCIPLINED = -1
_UNSYNC = 0x0040
_MICRO = 1000
_CLOCK_RAW, _CLOCK_MONOTONIC = time.CLOCK_MONOTONIC_RAW, time.CLOCK_MONOTONIC


def read() -> Reading:
    """Return a reading of now; about 10 us."""
    raw, now, width = min((_sandwich() for _ in range(TRIES)), key=lambda one: one[2])
    error_ns = kernel_error_ns()
    return Reading(
        now,
        raw - now,
        width,
        system_clock().realtime_offset_ns,
        UNDISCIPLINED if error_ns is None else error_ns,
    )


class ReadingLog:
    """The readings that no heartbeat has brought to Kafka yet, about one a second.

    While Kafka is away they become rarer instead of more: when they are too many for one heartbeat every
    other one goes, and further ones come half as often. So they still tell of all the time.
    """

    def __init__(self, reader: Callable[[], Reading] = read) -> None:
        self._read = reader
        self._held: list[Reading] = []
        self._due = 0.0
        self._every = EVERY_SECONDS

    def look(self, now: float) -> None:
        """Take a reading if it is time; `now` is in seconds of CLOCK_MONOTONIC."""
        if now < self._due:
            return
        if len(self._held) >= MAX_READINGS:
            del self._held[1::2]
            self._every *= 2
        self._due = now + self._every
        self._held.append(self._read())

    def tell(self) -> tuple[Reading, ...]:
        """Return all that are held, in the order of time, for a heartbeat."""
        return tuple(self._held)

    def report(self, readings: tuple[Reading, ...]) -> Callable[[object, object], None]:
        """Return what Kafka's client is to call once it has, or with an error, the heartbeat they are in."""
        last = max((one.monotonic_ns for one in readings), default=0)

        def taken(error: object, _message: object) -> None:
            if error is None:
                self._held = [one for one in self._held if one.monotonic_ns > last]
                self._every = EVERY_SECONDS

        return taken


def _sandwich() -> tuple[int, int, int]:
    """Return CLOCK_MONOTONIC_RAW at about the moment of CLOCK_MONOTONIC, that, and the width of the looks."""
    before = time.clock_gettime_ns(_CLOCK_RAW)
    now = time.clock_gettime_ns(_CLOCK_MONOTONIC)
    after = time.clock_gettime_ns(_CLOCK_RAW)
    return (before + after) // 2, now, after - before


class _Timeval(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("part", ctypes.c_long))


class _Timex(ctypes.Structure):
    """`struct timex` of adjtimex(2), up to what is read here and room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time", _Timeval),
        ("rest", ctypes.c_long * 32),
    )


_LIBC = ctypes.CDLL(None, use_errno=True)


def kernel_error_ns() -> int | None:
    """Return the kernel's bound on the error of CLOCK_REALTIME, None where the clock is not disciplined."""
    state = adjtimex()
    if state is None or state.status & _UNSYNC:
        return None
    return int(state.maxerror) * _MICRO


def adjtimex() -> _Timex | None:
    """Return what the kernel knows of its time, changing nothing; None where it does not say."""
    state = _Timex()
    return None if _LIBC.adjtimex(ctypes.byref(state)) < 0 else state
