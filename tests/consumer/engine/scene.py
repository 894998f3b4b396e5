# SPDX-License-Identifier: Apache-2.0
"""Batches for tests: say what happened on connections, get Kafka records."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from consumer.engine import Record
from schemas.batch import SECTIONS, EventBatch, Flow, Process, encode
from schemas.event import STRUCTS, Flag, Kind
from schemas.section import pack

WHOLE = int(Flag.FIRST_PIECE | Flag.LAST_PIECE)
BASE_MS = 1_790_000_000_000
OFFSET_NS = 1_789_999_000_000_000_000
"""Realtime minus monotonic: an event at 1,000 s of monotonic time is at BASE_MS."""
START_NS = 1_000_000_000_000


def v4(text: str) -> bytes:
    return bytes(10) + b"\xff\xff" + bytes(int(part) for part in text.split("."))


@dataclass
class Host:
    """One agent run in one shard."""

    name: str
    boot: str = "boot"
    address: bytes = v4("10.0.0.1")
    processes: tuple[Process, ...] = (Process(0, "kernel"), Process(100, "app"))
    epoch: int = 7
    offset_ns: int = OFFSET_NS
    sequence: int = 0
    cumulative: int = 0

    def batch(self, flows: list[Flow], events: dict[Kind, list[dict[str, int]]], **head: Any) -> EventBatch:
        """Number and pack events; the next batch continues."""
        sections = {kind: pack(kind, _columns(kind, rows)) for kind, rows in events.items() if rows}
        count = sum(section.events for section in sections.values())
        values: dict[str, Any] = {
            "version": 1,
            "host": self.name,
            "boot": self.boot,
            "epoch": self.epoch,
            "shards": 1,
            "shard": 0,
            "sequence": self.sequence,
            "cumulative": self.cumulative,
            "events": count,
            "packed_ns": START_NS,
            "age_ns": 0,
            "realtime_offset_ns": self.offset_ns,
            "flows": tuple(flows),
            "processes": self.processes,
        }
        values.update({SECTIONS[kind]: section for kind, section in sections.items()})
        self.sequence += 1
        self.cumulative += count
        return EventBatch(**{**values, **head})


def _columns(kind: Kind, rows: list[dict[str, int]]) -> dict[str, Any]:
    names = STRUCTS[kind].__struct_fields__
    return {name: np.array([row.get(name, 0) for row in rows], dtype=np.uint64) for name in names}


def send(begin: int, end: int, at: int, **more: int) -> dict[str, int]:
    row = {"flow": 0, "process": 1, "time_ns": START_NS + at, "position": begin, "length": end - begin}
    return {**row, "duration_ns": 5, "flags": WHOLE, **more}


def receive(begin: int, end: int, at: int, **more: int) -> dict[str, int]:
    row = {"flow": 0, "process": 1, "time_ns": START_NS + at, "position": begin, "length": end - begin}
    return {**row, **more}


def arrival(end: int, at: int, **more: int) -> dict[str, int]:
    return {"flow": 0, "process": 0, "time_ns": START_NS + at, "position": end, **more}


def connect(at: int, **more: int) -> dict[str, int]:
    return {"flow": 0, "process": 1, "time_ns": START_NS + at, "duration_ns": 70, "srtt_us": 66, **more}


def close(at: int, **more: int) -> dict[str, int]:
    return {"flow": 0, "process": 0, "time_ns": START_NS + at, "duration_ns": 900, "sent_bytes": 10, **more}


def retransmit(begin: int, end: int, at: int, **more: int) -> dict[str, int]:
    row = {"flow": 0, "process": 0, "time_ns": START_NS + at, "position": begin, "length": end - begin}
    return {**row, **more}


def ends(connection: int = 1, **more: Any) -> tuple[Flow, Flow]:
    """Both ends of a connection: end 0 opened it from 10.0.0.1:40000, end 1 accepted at 10.0.0.2:80."""
    one, two = v4("10.0.0.1"), v4("10.0.0.2")
    values: dict[str, Any] = {"family": 4, "netns": 1, **more}
    roles = values.pop("roles", (1, 2))
    ports = values.pop("ports", (40_000, 80))
    one, two = values.pop("addresses", (one, two))
    return (
        Flow(
            connection=connection, end=0, role=roles[0], local_address=one, local_port=ports[0],
            remote_address=two, remote_port=ports[1], **values,
        ),
        Flow(
            connection=connection, end=1, role=roles[1], local_address=two, local_port=ports[1],
            remote_address=one, remote_port=ports[0], **values,
        ),
    )  # fmt: skip


@dataclass
class Topic:
    """Kafka records in order, by the broker's time in ms after BASE_MS."""

    records: list[Record] = field(default_factory=list)

    def put(self, at_ms: int, batch: EventBatch | bytes) -> None:
        value = batch if isinstance(batch, bytes) else encode(batch)
        self.records.append(Record(len(self.records), BASE_MS + at_ms, value))
