# SPDX-License-Identifier: Apache-2.0
"""The events of many batches at once: what ``schemas.batch.columns`` gives, in fewer and larger steps.

A small batch costs as many numpy calls as a large one, so sections of neighbouring batches are unpacked as if
they were one. Where anything about one of them is unusual, each is unpacked by itself: whether a record
is refused, and why, never depends on its neighbours.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby
from typing import NamedTuple

import numpy as np

from consumer.engine.planes import UnusualError, constant, planes, several, summed
from consumer.engine.records import Record
from consumer.latency.intervals import I64, Index
from schemas.batch import EventBatch, columns, decode
from schemas.columns import U64
from schemas.errors import RecordError
from schemas.event import STRUCTS, Kind
from schemas.field import Column, Packing
from schemas.section import MAX_EVENTS, Columns, Section, split

Tables = dict[Kind, Columns]
Head = EventBatch | RecordError
Body = Tables | RecordError
_TOGETHER = 256
"""Records decoded ahead at most, and so batches unpacked together."""
_EVENTS = 1 << 16
"""Batches are unpacked together up to about so many events, whose columns stay in the processor's cache."""


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
    before = np.cumsum([0, *(batch.events for batch in batches[:-1])]).tolist() if batches else []
    found: list[Body] = []
    for _, group in groupby(zip(batches, before, strict=True), key=lambda one: one[1] // _EVENTS):
        found += _together([batch for batch, _ in group])
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
            events = _counts(sections)
            if not any(events):
                _share_nothing(found, kind)
                continue
            table = _table(kind, sections)
            _check_index(table["flow"], events, [len(batch.flows) for batch in batches])
            _check_index(table["process"], events, [len(batch.processes) for batch in batches])
            _share(found, kind, table, events)
    except UnusualError:
        return [_alone(batch) for batch in batches]
    return found


def _counts(sections: list[Section]) -> list[int]:
    """Return the events of each section."""
    if any(not 0 <= one.runs <= one.events <= MAX_EVENTS for one in sections):
        raise UnusualError
    return [one.events for one in sections]


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
        raise UnusualError


class _Runs(NamedTuple):
    """The runs of all sections of a kind, (r,) each, and how many events each section has."""

    starts: Index
    lengths: I64
    events: I64


def _table(kind: Kind, sections: list[Section]) -> Columns:
    run_fields, event_fields = split(kind)
    filled = [section for section in sections if section.events]
    differing = [field for field in event_fields if field.packing is not Packing.PLAIN]
    if not all(_shaped(section, len(run_fields), len(differing), len(event_fields)) for section in filled):
        raise UnusualError
    cut, values = _of_runs(filled, run_fields, differing)
    table: Columns = {field.name: np.repeat(values[field.name], cut.lengths) for field in run_fields}
    for at, field in _plain_first(event_fields):
        buffers = [section.event_columns[at] for section in filled]
        if field.packing is Packing.PLAIN:
            table[field.name] = planes(buffers, cut.events, field.bits)
        else:
            table[field.name] = _restored(field, table, cut, values[field.name], buffers)
    return table


def _of_runs(
    filled: list[Section], fields: list[Column], differing: list[Column]
) -> tuple[_Runs, dict[str, U64]]:
    """Return the runs, and what there is one value a run of: some fields, and where others begin."""
    events = np.array([section.events for section in filled], dtype=np.int64)
    runs = np.array([section.runs for section in filled], dtype=np.int64)
    buffers = [
        [section.run_lengths for section in filled],
        *([section.run_columns[at] for section in filled] for at in range(len(fields))),
        *([section.first_values[at] for section in filled] for at in range(len(differing))),
    ]
    every = [*fields, *differing]
    found = several(buffers, runs, [32, *(field.bits for field in every)])
    lengths = found[0].view(np.int64)
    if int(lengths.min()) < 1 or (np.add.reduceat(lengths, np.cumsum(runs) - runs) != events).any():
        raise UnusualError
    cut = _Runs(np.cumsum(lengths) - lengths, lengths, events)
    return cut, {field.name: values for field, values in zip(every, found[1:], strict=True)}


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


def _restored(field: Column, table: Columns, runs: _Runs, first: U64, steps: list[bytes]) -> U64:
    """Undo the differences within runs; runs of all batches lie one behind the other."""
    if constant(steps) and field.packing is Packing.DELTA:
        return np.repeat(first, runs.lengths)
    before = table["length"] if field.packing is Packing.CONTINUE else None
    values = summed(planes(steps, runs.events, 64), runs.starts, first, before)
    if int(values.max()) >> field.bits:
        raise UnusualError
    return values
