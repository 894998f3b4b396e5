# SPDX-License-Identifier: Apache-2.0
"""How an agent run stands, as its heartbeats tell, and when that is worth a row.

A row is due with the first heartbeat, with one that tells of a change, and every ``EVERY_MS`` of the broker's
time otherwise: who was not heard of for three times as long is silent. At the end of a partition all is told.
"""

from typing import Any

import msgspec

from consumer.engine.arrow import broker_ns
from consumer.engine.ledger import clip
from schemas.control import Heartbeat

EVERY_MS = 10_000
_FIGURES = ("undelivered_ns", "spool_records", "spool_bytes", "spool_oldest_ns")
"""What changes all the time; all else is worth a row of its own."""


class Standing(msgspec.Struct, frozen=True, array_like=True):
    """What the kind ``agent`` has of one heartbeat."""

    agent_state: str
    why: str
    order_number: int
    connection_rate: int
    block_rate: int
    rate_changes: int
    agent_version: str
    config: str
    kernel: str
    backend: str
    undelivered_ns: int
    spool_records: int
    spool_bytes: int
    spool_oldest_ns: int
    final: bool

    def differs(self, other: "Standing") -> bool:
        """Say whether more than figures changed, or a spool filled or emptied."""
        names = (name for name in self.__struct_fields__ if name not in _FIGURES)
        return bool(self.spool_records) != bool(other.spool_records) or any(
            getattr(self, name) != getattr(other, name) for name in names
        )


def standing_of(beat: Heartbeat) -> Standing:
    """Return how an agent stands."""
    return Standing(
        agent_state=beat.state,
        why=beat.why,
        order_number=clip(beat.order),
        connection_rate=beat.connection_rate,
        block_rate=beat.block_rate,
        rate_changes=clip(beat.rate_changes),
        agent_version=beat.agent,
        config=beat.config,
        kernel=beat.kernel,
        backend=beat.backend,
        undelivered_ns=clip(beat.oldest_undelivered_ns),
        spool_records=clip(beat.spool_records),
        spool_bytes=clip(beat.spool_bytes),
        spool_oldest_ns=clip(beat.spool_oldest_ns),
        final=beat.final,
    )


class Heard(msgspec.Struct, array_like=True):
    """What was heard of one run, and what a row told of it last."""

    now: Standing
    at_ns: int
    """By the run's own clock."""
    heard_ms: int
    told: Standing | None = None
    told_ms: int = 0

    @property
    def due(self) -> bool:
        """Whether a row is to be given."""
        if self.told is None or self.now.differs(self.told):
            return True
        return self.heard_ms - self.told_ms >= EVERY_MS

    @property
    def untold(self) -> bool:
        """Whether it was heard since the last row."""
        return self.told is None or self.heard_ms > self.told_ms

    def row(self, key: tuple[str, str, int]) -> dict[str, Any]:
        """Return the row, which is given then."""
        self.told, self.told_ms = self.now, self.heard_ms
        host, boot, epoch = key
        who = {"host": host, "boot": boot, "epoch": epoch}
        when = {"at_ns": self.at_ns, "heard_ns": broker_ns(self.heard_ms)}
        return who | when | msgspec.structs.asdict(self.now)
