# SPDX-License-Identifier: Apache-2.0
"""Made-up traffic of one host, to look like a captured one: requests and responses of a few services.

Every figure that compresses badly in real traces is drawn, none is repeated for convenience: times and
durations to the nanosecond, lengths from each service's own mix, smoothed round-trip times that wander,
threads of a pool. The same seed gives the same events.
"""

import numpy as np
from numpy.typing import NDArray

from schemas.batch import EventBatch, Flow, Process
from schemas.event import Flag, Kind
from schemas.section import Columns, pack

ONE_PIECE = int(Flag.FIRST_PIECE | Flag.LAST_PIECE)
START_NS = 86_400 * 10**9
SERVICES = 4
FROM_BACKLOG, COMMON_LENGTH, USUAL_THREAD, NEW_ROUND_TRIP = 0.02, 0.5, 0.8, 0.6
"""Shares of events."""
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


def tables(events: int, flows: int, seed: int) -> dict[Kind, Columns]:
    """Return about ``events`` events, a third of each kind, sorted by flow, process, time as by the agent."""
    random = np.random.default_rng(seed)
    exchanges = max(events // 3, 1)
    flow = np.sort(random.zipf(1.4, exchanges) % flows)
    arrived = START_NS + np.sort(random.exponential(120_000, exchanges).cumsum()).astype(np.int64)
    arrived = arrived[random.permutation(exchanges)]
    order = np.lexsort((arrived, flow))
    flow, arrived = flow[order], arrived[order]
    woken = arrived + random.lognormal(9.2, 0.7, exchanges).astype(np.int64)
    answered = woken + random.lognormal(11.0, 1.0, exchanges).astype(np.int64)
    request, response = _lengths(random, flow), _lengths(random, flow + 100)
    common = {
        "flow": flow,
        "process": 1 + flow % SERVICES,
        "thread": 4_000 + 50 * (flow % SERVICES) + _mostly(random, flow % 8, 8),
        "srtt_us": _round_trips(random, flow),
    }
    base = random.integers(0, 2**34, flows)[flow]
    sends = common | {
        "time_ns": answered,
        "position": base + _before(flow, response),
        "length": response,
        "duration_ns": random.lognormal(8.7, 0.4, exchanges).astype(np.int64) + response // 8,
        "flags": np.full(exchanges, ONE_PIECE),
    }
    receives = common | {
        "time_ns": woken,
        "position": base + _before(flow, request),
        "length": request,
        "flags": np.zeros(exchanges, dtype=np.int64),
    }
    arrivals = {
        "flow": flow,
        "process": np.zeros(exchanges, dtype=np.int64),
        "time_ns": arrived,
        "position": base + _before(flow, request) + request,
        "flags": np.where(random.random(exchanges) < FROM_BACKLOG, int(Flag.BACKLOG), 0),
    }
    found = {Kind.SEND: sends, Kind.RECEIVE: receives, Kind.ARRIVAL: arrivals}
    return {kind: {n: c.astype(np.uint64) for n, c in columns.items()} for kind, columns in found.items()}


def batch(found: dict[Kind, Columns], flows: int) -> EventBatch:
    """Return the record that an agent would make of these events."""
    sections = {kind: pack(kind, columns) for kind, columns in found.items()}
    names = ("kernel", "postgres", "envoy", "checkout", "redis-server")
    return EventBatch(
        version=1,
        host="ip-10-12-7-31.eu-central-1.compute.internal",
        boot="6f1ed002-ab5d-4a1c-8e1a-0d8f2f4f9c11",
        epoch=1_760_000_000_000_000_000,
        shards=12,
        shard=5,
        sequence=123_456,
        cumulative=98_765_432,
        events=sum(section.events for section in sections.values()),
        packed_ns=START_NS + 10**9,
        age_ns=999_000_000,
        realtime_offset_ns=1_759_900_000_123_456_789,
        flows=tuple(_flow(number) for number in range(flows)),
        processes=tuple(
            Process(1_000 * number, name, 8_000 + number, f"{name}.service")
            for number, name in enumerate(names)
        ),
        sends=sections[Kind.SEND],
        receives=sections[Kind.RECEIVE],
        arrivals=sections[Kind.ARRIVAL],
    )


def _flow(number: int) -> Flow:
    random = np.random.default_rng(number)
    network = bytes(10) + b"\xff\xff" + bytes([10, 12])
    peer = network + bytes(random.integers(0, 255, 2, dtype=np.uint8))
    name = int(random.integers(0, 2**60)) * 12 + 5
    port = int(random.integers(32_768, 61_000))
    return Flow(name, number % 2, 4, 2, network + bytes([7, 31]), 5432, peer, port, 4_026_531_840)


def _lengths(random: np.random.Generator, flow: I64) -> I64:
    """Half of a service's messages have one of six lengths, the others are spread around one."""
    common = np.random.default_rng(3).lognormal(5.5, 1.5, (256, 6)).astype(np.int64) + 8
    spread = random.lognormal(5.5, 1.2, flow.size).astype(np.int64) + 8
    return np.where(
        random.random(flow.size) < COMMON_LENGTH, common[flow % 256, random.integers(0, 6, flow.size)], spread
    )


def _mostly(random: np.random.Generator, usual: I64, others: int) -> I64:
    return np.where(random.random(usual.size) < USUAL_THREAD, usual, random.integers(0, others, usual.size))


def _round_trips(random: np.random.Generator, flow: I64) -> I64:
    """A smoothed figure: wanders by a few per cent from event to event, differs by flow."""
    steps = np.where(random.random(flow.size) < NEW_ROUND_TRIP, random.normal(0, 0.03, flow.size), 0.0)
    wander: F64 = np.cumsum(steps)
    level: F64 = np.exp(5.5 + flow % 7 * 0.3 + wander - wander.mean())
    return level.astype(np.int64) + 20


def _before(flow: I64, length: I64) -> I64:
    """Return the bytes sent before each event on its flow (events are sorted by flow)."""
    total = np.cumsum(length) - length
    first = np.flatnonzero(np.diff(flow, prepend=-1))
    return total - np.repeat(total[first], np.diff(first, append=flow.size))
