# SPDX-License-Identifier: Apache-2.0
"""All events of one kind in a batch: cut into runs (same flow, same process), then columns.

The list of columns comes from the kind's Struct in ``event.py``; nothing here names a field but ``length``,
which the packing ``continue`` builds on. ``pack`` and ``unpack`` are inverse to one another up to MAX_EVENTS.
"""

from collections.abc import Mapping
from functools import cache
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas import columns as codec
from schemas.columns import U64
from schemas.errors import RecordError
from schemas.event import STRUCTS, Kind
from schemas.field import Column, Packing, columns_of

MAX_EVENTS = 65_536
MAX_COLUMNS = 64
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_EVENTS)]
Buffers = Annotated[tuple[bytes, ...], msgspec.Meta(max_length=MAX_COLUMNS)]
Columns = dict[str, U64]
"""Field name -> (n,) uint64, n alike for all; the fields are those of the kind's Struct."""


class Section(msgspec.Struct, frozen=True, array_like=True):
    """The packed events of one kind; every ``bytes`` is a packed column (columns.py)."""

    events: Count
    """Number of events."""
    runs: Count
    """Number of runs: neighbours that share flow and process."""
    run_lengths: bytes = b""
    """Events in each run."""
    run_columns: Buffers = ()
    """The fields packed ``run``, one value a run, in the Struct's order."""
    first_values: Buffers = ()
    """For each field packed ``delta`` or ``continue``: the value of the first event of each run."""
    event_columns: Buffers = ()
    """All other fields, one value an event, in the Struct's order."""


EMPTY = Section(0, 0)


@cache
def split(kind: Kind) -> tuple[list[Column], list[Column]]:
    """Return the kind's fields as (stored once a run, stored for each event)."""
    described = columns_of(STRUCTS[kind])
    runs = [column for column in described if column.packing is Packing.RUN]
    return runs, [column for column in described if column.packing is not Packing.RUN]


def pack(kind: Kind, table: Mapping[str, U64]) -> Section:
    """Pack the columns of one kind; neighbours of one flow and process form a run, so sort before."""
    run_fields, event_fields = split(kind)
    events = table[event_fields[0].name].size
    if not events:
        return EMPTY
    if events > MAX_EVENTS:
        raise RecordError("limits", f"{kind.name.lower()}: {events} events, allowed are {MAX_EVENTS}")
    starts = _run_starts([table[column.name] for column in run_fields])
    firsts: list[bytes] = []
    packed: list[bytes] = []
    for column in event_fields:
        values = table[column.name].astype(np.uint64, copy=False)
        if column.packing is Packing.PLAIN:
            packed.append(codec.pack_plain(values))
            continue
        firsts.append(codec.pack_plain(values[starts]))
        lengths = table["length"] if column.packing is Packing.CONTINUE else None
        packed.append(codec.pack_plain(codec.differences(values, starts, lengths)))
    return Section(
        events=events,
        runs=starts.size,
        run_lengths=codec.pack_plain((np.append(starts[1:], events) - starts).view(np.uint64)),
        run_columns=tuple(codec.pack_plain(table[c.name][starts].astype(np.uint64)) for c in run_fields),
        first_values=tuple(firsts),
        event_columns=tuple(packed),
    )


def unpack(kind: Kind, section: Section) -> Columns:
    """Return the columns of one kind, each (events,) uint64, or raise RecordError."""
    run_fields, event_fields = split(kind)
    _check(kind, section, len(run_fields), event_fields)
    if not section.events:
        return {column.name: np.zeros(0, dtype=np.uint64) for column in run_fields + event_fields}
    counts = _run_lengths(kind, section)
    starts = np.cumsum(counts) - counts
    table: Columns = {}
    for column, buffer in zip(run_fields, section.run_columns, strict=False):
        values = codec.unpack_plain(buffer, section.runs, column.bits, column.name)
        table[column.name] = np.repeat(values, counts)
    differing = [column for column in event_fields if column.packing is not Packing.PLAIN]
    first = {c.name: buffer for c, buffer in zip(differing, section.first_values, strict=False)}
    buffers = {c.name: buffer for c, buffer in zip(event_fields, section.event_columns, strict=False)}
    # "continue" builds on the lengths, so plain columns come first.
    for column in sorted(event_fields, key=lambda column: column.packing is not Packing.PLAIN):
        if column.packing is Packing.PLAIN:
            table[column.name] = codec.unpack_plain(
                buffers[column.name], section.events, column.bits, column.name
            )
            continue
        begin = codec.unpack_plain(first[column.name], section.runs, column.bits, column.name)
        steps = codec.unpack_plain(buffers[column.name], section.events, 64, column.name)
        values = codec.accumulate(steps, starts, counts, begin)
        if column.packing is Packing.CONTINUE:
            values += _before(table["length"], starts, counts)
        codec.check_bits(values, column.bits, column.name)
        table[column.name] = values
    return table


def _run_starts(keys: list[U64]) -> NDArray[np.intp]:
    change = np.zeros(keys[0].size, dtype=bool)
    change[0] = True
    for key in keys:
        change[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(change)


def _before(lengths: U64, starts: NDArray[np.intp], counts: NDArray[np.int64]) -> U64:
    """Return, for each event, the sum of the lengths before it in its run (modulo 2^64)."""
    total = np.cumsum(lengths, dtype=np.uint64) - lengths
    return total - np.repeat(total[starts], counts)


def _check(kind: Kind, section: Section, run_fields: int, event_fields: list[Column]) -> None:
    name = kind.name.lower()
    if not 0 <= section.events <= MAX_EVENTS or not 0 <= section.runs <= section.events:
        found = f"{section.events} events in {section.runs} runs"
        raise RecordError("limits", f"{name}: {found}, allowed are runs <= events <= {MAX_EVENTS}")
    if not section.events:
        return
    differing = sum(column.packing is not Packing.PLAIN for column in event_fields)
    columns = (len(section.run_columns), len(section.first_values), len(section.event_columns))
    wanted = (run_fields, differing, len(event_fields))
    if any(have < need for have, need in zip(columns, wanted, strict=True)):
        message = f"{name}: (run, first, event) columns are {columns}, at least {wanted} are needed"
        raise RecordError("column", message)


def _run_lengths(kind: Kind, section: Section) -> NDArray[np.int64]:
    counts = codec.unpack_plain(section.run_lengths, section.runs, 32, "run_lengths").astype(np.int64)
    total = int(counts.sum())
    if section.runs == 0 or int(counts.min()) < 1 or total != section.events:
        found = f"{section.runs} run lengths add up to {total}"
        raise RecordError("limits", f"{kind.name.lower()}: {found}, the section has {section.events} events")
    return counts
