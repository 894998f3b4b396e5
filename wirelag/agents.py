# SPDX-License-Identifier: Apache-2.0
"""Agents as their heartbeats tell of them: who is there, who has carried out an order. Pure."""

from typing import Any

from schemas import control
from schemas.control import Heartbeat
from schemas.errors import RecordError
from schemas.order import Order

FULL = 65_536


class Agents:
    """The newest heartbeat of each agent run; one that said good-bye is gone."""

    def __init__(self) -> None:
        self._beats: dict[tuple[str, int], Heartbeat] = {}

    def learn(self, value: bytes | None) -> None:
        """Take a record of the heartbeats' partition; what is none is passed over."""
        try:
            beat = control.decode(value or b"")
        except RecordError:
            return
        key = (beat.host, beat.epoch)
        known = self._beats.get(key)
        if known is None or beat.sequence > known.sequence:
            self._beats[key] = beat

    def there(self, order: Order | None = None) -> list[Heartbeat]:
        """Return the agents that run, or those of them whom an order concerns, by host."""
        found = [beat for beat in self._beats.values() if not beat.final]
        found = [beat for beat in found if order is None or order.concerns(beat.host)]
        return sorted(found, key=lambda beat: (beat.host, beat.epoch))

    def answered(self, order: Order) -> bool:
        """Say whether all whom an order concerns have carried it out; not so where there are none."""
        meant = self.there(order)
        return bool(meant) and all(beat.order >= order.number for beat in meant)


def line(beat: Heartbeat, order: Order | None = None) -> str:
    """Return what a person reads of one agent."""
    if order is not None and beat.order < order.number:
        return f"{beat.host}  no answer, was {beat.state}"
    why = f": {beat.why}" if beat.why else ""
    return f"{beat.host}  {beat.state}{why}{kept(beat)}"


def kept(beat: Heartbeat) -> str:
    """Return which share is kept, nothing where that is all."""
    if (beat.connection_rate, beat.block_rate) == (FULL, FULL):
        return ""
    return f" ({beat.connection_rate / FULL:.2%} of connections, {beat.block_rate / FULL:.2%} of blocks kept)"


def share_kept(connection_rate: int, block_rate: int) -> float:
    """Return which share of all events about is kept: those of a kept connection or of a kept block."""
    return 1 - (1 - connection_rate / FULL) * (1 - block_rate / FULL)


def row(beat: Heartbeat) -> dict[str, Any]:
    """Return the same for programs."""
    names = (
        "host",
        "epoch",
        "state",
        "why",
        "order",
        "connection_rate",
        "block_rate",
        "rate_changes",
        "agent",
        *("config", "kernel", "backend", "spool_records", "spool_bytes", "spool_oldest_ns"),
    )
    return {"kind": "agent", **{name: getattr(beat, name) for name in names}}
