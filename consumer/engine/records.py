# SPDX-License-Identifier: Apache-2.0
"""What goes into an engine and what comes out of it."""

from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa


class Record(NamedTuple):
    """One Kafka record of the engine's partition."""

    kafka_offset: int
    timestamp_ms: int
    """The broker's (LogAppendTime)."""
    value: bytes


class Poison(NamedTuple):
    """A record that cannot be read; it changed nothing but a count."""

    kafka_offset: int
    reason: str
    """A RecordError's word."""
    message: str
    value: bytes


@dataclass
class Output:
    """Rows to store and records to set aside."""

    rows: dict[str, pa.Table] = field(default_factory=dict)
    """Kind -> the columns of ``schemas.tables.KINDS[kind]`` and ``hour_index`` (int64, hours since the epoch,
    UTC).

    Only kinds with rows are present. String columns may be dictionary-encoded.
    """
    poison: list[Poison] = field(default_factory=list)


def combine(outputs: list[dict[str, pa.Table]]) -> dict[str, pa.Table]:
    """Return the rows of several ticks, in order."""
    if len(outputs) == 1:
        return outputs[0]
    kinds = dict.fromkeys(kind for rows in outputs for kind in rows)
    return {kind: pa.concat_tables([rows[kind] for rows in outputs if kind in rows]) for kind in kinds}
