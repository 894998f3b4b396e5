# SPDX-License-Identifier: Apache-2.0
"""Counts between two ticks, by (host, boot, epoch, stage, reason): every one becomes a row that adds up."""

from collections.abc import Mapping

import msgspec

Key = tuple[str, str, int, str, str]
"""Host, boot, epoch, stage, reason."""
STAGE = "consumer"
_LIMIT = 2**63 - 1


class Count(msgspec.Struct, frozen=True, array_like=True):
    """One row of the ledger without its place in the lake."""

    host: str
    boot: str
    epoch: int
    stage: str
    reason: str
    at_ns: int
    events: int


class Ledger:
    """What happened to events since the last tick."""

    def __init__(self) -> None:
        self.counts: dict[Key, int] = {}

    def add(self, agent: tuple[str, str, int], reasons: Mapping[str, int]) -> None:
        """Add events by reason for an agent run (host, boot, epoch)."""
        for reason, events in reasons.items():
            if events:
                key = (*agent, STAGE, reason)
                self.counts[key] = self.counts.get(key, 0) + events

    def drain(self, at_ns: int) -> list[Count]:
        """Return the counts that are not zero, and start again at zero."""
        counts, self.counts = self.counts, {}
        return [counted(key, at_ns, events) for key, events in counts.items() if events]


def counted(key: Key, at_ns: int, events: int) -> Count:
    """Return a row; numbers that a lying agent made too large for a column are cut to its limit."""
    host, boot, epoch, stage, reason = key
    return Count(host, boot, clip(epoch), stage, reason, clip(at_ns), clip(events))


def clip(number: int) -> int:
    """Return the nearest signed 64-bit number."""
    return max(-_LIMIT, min(_LIMIT, number))
