# SPDX-License-Identifier: Apache-2.0
"""Counts between two ticks, by (host, boot, epoch, stage, reason): every one becomes a row that adds up.

What is counted of a batch is dated by when the agent packed it, as the agent's own counts are by its
heartbeats: so both belong to one time, however late a batch comes out of a spool.
"""

from collections.abc import Mapping

import msgspec

from common.units import MINUTE_NS

Key = tuple[str, str, int, str, str]
"""Host, boot, epoch, stage, reason."""
STAGE = "consumer"
EARLIEST_NS = 7 * 24 * 60 * MINUTE_NS
AHEAD_NS = 5 * MINUTE_NS
"""What clocks may differ by, and the time that a heartbeat or batch takes."""
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
        self.counts: dict[tuple[Key, int | None], tuple[int, int]] = {}
        """(Key, minute told of, None: the tick's) -> (events, latest moment told of in it)."""

    def add(self, agent: tuple[str, str, int], reasons: Mapping[str, int], at_ns: int | None = None) -> None:
        """Add events by reason for an agent run (host, boot, epoch); ``at_ns``: when they were packed."""
        minute = None if at_ns is None else at_ns // MINUTE_NS
        for reason, events in reasons.items():
            if events:
                key = ((*agent, STAGE, reason), minute)
                before, latest = self.counts.get(key, (0, 0))
                self.counts[key] = before + events, max(latest, at_ns or 0)

    def drain(self, at_ns: int) -> list[Count]:
        """Return the counts that are not zero, and start again at zero; ``at_ns`` is the tick's time."""
        counts, self.counts = self.counts, {}
        return [
            counted(key, at_ns if minute is None else latest, events)
            for (key, minute), (events, latest) in counts.items()
            if events
        ]


def told_ns(host_ns: int, broker_ns: int) -> int:
    """Return when something happened that a host dates, the broker's time where that cannot be.

    A host is believed that it was earlier, up to a week, as a spool may have kept it; not that it will be.
    """
    believed = broker_ns - EARLIEST_NS <= host_ns <= broker_ns + AHEAD_NS
    return host_ns if believed else broker_ns


def counted(key: Key, at_ns: int, events: int) -> Count:
    """Return a row; numbers that a lying agent made too large for a column are cut to its limit."""
    host, boot, epoch, stage, reason = key
    return Count(host, boot, clip(epoch), stage, reason, clip(at_ns), clip(events))


def clip(number: int) -> int:
    """Return the nearest signed 64-bit number."""
    return max(-_LIMIT, min(_LIMIT, number))
