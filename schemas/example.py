# SPDX-License-Identifier: Apache-2.0
"""A small batch, a heartbeat and an order, always the same: golden bytes of tests, examples of the docs.

They show every packing at work: two flows in runs, a send in two pieces, stream positions that go on, an IPv6
address, an arrival in no process's name, a connection's life. Changing them changes the golden files, which
are for ever.
"""

import numpy as np

from schemas.batch import EventBatch, Flow, Mark, Process
from schemas.control import Heartbeat, Left, Reading, Total
from schemas.event import Audit, Flag, Kind
from schemas.order import Order
from schemas.section import Columns, Section, pack

_BOOT = "6f1ed002-ab5d-4a1c-8e1a-0d8f2f4f9c11"
_EPOCH = 1_760_000_000_000_000_000
_START = 86_400_000_000_000
_V4 = bytes(10) + b"\xff\xff"
_ONE = int(Flag.FIRST_PIECE | Flag.LAST_PIECE)


def batch() -> EventBatch:
    """Return the example batch: 11 events on 2 connections of host ``shop-1``."""
    sections = [_sends(), _receives(), _arrivals(), *_lives()]
    sends, receives, arrivals, connects, closes, retransmits = sections
    return EventBatch(
        version=1,
        host="shop-1",
        boot=_BOOT,
        epoch=_EPOCH,
        shards=12,
        shard=3,
        sequence=41,
        cumulative=5_000,
        events=sum(section.events for section in sections),
        packed_ns=_START + 3_000_000,
        age_ns=3_000_000,
        realtime_offset_ns=_EPOCH - 86_000_000_000_000,
        flows=(_outgoing(), _incoming()),
        processes=(Process(0, "kernel"), Process(4711, "checkout", 8_123, "checkout.service")),
        sends=sends,
        receives=receives,
        arrivals=arrivals,
        connects=connects,
        closes=closes,
        retransmits=retransmits,
        connection_rate=65_536,
        block_rate=65_536,
    )


def heartbeat() -> Heartbeat:
    """Return the example heartbeat of the same agent."""
    return Heartbeat(
        version=1,
        host="shop-1",
        boot=_BOOT,
        epoch=_EPOCH,
        sequence=20,
        sent_at_ns=_EPOCH + 40_000_000_000,
        monotonic_ns=_START + 40_000_000_000,
        oldest_undelivered_ns=0,
        acknowledged={3: 41},
        totals=(
            Total("kernel", "attempted", 5_009),
            Total("kernel", "submit-failed", 2),
            Total("agent", "delivered", 5_007),
        ),
        agent="0.1.0",
        config="5be0c7d13a41",
        kernel="6.12.43",
        backend="raw",
        spool_records=3,
        spool_bytes=131_072,
        spool_oldest_ns=1_500_000_000,
        left=(Left(_BOOT, _EPOCH - 90_000_000_000, "quota", 120),),
        readings=(
            Reading(_START + 38_600_000_000, -1_204_118, 190, _EPOCH - _START, 2_150_000),
            Reading(_START + 39_600_000_000, -1_204_131, 204, _EPOCH - _START),
        ),
    )


def order() -> Order:
    """Return the example order: to that host, and to all whose names begin with ``web-``."""
    return Order(
        version=1,
        number=_EPOCH + 30_000_000_000,
        hosts=("shop-1", "web-*"),
        action="stop",
        issued_at_ns=_EPOCH + 30_000_000_000,
        why="load test until noon",
        by="ada",
        until_ns=_EPOCH + 3_630_000_000_000,
    )


def _outgoing() -> Flow:
    local, remote = _V4 + bytes([10, 0, 0, 7]), _V4 + bytes([10, 0, 0, 9])
    return Flow(12 * 1_000_003 + 3, 0, 4, 1, local, 40_312, remote, 5_432, 4_026_531_840, 4_711)


def _incoming() -> Flow:
    prefix = bytes.fromhex("20010db8000000000000000000000000")
    local, remote = prefix[:15] + b"\x07", prefix[:15] + b"\x21"
    return Flow(2**64 - 13, 1, 6, 2, local, 443, remote, 51_000, 4_026_531_840, 0, int(Mark.OLDER))


def _sends() -> Section:
    columns = {
        "flow": [0, 0, 0, 1],
        "process": [1, 1, 1, 1],
        "time_ns": [_START, _START + 90_000, _START + 90_000, _START + 2_000_000],
        "position": [1_000, 1_064, 34_000, 2**40],
        "length": [64, 32_768, 7_232, 512],
        "duration_ns": [4_100, 310_000, 310_000, 5_200],
        "srtt_us": [180, 182, 182, 21_400],
        "thread": [4711, 4711, 4711, 4719],
        "flags": [_ONE, int(Flag.FIRST_PIECE), int(Flag.LAST_PIECE), _ONE],
    }
    return pack(Kind.SEND, _arrays(columns))


def _receives() -> Section:
    columns = {
        "flow": [0, 1],
        "process": [1, 1],
        "time_ns": [_START + 700_000, _START + 1_900_000],
        "position": [0, 77],
        "length": [4_096, 1_400],
        "srtt_us": [182, 21_400],
        "thread": [4711, 4719],
        "flags": [0, 0],
    }
    return pack(Kind.RECEIVE, _arrays(columns))


def _arrivals() -> Section:
    columns = {"flow": [0], "process": [0], "time_ns": [_START + 650_000], "position": [4_096], "flags": [0]}
    return pack(Kind.ARRIVAL, _arrays(columns))


def _lives() -> tuple[Section, Section, Section]:
    connect = {
        "flow": [0],
        "process": [1],
        "time_ns": [_START - 900_000],
        "duration_ns": [410_000],
        "error": [0],
        "retransmits": [0],
        "srtt_us": [410],
        "thread": [4711],
        "flags": [0],
    }
    close = {
        "flow": [0, 1],
        "process": [0, 0],
        "time_ns": [_START + 2_500_000, _START + 2_600_000],
        "duration_ns": [3_400_000, 0],
        "sent_bytes": [41_232, 2**40 + 512],
        "received_bytes": [4_096, 1_477],
        "unread_bytes": [0, 0],
        "missing_sent": [0, 0],
        "missing_received": [0, 20],
        "retransmitted_bytes": [1_448, 0],
        "retransmits": [1, 0],
        "sent_segments": [31, 900],
        "received_segments": [12, 14],
        "min_rtt_us": [170, 20_900],
        "srtt_us": [182, 21_400],
        "audit": [int(Audit.COMPLETE), int(Audit.PARTIAL)],
        "flags": [0, int(Flag.OLDER | Flag.ABORTED)],
    }
    retransmit = {
        "flow": [0],
        "process": [0],
        "time_ns": [_START + 400_000],
        "position": [34_000],
        "length": [1_448],
        "srtt_us": [182],
        "flags": [0],
    }
    kinds = {Kind.CONNECT: connect, Kind.CLOSE: close, Kind.RETRANSMIT: retransmit}
    first, second, third = (pack(kind, _arrays(columns)) for kind, columns in kinds.items())
    return first, second, third


def _arrays(columns: dict[str, list[int]]) -> Columns:
    return {name: np.array(values, dtype=np.uint64) for name, values in columns.items()}
