# SPDX-License-Identifier: Apache-2.0
"""Figures as people read them, alike in every command of both programs. Pure."""

_TIMES = ((10**3, "us"), (10**6, "ms"), (10**9, "s"))
_THOUSAND, _TEN = 1000, 10


def duration(nanoseconds: int) -> str:
    """Return 850ns, 38us, 1.9ms, 3.4s: two digits or three, as the error of a bucket is 1 %."""
    size = abs(nanoseconds)
    if size < _THOUSAND:
        return f"{nanoseconds}ns"
    sign = "-" if nanoseconds < 0 else ""
    value, unit = next(
        (size / scale, unit) for scale, unit in _TIMES if round(size / scale) < _THOUSAND or unit == "s"
    )
    return f"{sign}{value:.{1 if round(value, 1) < _TEN else 0}f}{unit}"


def percent(share: float) -> str:
    """Return a share in percent, never 100 % where anything is missing."""
    return "100 %" if share >= 1 else f"{min(100 * share, 99.99):.4g} %"
