# SPDX-License-Identifier: Apache-2.0
"""Makes the agent's heartbeat from its ledger and what Kafka has acknowledged. Pure."""

from msgspec import structs

from agent.delivery.outstanding import Outstanding
from agent.ledger import Ledger
from agent.pack import Clock, Identity
from agent.version import VERSION as AGENT
from schemas.control import VERSION, Heartbeat


def heartbeat(  # noqa: PLR0913 - what one tells
    identity: Identity,
    sequence: int,
    clock: Clock,
    ledger: Ledger,
    outstanding: Outstanding,
    *,
    held_ns: int | None = None,
    final: bool,
    agent: str = AGENT,
) -> Heartbeat:
    """Return the heartbeat of this moment; write it after the delivery reports were taken.

    ``held_ns`` is CLOCK_MONOTONIC of the oldest event that is not packed yet, None = none is.
    """
    oldest = min((one for one in (outstanding.oldest_ns(), held_ns) if one is not None), default=None)
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


def with_earlier(beat: Heartbeat, earlier_ns: int | None) -> Heartbeat:
    """Return the heartbeat with the age of what an earlier run left in the spool, where that is older.

    ``earlier_ns`` is realtime of its oldest event, None = nothing is left. Its age is by the wall clock: that
    run may have been of another boot.
    """
    if earlier_ns is None:
        return beat
    oldest = max(beat.oldest_undelivered_ns, beat.sent_at_ns - earlier_ns)
    return structs.replace(beat, oldest_undelivered_ns=oldest)
