# SPDX-License-Identifier: Apache-2.0
"""Makes the agent's heartbeat from its ledger and what Kafka has acknowledged. Pure."""

from agent.delivery.outstanding import Outstanding
from agent.ledger import Ledger
from agent.pack import Clock, Identity
from schemas.control import VERSION, Heartbeat


def heartbeat(
    identity: Identity,
    sequence: int,
    clock: Clock,
    ledger: Ledger,
    outstanding: Outstanding,
    *,
    agent: str,
    final: bool,
) -> Heartbeat:
    """Return the heartbeat of this moment; write it after the delivery reports were taken."""
    oldest = outstanding.oldest_ns()
    return Heartbeat(
        version=VERSION,
        host=identity.host,
        boot=identity.boot,
        epoch=identity.epoch,
        sequence=sequence,
        sent_at_ns=clock.monotonic_ns + clock.realtime_offset_ns,
        monotonic_ns=clock.monotonic_ns,
        oldest_undelivered_ns=0 if oldest is None else max(0, clock.monotonic_ns - oldest),
        acknowledged=outstanding.acknowledged(),
        totals=ledger.totals(),
        agent=agent,
        final=final,
    )
