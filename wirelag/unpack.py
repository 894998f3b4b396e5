# SPDX-License-Identifier: Apache-2.0
"""One record as flat columns that still point into its dictionaries: what rows and Arrow tables come from."""

import ipaddress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas import batch as codec
from schemas.batch import EventBatch
from schemas.event import Kind, TcpClose
from schemas.section import Columns

_CLOSE = [name for name in TcpClose.__struct_fields__ if name.endswith(("_bytes", "_segments"))]
NUMBERS = (
    *("position", "length", "duration_ns", "srtt_us", "thread", "error", "retransmits"),
    *(*_CLOSE, "missing_sent", "missing_received", "min_rtt_us", "audit", "flags"),
)
"""Fields of an event that are taken as they are, where its kind has them."""
_OWN = {Kind.SEND, Kind.RETRANSMIT}
_WITHOUT = {Kind.CONNECT, Kind.CLOSE}
_MAPPED = bytes(10) + b"\xff\xff"


class Events(NamedTuple):
    """The (n,) events of one kind."""

    kind: Kind
    flow: NDArray[np.int64]
    """Index into the batch's flows."""
    process: NDArray[np.int64]
    """Index into the batch's processes."""
    monotonic_ns: NDArray[np.int64]
    time_ns: NDArray[np.int64]
    """Since the Unix epoch."""
    direction: NDArray[np.int64] | None
    """0 or 1: the end that sends these bytes; None for kinds that are of no bytes."""
    numbers: Columns
    """Those of NUMBERS that the kind has."""


def unpack(value: bytes) -> tuple[EventBatch, list[Events]]:
    """Return a record's head and its events by kind; raises RecordError."""
    batch = codec.decode(value)
    ends = np.array([flow.end for flow in batch.flows], dtype=np.int64)
    return batch, [_events(batch, kind, table, ends) for kind, table in codec.columns(batch).items()]


def _events(batch: EventBatch, kind: Kind, table: Columns, ends: NDArray[np.int64]) -> Events:
    flow = table["flow"].astype(np.int64)
    monotonic = table["time_ns"].astype(np.int64)
    own = ends[flow] if flow.size else flow
    return Events(
        kind,
        flow,
        table["process"].astype(np.int64),
        monotonic,
        monotonic + np.int64(batch.realtime_offset_ns),
        None if kind in _WITHOUT else own if kind in _OWN else 1 - own,
        {name: table[name] for name in NUMBERS if name in table},
    )


def address(packed: bytes) -> str:
    """Return 16 bytes as text, IPv4 where they are mapped."""
    if packed.startswith(_MAPPED):
        return str(ipaddress.IPv4Address(packed[12:]))
    return str(ipaddress.IPv6Address(packed))
