# SPDX-License-Identifier: Apache-2.0
"""A record as an Arrow table, column by column: no Python object is made for an event.

The schema is the same for every record. Texts are dictionary columns; a field that a kind does not have is
null.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.batch import EventBatch
from wirelag.unpack import NUMBERS, Events, address, unpack

_TEXT = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [
        pa.field("kind", _TEXT),
        pa.field("host", _TEXT),
        pa.field("boot", _TEXT),
        pa.field("connection", pa.uint64()),
        pa.field("end", pa.uint8()),
        pa.field("role", pa.uint8()),
        pa.field("local_address", _TEXT),
        pa.field("local_port", pa.uint16()),
        pa.field("remote_address", _TEXT),
        pa.field("remote_port", pa.uint16()),
        pa.field("netns", pa.int64()),
        pa.field("pid", pa.uint32()),
        pa.field("process", _TEXT),
        pa.field("cgroup", pa.uint64()),
        pa.field("label", _TEXT),
        pa.field("time_ns", pa.int64()),
        pa.field("monotonic_ns", pa.int64()),
        pa.field("direction", pa.uint8()),
        pa.field("position", pa.uint64()),
        pa.field("length", pa.uint32()),
        pa.field("duration_ns", pa.uint64()),
        pa.field("srtt_us", pa.uint32()),
        pa.field("thread", pa.uint32()),
        pa.field("flags", pa.uint16()),
        pa.field("marks", pa.uint16()),
        pa.field("opener_pid", pa.uint32()),
        pa.field("opener", _TEXT),
        pa.field("error", pa.uint32()),
        pa.field("retransmits", pa.uint32()),
        pa.field("sent_bytes", pa.uint64()),
        pa.field("received_bytes", pa.uint64()),
        pa.field("unread_bytes", pa.uint64()),
        pa.field("retransmitted_bytes", pa.uint64()),
        pa.field("missing_sent", pa.uint64()),
        pa.field("missing_received", pa.uint64()),
        pa.field("sent_segments", pa.uint32()),
        pa.field("received_segments", pa.uint32()),
        pa.field("min_rtt_us", pa.uint32()),
        pa.field("audit", pa.uint8()),
    ]
)


def table(value: bytes) -> pa.Table:
    """Return the events of a record value, kind by kind, sends first; raises RecordError."""
    batch, kinds = unpack(value)
    return pa.concat_tables([_table(batch, events) for events in kinds]).unify_dictionaries().combine_chunks()


def _table(batch: EventBatch, events: Events) -> pa.Table:
    none = np.zeros(events.flow.size, dtype=np.int64)
    flows, processes = batch.flows, batch.processes
    openers = [batch.opener(flow) for flow in flows]
    texts: dict[str, tuple[Sequence[str | None], NDArray[np.int64]]] = {
        "kind": ([events.kind.name.lower()], none),
        "host": ([batch.host], none),
        "boot": ([batch.boot], none),
        "local_address": ([address(flow.local_address) for flow in flows], events.flow),
        "remote_address": ([address(flow.remote_address) for flow in flows], events.flow),
        "opener": ([opener.name if opener else None for opener in openers], events.flow),
        "process": ([process.name for process in processes], events.process),
        "label": ([process.label for process in processes], events.process),
    }
    columns: dict[str, Any] = {name: _text(*found) for name, found in texts.items()}
    for name in ("connection", "end", "role", "local_port", "remote_port", "netns", "marks"):
        columns[name] = _picked([getattr(flow, name) for flow in flows], events.flow, name)
    for name in ("pid", "cgroup"):
        columns[name] = _picked([getattr(process, name) for process in processes], events.process, name)
    columns["opener_pid"] = _picked(
        [opener.pid if opener else None for opener in openers], events.flow, "opener_pid"
    )
    columns |= {"time_ns": events.time_ns, "monotonic_ns": events.monotonic_ns}
    for name in ("direction", *NUMBERS):
        found = events.direction if name == "direction" else events.numbers.get(name)
        columns[name] = pa.nulls(none.size, SCHEMA.field(name).type) if found is None else found
    return pa.table({name: _typed(columns[name], name) for name in SCHEMA.names}, schema=SCHEMA)


def _text(values: Sequence[str | None], indices: NDArray[np.int64]) -> pa.Array:
    """Return a dictionary column; values that occur twice are named once."""
    known = dict.fromkeys(text for text in values if text is not None)
    distinct: dict[str | None, int] = {text: number for number, text in enumerate(known)}
    numbers = np.array([distinct.get(text, -1) for text in values], dtype=np.int32)
    picked = numbers[indices] if indices.size else np.zeros(0, dtype=np.int32)
    return pa.DictionaryArray.from_arrays(
        pa.array(picked, mask=picked < 0), pa.array(list(known), pa.string())
    )


def _picked(values: Sequence[int | None], indices: NDArray[np.int64], name: str) -> pa.Array:
    return pa.array(values, SCHEMA.field(name).type).take(pa.array(indices))


def _typed(column: Any, name: str) -> Any:  # noqa: ANN401 - numpy or Arrow
    return pa.array(column).cast(SCHEMA.field(name).type) if isinstance(column, np.ndarray) else column
