# SPDX-License-Identifier: Apache-2.0
"""Events of one kernel, told as if hosts with clocks of their own had seen them: what is true is known.

The events of the real agent are taken apart by network namespace. Bursts of traffic between which nothing was
under way are moved apart, so that seconds of traffic fill minutes; within a burst no time is changed. Then
the clock of each host shows what it shows, in its events and in the readings of its heartbeats.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from consumer.engine import ControlEngine, EngineSettings, EventEngine, Record
from schemas import batch as codec
from schemas import control
from schemas.batch import SECTIONS, EventBatch, Flow, Process
from schemas.event import STRUCTS, Kind
from schemas.section import pack
from support.clocks import SECOND, Shows

I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]
BEGIN_NS = 1_790_000_000 * 10**9
"""Realtime of the window's begin on a host whose clock is right."""
WINDOW_NS = 60 * 10**9
AROUND = (-55 * SECOND, 115 * SECOND)
"""Between these true times bursts are put."""
SETTINGS = EngineSettings(tick_ms=5_000, horizon_ms=20_000)
_SLOT_NS = 2 * 10**9


class Seen(NamedTuple):
    """All events of a capture: by kind a table whose ``flow`` and ``process`` point into the lists."""

    flows: list[Flow]
    processes: list[Process]
    tables: dict[Kind, dict[str, NDArray[np.uint64]]]


def seen(batches: Sequence[EventBatch]) -> Seen:
    """Put batches together."""
    flows: dict[tuple[int, int, int], Flow] = {}
    processes: dict[Process, int] = {}
    parts: dict[Kind, list[dict[str, NDArray[np.uint64]]]] = {kind: [] for kind in STRUCTS}
    places: dict[tuple[int, int, int], int] = {}
    for one in batches:
        own = [(flow.connection, flow.end, flow.netns) for flow in one.flows]
        flows |= dict(zip(own, one.flows, strict=True))
        flow = np.array([places.setdefault(key, len(places)) for key in own], dtype=np.uint64)
        process = np.array([processes.setdefault(p, len(processes)) for p in one.processes], dtype=np.uint64)
        for kind, table in codec.columns(one).items():
            moved = {"flow": flow[table["flow"]], "process": process[table["process"]]}
            parts[kind].append({**table, **moved})
    joined = {
        kind: {name: np.concatenate([part[name] for part in some]) for name in some[0]}
        for kind, some in parts.items()
    }
    return Seen([flows[key] for key in places], list(processes), joined)


def placed(time: NDArray[np.uint64], begins: Sequence[int], at: NDArray[np.float64]) -> I64:
    """Return (n,) true times, ns, where burst number i begins at ``at[i]`` instead of ``begins[i]``."""
    starts = np.array(begins, dtype=np.int64)
    burst = np.maximum(np.searchsorted(starts, time.astype(np.int64), side="right") - 1, 0)
    moved: I64 = time.astype(np.int64) - starts[burst] + np.rint(at).astype(np.int64)[burst]
    return moved


def _unslewed(true: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.zeros_like(true)


@dataclass
class Bent:
    """One host, or one boot of it, and its clocks."""

    name: str
    netns: int
    raw: Shows
    """True time -> CLOCK_MONOTONIC_RAW, both from the window's begin, ns."""
    slewed: Shows = _unslewed
    """True time -> CLOCK_MONOTONIC minus CLOCK_MONOTONIC_RAW, ns."""
    uptime_ns: int = 86_400 * 10**9
    """CLOCK_MONOTONIC at the window's begin is about this."""
    late_ns: int = 0
    """CLOCK_REALTIME is so much ahead of true time at the window's begin."""
    error_ns: int = -1
    """What its readings say of that."""
    boot: str = ""
    alive: tuple[float, float] = (-np.inf, np.inf)
    """True times between which it runs and has an agent."""
    reads: bool = True
    """Its heartbeats carry readings."""
    _numbers: list[int] = field(default_factory=lambda: [0, 0])

    def monotonic(self, true: I64) -> I64:
        """Return what CLOCK_MONOTONIC shows at (n,) true times from the window's begin."""
        time = true.astype(np.float64)
        return self.uptime_ns + np.rint(self.raw(time) + self.slewed(time)).astype(np.int64)

    @property
    def wall_ns(self) -> int:
        """CLOCK_REALTIME minus CLOCK_MONOTONIC."""
        start = int(self.monotonic(np.zeros(1, dtype=np.int64))[0])
        return BEGIN_NS + self.late_ns - start

    def lives(self, true: I64) -> Bools:
        """Say at which of (n,) times it is there."""
        return (true >= self.alive[0]) & (true < self.alive[1])

    def batch(self, told: Seen, picked: dict[Kind, I64], true: dict[Kind, I64]) -> EventBatch | None:
        """Return a batch of some rows of each kind, None without any."""
        used = [told.tables[kind]["flow"][rows] for kind, rows in picked.items()]
        mine, events = (
            np.unique(np.concatenate(used)).astype(np.int64),
            sum(rows.size for rows in picked.values()),
        )
        if not events:
            return None
        place = np.zeros(len(told.flows), dtype=np.uint64)
        place[mine] = np.arange(mine.size)
        sections = {}
        for kind, rows in picked.items():
            table = {name: column[rows] for name, column in told.tables[kind].items()}
            table["flow"] = place[table["flow"]]
            table["time_ns"] = self.monotonic(true[kind][rows]).astype(np.uint64)
            if rows.size:
                sections[SECTIONS[kind]] = pack(kind, table)
        last = max(int(true[kind][rows].max()) for kind, rows in picked.items() if rows.size)
        number, before = self._numbers
        self._numbers = [number + 1, before + events]
        more: dict[str, Any] = sections
        return EventBatch(
            version=1,
            host=self.name,
            boot=self.boot or f"boot-{self.name}",
            epoch=BEGIN_NS,
            shards=1,
            shard=0,
            sequence=number,
            cumulative=before,
            events=events,
            packed_ns=int(self.monotonic(np.array([last]))[0]),
            age_ns=0,
            realtime_offset_ns=self.wall_ns,
            flows=tuple(told.flows[at] for at in mine),
            processes=tuple(told.processes),
            **more,
        )

    def readings(self, true: I64) -> tuple[control.Reading, ...]:
        """Return those that it would take at (n,) true times."""
        true = true[self.lives(true)]
        offset = np.rint(-self.slewed(true.astype(np.float64))).astype(np.int64)
        return tuple(
            control.Reading(now, raw, 200, self.wall_ns, self.error_ns)
            for now, raw in zip(self.monotonic(true).tolist(), offset.tolist(), strict=True)
        )


def told(hosts: Sequence[Bent], events: Seen, times: Callable[[Kind], I64]) -> dict[str, pa.Table]:
    """Return the rows (kind -> table) that the engines make of what these hosts saw at these true times."""
    true = {kind: times(kind) for kind in events.tables}
    records: list[tuple[int, bytes]] = []
    beats: list[tuple[int, bytes]] = []
    for host in hosts:
        own = np.array([flow.netns == host.netns for flow in events.flows], dtype=bool)
        kept = {
            kind: np.flatnonzero(own[table["flow"].astype(np.int64)] & host.lives(true[kind]))
            for kind, table in events.tables.items()
        }
        for slot in range(int(AROUND[0]), int(AROUND[1]) + _SLOT_NS, _SLOT_NS):
            picked = {kind: rows[_within(true[kind][rows], slot)] for kind, rows in kept.items()}
            batch = host.batch(events, picked, true)
            if batch is not None:
                records.append((slot + _SLOT_NS, codec.encode(batch)))
            beats.append((slot + _SLOT_NS, _beat(host, slot)))
    settings = SETTINGS
    return _run(EventEngine(0, settings), records) | _run(ControlEngine(0, settings), beats)


def _within(true: I64, slot: int) -> Bools:
    return (true >= slot) & (true < slot + _SLOT_NS)


def _beat(host: Bent, slot: int) -> bytes:
    moments = np.array([slot + 400_000_000, slot + 1_400_000_000])
    return control.encode(
        control.Heartbeat(
            version=1,
            host=host.name,
            boot=host.boot or f"boot-{host.name}",
            epoch=BEGIN_NS,
            sequence=(slot - int(AROUND[0])) // _SLOT_NS,
            sent_at_ns=BEGIN_NS + slot + _SLOT_NS,
            monotonic_ns=0,
            oldest_undelivered_ns=0,
            acknowledged={},
            totals=(),
            readings=host.readings(moments) if host.reads else (),
        )
    )


def _run(engine: EventEngine | ControlEngine, values: list[tuple[int, bytes]]) -> dict[str, pa.Table]:
    ordered = sorted(values, key=lambda one: one[0])
    records = [Record(n, (BEGIN_NS + at) // 10**6, value) for n, (at, value) in enumerate(ordered)]
    outputs = [engine.apply(records), engine.flush()]
    kinds = {kind for output in outputs for kind in output.rows}
    return {
        kind: pa.concat_tables(
            [output.rows[kind] for output in outputs if kind in output.rows]
        ).unify_dictionaries()
        for kind in kinds
    }
