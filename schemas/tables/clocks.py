# SPDX-License-Identifier: Apache-2.0
"""Columns of what clocks are solved from, and of what came out."""

import pyarrow as pa

from schemas.tables.origin import ORIGIN

READING = pa.schema(
    [
        *ORIGIN,
        pa.field("host", pa.string()),
        pa.field("boot", pa.string()),
        pa.field("epoch", pa.int64()),
        pa.field("at_ns", pa.int64()),
        pa.field("monotonic_ns", pa.int64()),
        pa.field("raw_offset_ns", pa.int64()),
        pa.field("width_ns", pa.int64()),
        pa.field("realtime_offset_ns", pa.int64()),
        pa.field("error_ns", pa.int64()),
    ]
)
"""One host's clocks against one another at one moment; ``at_ns`` is its CLOCK_REALTIME.

Offsets are CLOCK_MONOTONIC_RAW (right within ``width_ns`` / 2) and CLOCK_REALTIME minus CLOCK_MONOTONIC;
``error_ns`` is the most that CLOCK_REALTIME is off as who disciplines it says, null = nobody does.
"""

CLOCK = pa.schema(
    [
        *ORIGIN,
        pa.field("at_ns", pa.int64()),
        pa.field("sender_host", pa.string()),
        pa.field("sender_boot", pa.string()),
        pa.field("receiver_host", pa.string()),
        pa.field("receiver_boot", pa.string()),
        pa.field("sent_times", pa.list_(pa.int64())),
        pa.field("arrived_times", pa.list_(pa.int64())),
    ]
)
"""The tightest messages from one host to another of a tick and a minute of the sender's CLOCK_REALTIME, of
each 250 ms one: CLOCK_MONOTONIC of either.

``at_ns`` is the sender's CLOCK_REALTIME of the first. A message never arrives before it was sent: that is all
that is known of how far the clocks are apart.
"""

CLOCK_SOLUTION = pa.schema(
    [
        pa.field("window_start_ns", pa.int64()),
        pa.field("window_ns", pa.int64()),
        pa.field("first_host", pa.string()),
        pa.field("first_boot", pa.string()),
        pa.field("second_host", pa.string()),
        pa.field("second_boot", pa.string()),
        pa.field("status", pa.string()),
        pa.field("messages_there", pa.int64()),
        pa.field("messages_back", pa.int64()),
        pa.field("times", pa.list_(pa.int64())),
        pa.field("low_offsets", pa.list_(pa.int64())),
        pa.field("offsets", pa.list_(pa.int64())),
        pa.field("high_offsets", pa.list_(pa.int64())),
        pa.field("skew_ppb", pa.int64()),
        pa.field("steps", pa.int64()),
        pa.field("largest_step_ns", pa.int64()),
    ]
)
"""How far the clock of the second host is ahead of the first's in one window, ns on CLOCK_MONOTONIC.

At ``times`` of the first host's clock the truth is within the low and the high offset, ``offsets`` is the
likeliest; between two of them it is on the straight line, within the looser of both bounds. An item is null
where nothing is known then. ``status`` is bounded, unsynced (no traffic both ways) or infeasible (messages
contradict one another). ``skew_ppb`` is how much faster the second's crystal runs; ``steps`` how often the
clocks changed against one another within the window (in steps or in rate), ``largest_step_ns`` by how much.
"""
