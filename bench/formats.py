# SPDX-License-Identifier: Apache-2.0
"""The same events in several formats, compressed: each function takes columns by kind and returns bytes.

All carry the same columns, connections and processes as indices; heads and dictionaries, which would be the
same bytes for all, are left out. A rival as it comes has its rows in the order of time and its own zstd.
Tuned it also gets our order of runs and the best of several encodings. zstd has level 3, as in Kafka clients.
"""

import io
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from schemas.event import Kind
from schemas.section import Columns, pack

LEVEL = 3
Tables = dict[Kind, Columns]
_TYPES = {
    "flow": "u2",
    "process": "u2",
    "time_ns": "i8",
    "position": "i8",
    "length": "u4",
    "duration_ns": "i8",
    "srtt_us": "u4",
    "thread": "u4",
    "flags": "u2",
}
_PARQUET = {
    "compression": "zstd",
    "compression_level": LEVEL,
    "write_statistics": False,
    "store_schema": False,
}


def squeezed(value: bytes) -> int:
    """Return the size under zstd."""
    return len(zstandard.ZstdCompressor(level=LEVEL).compress(value))


def ours(tables: Tables) -> int:
    """Return the size of our three sections, compressed together."""
    return squeezed(msgspec.msgpack.encode([pack(kind, columns) for kind, columns in tables.items()]))


def rows(tables: Tables) -> int:
    """Return the size of one msgpack map an event."""
    return squeezed(msgspec.msgpack.encode(_maps(by_time(tables))))


def arrow(tables: Tables) -> int:
    """Return the size of Arrow IPC streams with narrow types, buffers compressed by Arrow."""
    return len(_arrow(by_time(tables), pa.Codec("zstd", compression_level=LEVEL)))


def parquet(tables: Tables) -> int:
    """Return the size of Parquet files with narrow types and dictionaries."""
    return _parquet(by_time(tables), use_dictionary=True)


def tuned_rows(tables: Tables) -> int:
    """Return the size of the maps in the better order."""
    return min(rows(tables), squeezed(msgspec.msgpack.encode(_maps(tables))))


def tuned_arrow(tables: Tables) -> int:
    """Return the smallest of both orders, compressed by Arrow or all three streams as one."""
    as_one = [squeezed(_arrow(ordered, None)) for ordered in (tables, by_time(tables))]
    return min(arrow(tables), len(_arrow(tables, pa.Codec("zstd", compression_level=LEVEL))), *as_one)


def tuned_parquet(tables: Tables) -> int:
    """Return the smallest of both orders, with dictionaries or with differences packed in binary."""
    differences = {"use_dictionary": False, "column_encoding": "DELTA_BINARY_PACKED"}
    orders = (tables, by_time(tables))
    return min(
        _parquet(order, **options) for order in orders for options in ({"use_dictionary": True}, differences)
    )


def entropy(tables: Tables) -> float:
    """Return the zero-order entropy of every stored value after its transform: no code table, no head.

    Few values hide what a decoder must be told: n values count for n log2 n bits at most, however wide.
    """
    bits = 0.0
    for kind, columns in tables.items():
        section = pack(kind, columns)
        a_run = (*section.first_values, *section.run_columns, section.run_lengths)
        bits += sum(_entropy(one, section.events) for one in section.event_columns)
        bits += sum(_entropy(one, section.runs) for one in a_run)
    return bits / 8


FORMATS: dict[str, Callable[[Tables], float]] = {
    "ours": ours,
    "msgpack rows": rows,
    "arrow": arrow,
    "parquet": parquet,
    "tuned rows": tuned_rows,
    "tuned arrow": tuned_arrow,
    "tuned parquet": tuned_parquet,
    "entropy": entropy,
}


def by_time(tables: Tables) -> Tables:
    """Return the events as they happened, not by flow as the agent sorts them."""
    return {kind: _sorted(columns) for kind, columns in tables.items()}


def _sorted(columns: Columns) -> Columns:
    order = np.argsort(columns["time_ns"], kind="stable")
    return {name: column[order] for name, column in columns.items()}


def _maps(tables: Tables) -> list[dict[str, object]]:
    return [
        {"kind": kind.name.lower(), **dict(zip(columns, values, strict=True))}
        for kind, columns in tables.items()
        for values in zip(*(column.tolist() for column in columns.values()), strict=True)
    ]


def _typed(tables: Tables) -> list[pa.Table]:
    return [
        pa.table({name: column.astype(_TYPES[name]) for name, column in columns.items()})
        for columns in tables.values()
    ]


def _arrow(tables: Tables, compression: pa.Codec | None) -> bytes:
    sink = io.BytesIO()
    for table in _typed(tables):
        options = pa.ipc.IpcWriteOptions(compression=compression)
        with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
            writer.write_table(table)
    return sink.getvalue()


def _parquet(tables: Tables, **options: Any) -> int:
    size = 0
    for table in _typed(tables):
        sink = io.BytesIO()
        pq.write_table(table, sink, **_PARQUET, **options)
        size += sink.tell()
    return size


def _entropy(column: bytes, count: int) -> float:
    """Return the bits of a packed column's values."""
    width = column[0]
    planes = np.zeros((count, 8), dtype=np.uint8)
    planes[:, :width] = np.frombuffer(column, dtype=np.uint8, offset=1).reshape(width, count).T
    _, counts = np.unique(planes.view("<u8"), return_counts=True)
    share = counts / count
    return float(-(share * np.log2(share)).sum() * count)
