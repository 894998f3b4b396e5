# SPDX-License-Identifier: Apache-2.0
"""What an engine is told and what can go wrong with its snapshot."""

from typing import Annotated

import msgspec

from common.errors import RuntimeFailure

Positive = Annotated[int, msgspec.Meta(gt=0)]


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """Part of the answer: engines that differ here give different rows, so a partition keeps its settings."""

    tick_ms: Positive = 5_000
    """Broker time between ticks."""
    horizon_ms: Positive = 60_000
    """Broker time an event waits for its other end, and a flow is remembered without events."""
    window_ns: Positive = 60_000_000_000
    """Length of a histogram's window."""
    max_open_events: Positive = 4_000_000
    """Events that wait from tick to tick; beyond it the oldest are evicted and counted."""
    max_tick_events: Positive = 1_000_000
    """Events collected at most before a tick is made, whatever the broker's time says."""


class SnapshotError(RuntimeFailure):
    """A snapshot is damaged, or of another version or partition. An older one may still be good."""
