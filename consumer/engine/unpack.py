# SPDX-License-Identifier: Apache-2.0
"""The events of many batches at once: what ``schemas.batch.columns`` gives, in fewer and larger steps.

A small batch costs as many numpy calls as a large one, so sections of neighbouring small batches are unpacked
as if they were one. Where anything about one of them is unusual, each is unpacked by itself: whether a record
is refused, and why, never depends on its neighbours.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby

import numpy as np

from consumer.engine.records import Record
from consumer.latency.intervals import I64
from schemas import columns as codec
from schemas.batch import EventBatch, columns, decode
from schemas.columns import U64
from schemas.errors import RecordError
from schemas.event import STRUCTS, Kind
from schemas.field import Column, Packing
from schemas.section import Columns, Section, split

Tables = dict[Kind, Columns]
Head = EventBatch | RecordError
Body = Tables | RecordError
_LARGE = 2_048
"""Events from which on a batch is unpacked by itself."""
_TOGETHER = 256
"""Records decoded ahead at most, and so batches unpacked together."""


class _UnusualError(Exception):
    """Something that only unpacking each batch by itself can judge."""


def read(records: Sequence[Record]) -> Iterator[tuple[Record, Head, Body]]:
    """Yield each record with its batch, and the batch's columns, or the errors that stand in their places."""
    for start in range(0, len(records), _TOGETHER):
        block = records[start : start + _TOGETHER]
        heads = [_head(record.value) for record in block]
        bodies = iter(unpack([head for head in heads if isinstance(head, EventBatch)]))
        for record, head in zip(block, heads, strict=True):
            yield record, head, next(bodies) if isinstance(head, EventBatch) else head


def _head(value: bytes) -> Head:
    try:
        return decode(value)
    except RecordError as error:
        return error


def unpack(batches: Sequence[EventBatch]) -> list[Body]:
    """Return the columns of each batch, or the error that ``columns`` raises for it."""
    found: list[Body] = []
    for small, group in groupby(batches, key=lambda batch: batch.events < _LARGE):
        members = list(group)
        if small and len(members) > 1:
            found += _together(members)
        else:
            found += [_alone(batch) for batch in members]
    return found


def _alone(batch: EventBatch) -> Body:
    try:
        return columns(batch)
    except RecordError as error:
        return error


def _together(batches: list[EventBatch]) -> list[Body]:
    found: list[Body] = [{} for _ in batches]
    try:
        for kind in STRUCTS:
            sections = [batch.section(kind) for batch in batches]
            events = [section.events for section in sections]
            if not any(events):
                _share_nothing(found, kind)
                continue
            table = _table(kind, sections)
            _check_index(table["flow"], events, [len(batch.flows) for batch in batches])
            _check_index(table["process"], events, [len(batch.processes) for batch in batches])
            _share(found, kind, table, events)
    except _UnusualError:
        return [_alone(batch) for batch in batches]
    return found


def _share(found: list[Body], kind: Kind, table: Columns, events: list[int]) -> None:
    """Give each batch its part of the columns."""
    start = 0
    for tables, count in zip(found, events, strict=True):
        end = start + count
        assert isinstance(tables, dict)  # noqa: S101 - only whole groups get here
        tables[kind] = {name: column[start:end] for name, column in table.items()}
        start = end


def _share_nothing(found: list[Body], kind: Kind) -> None:
    """Give each batch columns without events, the same to all of them."""
    nothing = _none(kind)
    for tables in found:
        assert isinstance(tables, dict)  # noqa: S101 - only whole groups get here
        tables[kind] = nothing


@cache
def _none(kind: Kind) -> Columns:
    run_fields, event_fields = split(kind)
    return {field.name: np.zeros(0, dtype=np.uint64) for field in run_fields + event_fields}


def _check_index(index: U64, events: list[int], sizes: list[int]) -> None:
    if (index >= np.repeat(np.array(sizes, dtype=np.uint64), np.array(events, dtype=np.int64))).any():
        raise _UnusualError


def _table(kind: Kind, sections: list[Section]) -> Columns:
    run_fields, event_fields = split(kind)
    if any(section.events < 0 for section in sections):
        raise _UnusualError
    filled = [section for section in sections if section.events]
    differing = [field for field in event_fields if field.packing is not Packing.PLAIN]
    if not all(_shaped(section, len(run_fields), len(differing), len(event_fields)) for section in filled):
        raise _UnusualError
    events = np.array([section.events for section in filled], dtype=np.int64)
    runs = np.array([section.runs for section in filled], dtype=np.int64)
    lengths = _run_lengths([section.run_lengths for section in filled], runs, events)
    table: Columns = {}
    for at, field in enumerate(run_fields):
        values = _planes([section.run_columns[at] for section in filled], runs, field.bits)
        table[field.name] = np.repeat(values, lengths)
    for at, field in _plain_first(event_fields):
        buffers = [section.event_columns[at] for section in filled]
        if field.packing is Packing.PLAIN:
            table[field.name] = _planes(buffers, events, field.bits)
            continue
        nth = differing.index(field)
        first = _planes([section.first_values[nth] for section in filled], runs, field.bits)
        table[field.name] = _restored(field, table, lengths, first, _planes(buffers, events, 64))
    return table


def _plain_first(fields: list[Column]) -> list[tuple[int, Column]]:
    """Return (place, field), those first that others build on."""
    return sorted(enumerate(fields), key=lambda one: one[1].packing is not Packing.PLAIN)


def _shaped(section: Section, run_fields: int, differing: int, event_fields: int) -> bool:
    return (
        0 < section.runs <= section.events
        and len(section.run_columns) >= run_fields
        and len(section.first_values) >= differing
        and len(section.event_columns) >= event_fields
    )


def _run_lengths(buffers: list[bytes], runs: I64, events: I64) -> I64:
    lengths = _planes(buffers, runs, 32).astype(np.int64)
    if int(lengths.min()) < 1 or (np.add.reduceat(lengths, np.cumsum(runs) - runs) != events).any():
        raise _UnusualError
    return lengths


def _restored(field: Column, table: Columns, lengths: I64, first: U64, steps: U64) -> U64:
    """Undo the differences within runs; runs of all batches lie one behind the other."""
    starts = np.cumsum(lengths) - lengths
    values = codec.accumulate(steps, starts, lengths, first)
    if field.packing is Packing.CONTINUE:
        before = np.cumsum(table["length"], dtype=np.uint64) - table["length"]
        values += before - np.repeat(before[starts], lengths)
    if int(values.max()) >> field.bits:
        raise _UnusualError
    return values


def _planes(buffers: list[bytes], counts: I64, bits: int) -> U64:
    """Return the values of packed columns of ``counts`` values each, one behind the other."""
    sizes = np.array([len(buffer) for buffer in buffers], dtype=np.int64)
    if not sizes.all():
        raise _UnusualError
    widths = np.array([buffer[0] for buffer in buffers], dtype=np.int64)
    if int(widths.max()) > codec.MAX_WIDTH or (sizes != 1 + widths * counts).any():
        raise _UnusualError
    zeros = int(sizes.sum())
    flat = np.frombuffer(b"".join(buffers) + bytes(int(counts.max())), dtype=np.uint8)
    first, begin = np.cumsum(counts) - counts, np.cumsum(sizes) - sizes + 1
    values = np.zeros((int(counts.sum()), codec.MAX_WIDTH), dtype=np.uint8)
    event = np.arange(values.shape[0])
    for plane in range(int(widths.max())):
        # A column without this plane reads zeros from behind the last one.
        source = np.where(widths > plane, begin + plane * counts, zeros) - first
        values[:, plane] = flat[np.repeat(source, counts) + event]
    whole: U64 = values.view("<u8").reshape(-1)
    if int(whole.max()) >> bits:
        raise _UnusualError
    return whole
