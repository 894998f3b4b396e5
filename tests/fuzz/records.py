# SPDX-License-Identifier: Apache-2.0
"""Targets: what comes from Kafka. A value within its limits, or RecordError.

A record that is taken can be written again, can be shown, and means the same beside any other record.
"""

import msgspec
import numpy as np

import wirelag
from consumer.engine import Record, unpack
from fuzz.target import Target, golden
from schemas import batch as codec
from schemas import control, example, order
from schemas.batch import EventBatch
from schemas.errors import RecordError
from schemas.event import STRUCTS, Kind
from schemas.field import columns_of
from schemas.section import Columns
from wirelag.lines import lines

GOOD = codec.encode(example.batch())
FEW = 512
"""Events of which rows are made: they cost a Python object each."""
REASONS = {"too-large", "not-msgpack", "not-json", "version", "limits", "column"}


def known(error: RecordError) -> None:
    """Hold that a refusal has one of the words that counters show."""
    assert error.reason in REASONS


def batch(data: bytes) -> None:
    """Take an event batch down to its columns, write it again, and show it."""
    try:
        found = codec.decode(data)
        again = codec.decode(codec.encode(found))
        assert again == found
        tables = codec.columns(found)
    except RecordError as error:
        known(error)
        return
    check(found, tables)
    if found.events <= FEW:
        assert len(wirelag.decode(data)) == found.events
        assert wirelag.decode(data, "arrow").num_rows == found.events


def check(head: EventBatch, tables: dict[Kind, Columns]) -> None:
    """Hold the columns of a batch to what is written of them."""
    events = 0
    for kind, table in tables.items():
        sizes = {column.size for column in table.values()}
        assert sizes == {head.section(kind).events}
        events += sizes.pop()
        for column in columns_of(STRUCTS[kind]):
            values = table[column.name]
            assert values.dtype == np.uint64
            assert not (column.bits < 64 and values.size and int(values.max()) >> column.bits)
    assert events == head.events


def beside(data: bytes) -> None:
    """Read a record between two others as the consumer does: it is judged as if it were alone."""
    values = [GOOD, data, GOOD]
    records = [Record(number, 0, value) for number, value in enumerate(values)]
    found = list(unpack.read(records))
    assert [record for record, _, _ in found] == records
    for value, (_, head, body) in zip(values, found, strict=True):
        alone = _alone(value)
        if isinstance(alone, RecordError):
            assert isinstance(body, RecordError)
            assert (body.reason, str(body)) == (alone.reason, str(alone))
            continue
        assert isinstance(head, EventBatch)
        assert isinstance(body, dict)
        assert body.keys() == alone.keys()
        for kind, table in alone.items():
            assert table.keys() == body[kind].keys()
            assert all(np.array_equal(table[name], body[kind][name]) for name in table)


def _alone(value: bytes) -> dict[Kind, Columns] | RecordError:
    try:
        return codec.columns(codec.decode(value))
    except RecordError as error:
        return error


def heartbeat(data: bytes) -> None:
    """Take a heartbeat, and write it again."""
    try:
        found = control.decode(data)
    except RecordError as error:
        known(error)
        return
    assert control.decode(control.encode(found)) == found
    assert all(0 <= total.events < 2**63 for total in found.totals)


def orders(data: bytes) -> None:
    """Take an order, write it again, and ask whom it concerns."""
    try:
        found = order.decode(data)
    except RecordError as error:
        known(error)
        return
    assert order.decode(order.encode(found)) == found
    found.concerns("shop-1.example.org")
    order.newest([found], "shop-1", 0)
    found.key()


def shown(data: bytes) -> None:
    """Show a record of any topic, as `wirelag cat` does, and encode what is shown."""
    for headers in ({}, {"reason": "limits", "kafka_offset": "1"}):
        for line in lines(data, headers):
            msgspec.json.encode(line)
    for line in lines(data, {}, heads=True):
        msgspec.json.encode(line)


def _batches() -> list[bytes]:
    return [GOOD, *golden("events-*.bin")]


def _texts() -> list[bytes]:
    return [*golden("heartbeat-*.json"), *golden("order-*.json")]


TARGETS = [
    Target("batch", batch, _batches, 3_000),
    Target("beside", beside, _batches, 500),
    Target("heartbeat", heartbeat, _texts, 20_000),
    Target("order", orders, _texts, 20_000),
    Target("shown", shown, lambda: [*_batches(), *_texts()], 3_000),
]
