# SPDX-License-Identifier: Apache-2.0
"""Durations and sizes as people write them: `10s`, `200ms`, `7d`; `64MiB`, `1MB`.

Both are plain numbers once parsed (seconds as float, bytes as int), remember nothing of how they were
written, and print in the largest unit that is exact, so that parsing what was printed gives the same value.
A number without a unit is refused, since nobody can tell which was meant; only `0` needs none. Case counts.
"""

import re
from decimal import Decimal
from typing import Self

MINUTE_NS = 60 * 10**9
HOUR_NS = 60 * MINUTE_NS
DAY_NS = 24 * HOUR_NS
_NUMBER_AND_UNIT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-zµ]*)")

_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": MINUTE_NS,
    "h": HOUR_NS,
    "d": DAY_NS,
}
_BYTES = {
    "B": 1,
    "kB": 10**3,
    "KiB": 2**10,
    "MB": 10**6,
    "MiB": 2**20,
    "GB": 10**9,
    "GiB": 2**30,
    "TB": 10**12,
    "TiB": 2**40,
}
_SHOWN = 40
_LARGEST = 2**63 - 1
"""Of the smallest units: 292 years, 8 EiB. What is larger is a slip of the hand."""


class UnitError(ValueError):
    """The text is no duration or no size. A ValueError, so that msgspec adds the setting's path to it."""


class Duration(float):
    """A length of time, in seconds. `Duration.parse("200ms") == 0.2`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `text` such as `1.5h`.

        Raises:
            UnitError: `text` is not a number followed by one of the units, finer than 1 ns or over 292 years.
        """
        return cls(_scaled(text, _NANOSECONDS, "duration", "200ms") / 10**9)

    @property
    def nanoseconds(self) -> int:
        """The whole number of nanoseconds nearest to it."""
        return round(Decimal(float.__repr__(self)) * 10**9)  # float arithmetic is not exact above 104 days

    def __str__(self) -> str:
        return _printed(self.nanoseconds, _NANOSECONDS, "s")

    def __repr__(self) -> str:
        return f"Duration({str(self)!r})"


class ByteSize(int):
    """A number of bytes. `ByteSize.parse("64MiB") == 67108864`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `text` such as `64MiB` (powers of 1024) or `1MB` (powers of 1000).

        Raises:
            UnitError: `text` is not a number followed by one of the units, no whole number of bytes, or
                2^63 of them or more.
        """
        return cls(_scaled(text, _BYTES, "size", "64MiB"))

    def __str__(self) -> str:
        return _printed(int(self), _BYTES, "B")

    def __repr__(self) -> str:
        return f"ByteSize({str(self)!r})"


def _scaled(text: str, units: dict[str, int], what: str, example: str) -> int:
    """The whole number of smallest units that `text` stands for."""
    allowed = f"a number and one of {', '.join(units)}, such as {example!r}"
    found = _NUMBER_AND_UNIT.fullmatch(text.strip())
    if not found:
        raise UnitError(f"found {_short(text)}, which is no {what}; allowed is {allowed}")
    number, unit = found.groups()
    if not unit and Decimal(number) == 0:
        return 0
    factor = units.get(unit.replace("µ", "u"))
    if factor is None:
        raise UnitError(f"found {_short(text)} {_why(unit)}; allowed is {allowed}")
    scaled = Decimal(number) * factor
    if scaled > _LARGEST:
        raise UnitError(f"found {_short(text)}, which is too large; allowed is {allowed}")
    if scaled != scaled.to_integral_value():
        raise UnitError(
            f"found {_short(text)}, which is finer than 1 {next(iter(units))}; allowed is {allowed}"
        )
    return int(scaled)


def _short(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def _why(unit: str) -> str:
    return f"with the unknown unit {unit!r}" if unit else "without a unit"


def _printed(amount: int, units: dict[str, int], zero: str) -> str:
    """`amount` in the largest unit that divides it."""
    if amount == 0:
        return f"0{zero}"
    name, factor = max(((n, f) for n, f in units.items() if amount % f == 0), key=lambda unit: unit[1])
    return f"{amount // factor}{name}"
