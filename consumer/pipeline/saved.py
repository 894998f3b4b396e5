# SPDX-License-Identifier: Apache-2.0
"""The state that goes into the lake with each commit: the engine's own, and the outbox.

The outbox holds the histogram rows that were committed but perhaps not yet published. It is written in the
same commit as the rows, so whoever takes the partition over knows what may be missing downstream.
"""

from collections.abc import Sequence
from hashlib import blake2b

import msgspec
import pyarrow as pa

from lake.errors import LakeCorruptError

VERSION = 1
SHIFTED = 2
"""Of a partition whose lake offsets are no longer Kafka's: consumers that know no shift must not take it."""


class Saved(msgspec.Struct, frozen=True, array_like=True):
    """One partition's state object."""

    version: int
    engine: bytes
    outbox: bytes
    """Arrow IPC stream, empty where nothing is to be published."""
    shift: int = 0
    """Lake offset minus Kafka offset."""


def pack(engine: bytes, outbox: Sequence[pa.Table], shift: int = 0) -> bytes:
    """Return the state object's content."""
    parts = [SHIFTED if shift else VERSION, engine, _to_bytes(outbox)]
    return msgspec.msgpack.encode([*parts, shift] if shift else parts)


def unpack(blob: bytes, name: str) -> tuple[bytes, list[pa.Table], int]:
    """Return the engine's state, the outbox and the shift; ``name`` is for the error's message."""
    try:
        saved = msgspec.msgpack.decode(blob, type=Saved)
        if saved.version not in {VERSION, SHIFTED}:
            raise LakeCorruptError(
                f"the state of {name} is of version {saved.version}, this consumer reads up to {SHIFTED}",
                name=name,
            )
        return saved.engine, _from_bytes(saved.outbox), saved.shift
    except (msgspec.MsgspecError, pa.ArrowInvalid) as error:
        raise LakeCorruptError(f"the state of {name} cannot be read: {error}", name=name) from error


def remark(topic_id: str, blob: bytes) -> str:
    """Return what names this state of a partition: another has the same only where its outbox is the same."""
    return blake2b(blob, digest_size=12, key=blake2b(topic_id.encode()).digest()).hexdigest()


def _to_bytes(tables: Sequence[pa.Table]) -> bytes:
    filled = [table for table in tables if table.num_rows]
    if not filled:
        return b""
    sink = pa.BufferOutputStream()
    # What an earlier version left may lack columns.
    whole = pa.concat_tables(filled, promote_options="default")
    with pa.ipc.new_stream(sink, whole.schema) as writer:
        writer.write_table(whole)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _from_bytes(content: bytes) -> list[pa.Table]:
    if not content:
        return []
    return [pa.ipc.open_stream(content).read_all()]
