# SPDX-License-Identifier: Apache-2.0
"""What is said of rounds of roll-up, within a process and between a consumer and the one beside it."""

from dataclasses import dataclass

import msgspec


@dataclass
class Told:
    """What a round did."""

    hours: int = 0
    days: int = 0
    windows: int = 0
    """Windows of a minute in these hours."""
    messages: int = 0
    """Between hosts, with a corrected latency."""
    withheld: int = 0
    """Between hosts, without a bound."""
    rows: int = 0
    """Rows of facts that were gone through."""
    too_late: int = 0
    """Rows that came when others of their hour had been deleted by age."""
    overtaken: int = 0
    """Roll-ups that were given up, since another process was first."""
    conflicts: int = 0
    """Commits that another one came before, tried again."""
    settled_ns: int = 0
    """Up to when windows are settled."""
    seconds: float = 0.0


class Order(msgspec.Struct, frozen=True):
    """What to do."""

    uri: str
    storage_options: dict[str, str]
    behind_ns: int
    longest_ns: int
    every: float


class Said(msgspec.Struct, frozen=True):
    """What became of a round."""

    told: Told | None
    error: str = ""
