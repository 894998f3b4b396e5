# SPDX-License-Identifier: Apache-2.0
"""The agent's heartbeat on the compacted topic ``wirelag.control.v1`` (JSON, key = host), and its ledger.

Totals are cumulative since the agent's epoch, so a missed heartbeat loses nothing: the next one says it all.
``decode`` returns numbers that fit 64 signed bits, or raises RecordError.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from schemas import text_record
from schemas.batch import FULL_RATE, Rate

VERSION = 1
MAX_TOTALS = 1024
MAX_LEFT = 256
MAX_READINGS = 256

Natural = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Nanoseconds = Annotated[int, Meta(ge=0, le=2**63 - 1, extra={"unit": "ns"})]
Shard = Annotated[int, Meta(ge=0, le=65_535)]
Name = Annotated[str, Meta(max_length=64)]


class Total(msgspec.Struct, frozen=True):
    """Events that reached a point of the way, or left it, since the agent started."""

    stage: Name
    """``kernel``, ``perf-buffer``, ``agent``, ``queue``, ``spool``, ``kafka``: where it was counted."""
    reason: Name
    """``attempted`` (seen by a hook), ``delivered`` (to the next stage), else why the events were lost."""
    events: Natural
    """Cumulative number of events."""


class Left(msgspec.Struct, frozen=True):
    """Events that an earlier run of the host had left in the spool, and that this run lost."""

    boot: Annotated[str, Meta(max_length=64)]
    """Boot id of that run."""
    epoch: Nanoseconds
    """Epoch of that run."""
    reason: Name
    """Why they were lost."""
    events: Natural
    """Cumulative number of events, since this run started."""


class Reading(msgspec.Struct, frozen=True, array_like=True):
    """The host's clocks against one another at one moment, as an array in this order."""

    monotonic_ns: Nanoseconds
    """CLOCK_MONOTONIC."""
    raw_offset_ns: Whole
    """CLOCK_MONOTONIC_RAW minus CLOCK_MONOTONIC, right within half of the width."""
    width_ns: Nanoseconds
    """Between the two looks at CLOCK_MONOTONIC_RAW that the one at CLOCK_MONOTONIC lies between."""
    realtime_offset_ns: Whole
    """CLOCK_REALTIME minus CLOCK_MONOTONIC."""
    error_ns: Whole = -1
    """Most that CLOCK_REALTIME is off, as who disciplines it says; negative = nobody does, or nobody says."""


class Heartbeat(msgspec.Struct, frozen=True, tag="heartbeat"):
    """What an agent says of itself every few seconds, after its delivery reports."""

    version: int
    """Schema version."""
    host: Annotated[str, Meta(min_length=1, max_length=255)]
    """Name of the agent's host."""
    boot: Annotated[str, Meta(max_length=64)]
    """The kernel's boot id; two hosts with one boot id share one clock."""
    epoch: Nanoseconds
    """Realtime nanoseconds at which the agent started."""
    sequence: Natural
    """0, 1, 2 … of this epoch."""
    sent_at_ns: Nanoseconds
    """CLOCK_REALTIME when written."""
    monotonic_ns: Nanoseconds
    """CLOCK_MONOTONIC at the same moment."""
    oldest_undelivered_ns: Nanoseconds
    """Age of the oldest event that Kafka has not acknowledged yet, 0 = none."""
    acknowledged: Annotated[dict[Shard, Whole], Meta(max_length=65_536)]
    """Shard -> last sequence that Kafka acknowledged with no hole before it."""
    totals: Annotated[tuple[Total, ...], Meta(max_length=MAX_TOTALS)]
    """The ledger."""
    agent: Name = ""
    """Version of the agent."""
    final: bool = False
    """True: the agent says good-bye; of this epoch only what waits in a spool may come after."""
    connection_rate: Rate = FULL_RATE
    """Of 65,536 connections, how many have all their events kept now."""
    block_rate: Rate = FULL_RATE
    """Of 65,536 blocks of a stream, how many have their events kept now."""
    rate_changes: Natural = 0
    """How often the rates changed since the agent started."""
    state: Name = "tracing"
    """``tracing``, or ``stopped`` with nothing attached to the kernel."""
    why: Annotated[str, Meta(max_length=256)] = ""
    """What stopped it or thins its events: an order, a file, a limit."""
    order: Natural = 0
    """Number of the newest order this agent has carried out, 0 = none (order.py)."""
    config: Name = ""
    """Names the settings in force, without secrets, host name and user: who tells the same has the same."""
    kernel: Annotated[str, Meta(max_length=128)] = ""
    """Release of the kernel."""
    backend: Name = ""
    """How it is attached to the kernel: some of ``raw``, ``fentry``, ``kprobe``, with commas."""
    spool_records: Natural = 0
    """Records that wait on the disk."""
    spool_bytes: Natural = 0
    """What the spool takes of the disk."""
    spool_oldest_ns: Nanoseconds = 0
    """Age of the oldest event in the spool, 0 = it is empty."""
    left: Annotated[tuple[Left, ...], Meta(max_length=MAX_LEFT)] = ()
    """What this run lost of earlier runs' records."""
    readings: Annotated[tuple[Reading, ...], Meta(max_length=MAX_READINGS)] = ()
    """Of the host's clocks, about one a second, those that no heartbeat brought to Kafka before."""


def encode(heartbeat: Heartbeat) -> bytes:
    """Return the record's value."""
    return msgspec.json.encode(heartbeat)


def decode(value: bytes) -> Heartbeat:
    """Return the heartbeat in a record's value; raises RecordError only."""
    return text_record.read(value, Heartbeat, "a heartbeat", VERSION)
