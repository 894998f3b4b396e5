# SPDX-License-Identifier: Apache-2.0
"""The agent's heartbeat on the compacted topic ``wirelag.control.v1`` (JSON, key = host), and its ledger.

Totals are cumulative since the agent's epoch, so a missed heartbeat loses nothing: the next one says it all.
"""

from typing import Annotated

import msgspec

from schemas.errors import RecordError

VERSION = 1
MAX_RECORD_BYTES = 256 * 1024


class Total(msgspec.Struct, frozen=True, forbid_unknown_fields=False):
    """Events that reached a point of the way, or left it, since the agent started."""

    stage: str
    """``kernel``, ``perf-buffer``, ``agent``, ``queue``, ``kafka``: where it was counted."""
    reason: str
    """``attempted`` (seen by a hook), ``delivered`` (to the next stage), else why the events were lost."""
    events: int
    """Cumulative number of events."""


class Heartbeat(msgspec.Struct, frozen=True, tag="heartbeat"):
    """What an agent says of itself every few seconds, after its delivery reports."""

    version: int
    host: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    boot: Annotated[str, msgspec.Meta(max_length=64)]
    epoch: int
    """Realtime nanoseconds at which the agent started."""
    sequence: int
    """0, 1, 2 … of this epoch."""
    sent_at_ns: int
    """CLOCK_REALTIME when written."""
    monotonic_ns: int
    """CLOCK_MONOTONIC at the same moment."""
    oldest_undelivered_ns: int
    """Age of the oldest event that Kafka has not acknowledged yet, 0 = none."""
    acknowledged: dict[int, int]
    """Shard -> last sequence that Kafka acknowledged with no hole before it."""
    totals: tuple[Total, ...]
    """The ledger."""
    agent: str = ""
    """Version of the agent."""
    final: bool = False
    """True: the agent says good-bye; nothing of this epoch comes after."""


def encode(heartbeat: Heartbeat) -> bytes:
    """Return the record's value."""
    return msgspec.json.encode(heartbeat)


def decode(value: bytes) -> Heartbeat:
    """Return the heartbeat in a record's value; raises RecordError only."""
    if len(value) > MAX_RECORD_BYTES:
        raise RecordError(
            "too-large", f"control record of {len(value)} bytes, allowed are {MAX_RECORD_BYTES}"
        )
    try:
        heartbeat = msgspec.json.decode(value, type=Heartbeat)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise RecordError("not-json", f"not a heartbeat: {error}") from error
    if heartbeat.version != VERSION:
        raise RecordError("version", f"heartbeat of version {heartbeat.version}, this reader takes {VERSION}")
    return heartbeat
