# SPDX-License-Identifier: Apache-2.0
"""One small batch and one heartbeat, always the same: the golden bytes of the tests, the example of the docs.

They show every packing at work: two flows in runs, a send in two pieces, stream positions that go on, an IPv6
address, an arrival in no process's name. Changing them changes the golden files, which are for ever.
"""

import numpy as np

from schemas.batch import EventBatch, Flow, Process
from schemas.control import Heartbeat, Total
from schemas.event import Flag, Kind
from schemas.section import Columns, Section, pack

_BOOT = "6f1ed002-ab5d-4a1c-8e1a-0d8f2f4f9c11"
_EPOCH = 1_760_000_000_000_000_000
_START = 86_400_000_000_000
_V4 = bytes(10) + b"\xff\xff"
_ONE = int(Flag.FIRST_PIECE | Flag.LAST_PIECE)


def batch() -> EventBatch:
    """Return the example batch: 7 events on 2 connections of host ``shop-1``."""
    sends, receives, arrivals = _sends(), _receives(), _arrivals()
    return EventBatch(
        version=1,
        host="shop-1",
        boot=_BOOT,
        epoch=_EPOCH,
        shards=12,
        shard=3,
        sequence=41,
        cumulative=5_000,
        events=sends.events + receives.events + arrivals.events,
        packed_ns=_START + 3_000_000,
        age_ns=3_000_000,
        realtime_offset_ns=_EPOCH - 86_000_000_000_000,
        flows=(_outgoing(), _incoming()),
        processes=(Process(0, "kernel"), Process(4711, "checkout", 8_123, "checkout.service")),
        sends=sends,
        receives=receives,
        arrivals=arrivals,
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
    )


def _outgoing() -> Flow:
    local, remote = _V4 + bytes([10, 0, 0, 7]), _V4 + bytes([10, 0, 0, 9])
    return Flow(12 * 1_000_003 + 3, 0, 4, 1, local, 40_312, remote, 5_432, 4_026_531_840)


def _incoming() -> Flow:
    prefix = bytes.fromhex("20010db8000000000000000000000000")
    local, remote = prefix[:15] + b"\x07", prefix[:15] + b"\x21"
    return Flow(2**64 - 13, 1, 6, 2, local, 443, remote, 51_000, 4_026_531_840)


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


def _arrays(columns: dict[str, list[int]]) -> Columns:
    return {name: np.array(values, dtype=np.uint64) for name, values in columns.items()}
