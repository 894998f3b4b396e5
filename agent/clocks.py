# SPDX-License-Identifier: Apache-2.0
"""Reads this host's clocks against one another, so that the consumer can tell a slewed clock from a slow one.

Events are stamped with CLOCK_MONOTONIC, which NTP speeds up and slows down; CLOCK_MONOTONIC_RAW is the
crystal alone. A reading takes the first between two looks at the second, ten times, and keeps the tightest;
on the same occasion CLOCK_REALTIME, and what the kernel was told of its error (adjtimex(2): chrony, ntpd and
systemd-timesyncd keep it up to date).
"""

import ctypes
import time
from typing import NamedTuple

from agent.loop import system_clock

TRIES = 10
_UNSYNC = 0x0040
_MICRO = 1000
_CLOCK_RAW, _CLOCK_MONOTONIC = time.CLOCK_MONOTONIC_RAW, time.CLOCK_MONOTONIC


class Reading(NamedTuple):
    """All of one moment, ns."""

    monotonic_ns: int
    raw_offset_ns: int
    """CLOCK_MONOTONIC_RAW minus CLOCK_MONOTONIC, right within `width_ns` / 2."""
    width_ns: int
    """Between the two looks at CLOCK_MONOTONIC_RAW."""
    realtime_offset_ns: int
    """CLOCK_REALTIME minus CLOCK_MONOTONIC."""
    error_ns: int | None
    """Most that CLOCK_REALTIME is off, as who disciplines it says; None: nobody does, or nobody says."""


def read() -> Reading:
    """Return a reading of now; about 10 us."""
    raw, now, width = min((_sandwich() for _ in range(TRIES)), key=lambda one: one[2])
    return Reading(now, raw - now, width, system_clock().realtime_offset_ns, kernel_error_ns())


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
