# SPDX-License-Identifier: Apache-2.0
"""Readings of clocks that heartbeats brought, until a tick makes rows of them.

A heartbeat brings again what its agent does not know to be in Kafka, so of each run only what is later than
all before is taken. Numbers are those that an agent gave, cut to the columns' limits: what is made of them is
for the solver to doubt (consumer/rollup/inputs.py).
"""

from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from consumer.engine.arrow import Place, table
from consumer.engine.ledger import clip
from schemas.control import Heartbeat
from schemas.control import Reading as Told


class Reading(msgspec.Struct, frozen=True, array_like=True):
    """One row without its place in the lake."""

    host: str
    boot: str
    epoch: int
    at_ns: int
    monotonic_ns: int
    raw_offset_ns: int
    width_ns: int
    realtime_offset_ns: int
    error_ns: int | None


def news(beat: Heartbeat, after_ns: int) -> list[Reading]:
    """Return the readings of a heartbeat that are later than ``after_ns`` and than those before them."""
    found = []
    for one in beat.readings:
        if one.monotonic_ns > after_ns:
            after_ns = one.monotonic_ns
            found.append(_row(beat, one))
    return found


def _row(beat: Heartbeat, one: Told) -> Reading:
    return Reading(
        host=beat.host,
        boot=beat.boot,
        epoch=clip(beat.epoch),
        at_ns=clip(one.monotonic_ns + one.realtime_offset_ns),
        monotonic_ns=clip(one.monotonic_ns),
        raw_offset_ns=clip(one.raw_offset_ns),
        width_ns=clip(one.width_ns),
        realtime_offset_ns=clip(one.realtime_offset_ns),
        error_ns=None if one.error_ns < 0 else clip(one.error_ns),
    )


def rows(place: Place, readings: list[Reading]) -> pa.Table:
    """Return a row for each of at least one reading."""
    columns: dict[str, Any] = {
        name: [getattr(one, name) for one in readings] for name in Reading.__struct_fields__
    }
    return table("reading", place, np.array(columns["at_ns"], dtype=np.int64), columns)
