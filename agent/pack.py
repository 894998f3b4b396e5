# SPDX-License-Identifier: Apache-2.0
"""Cuts resolved events into one ``EventBatch`` per shard, by size and by age, and numbers them.

Pure: "now" and the clock offset come in as arguments. Within a batch events are sorted by kind, flow,
process and order of emission, so that runs are long and differences small (schemas/section.py).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agent.accounts import Accounts
from agent.directory import Directory, Resolved
from agent.release import EventArray, rows
from schemas.batch import FULL_RATE, VERSION, EventBatch, Flow
from schemas.columns import U64
from schemas.event import STRUCTS, Kind
from schemas.field import columns_of
from schemas.key import shard_of
from schemas.section import EMPTY, Section, pack

SOURCE_FIELD = {
    (Kind.SEND, "thread"): "tid",
    (Kind.RECEIVE, "thread"): "tid",
    (Kind.CONNECT, "thread"): "tid",
    (Kind.CONNECT, "error"): "length",
    (Kind.CONNECT, "retransmits"): "position",
}
"""Where a column of the wire has another name than the kernel's slot."""


class Identity(NamedTuple):
    """Who packs: the same for all batches of one agent run."""

    host: str
    boot: str
    epoch: int
    shards: int


class Clock(NamedTuple):
    """The moment of packing."""

    monotonic_ns: int
    realtime_offset_ns: int


class _Shard:
    __slots__ = ("cumulative", "events", "oldest_ns", "parts", "sequence")

    def __init__(self) -> None:
        self.parts: list[Resolved] = []
        self.events = 0
        self.oldest_ns = 0
        self.sequence = 0
        self.cumulative = 0


class Packer:
    """Collects events by shard and hands out the batches that are due.

    A batch is due once it has ``max_events`` or its oldest event has waited ``max_age_ns``.
    """

    def __init__(self, identity: Identity, directory: Directory, max_events: int, max_age_ns: int) -> None:
        self._identity = identity
        self._directory = directory
        self._max_events = max_events
        self._max_age_ns = max_age_ns
        self._shards = [_Shard() for _ in range(identity.shards)]
        self.accounts = Accounts()
        """What of each connection has been packed."""

    @property
    def held(self) -> int:
        """Number of events that wait to be packed."""
        return sum(shard.events for shard in self._shards)

    @property
    def oldest_ns(self) -> int | None:
        """CLOCK_MONOTONIC of the oldest event that waits, None where none does."""
        return min((part.oldest_ns for shard in self._shards for part in shard.parts), default=None)

    def add(self, resolved: Resolved, now_ns: int) -> None:
        """Take (n,) events whose flow is known, in order of emission."""
        if not resolved.flow.size:
            return
        shards = self._shards_of(resolved.flow)
        # 16-bit keys are sorted by radix, and stably: events of one shard stay in order of emission.
        order = np.argsort(shards, kind="stable")
        counts = np.bincount(shards, minlength=len(self._shards)).tolist()
        begin = 0
        for shard, count in zip(self._shards, counts, strict=True):
            if count:
                shard.oldest_ns = shard.oldest_ns if shard.events else now_ns
                shard.parts.append(resolved.select(order[begin : begin + count]))
                shard.events += count
            begin += count

    def _shards_of(self, flow: NDArray[np.int64]) -> NDArray[np.uint16]:
        distinct, inverse = dense(flow)
        flows = (self._directory.flows.value(index) for index in distinct.tolist())
        shards = [shard_of(one.connection, self._identity.shards) for one in flows]
        return np.array(shards, dtype=np.uint16)[inverse]

    def take(self, clock: Clock, *, everything: bool = False) -> list[EventBatch]:
        """Return the batches that are due, in the order of their sequences; all of them if ``everything``."""
        batches: list[EventBatch] = []
        for index, shard in enumerate(self._shards):
            old = clock.monotonic_ns - shard.oldest_ns >= self._max_age_ns
            if shard.events and (everything or old or shard.events >= self._max_events):
                batches += self._cut(index, shard, clock, rest=everything or old)
        return batches

    def _cut(self, index: int, shard: _Shard, clock: Clock, *, rest: bool) -> list[EventBatch]:
        joined = _joined(shard.parts, shard.events)
        size = self._max_events
        stop = shard.events if rest else shard.events - shard.events % size
        chunks = [_slice(joined, start, min(start + size, stop)) for start in range(0, stop, size)]
        pure = [one for chunk in chunks for one in _by_rates(chunk)]
        batches = [self._batch(index, shard, chunk, clock) for chunk in pure]
        left = _slice(joined, stop, shard.events)
        shard.parts, shard.events = ([left], left.flow.size) if left.flow.size else ([], 0)
        shard.oldest_ns = clock.monotonic_ns
        return batches

    def _batch(self, index: int, shard: _Shard, chunk: Resolved, clock: Clock) -> EventBatch:
        indices, flow = dense(chunk.flow)
        flows = tuple(map(self._directory.flows.value, indices.tolist()))
        processes, process = dense(np.concatenate([chunk.process, self._openers(flows, clock)]))
        sections = self._sections(chunk, flow, process[: flow.size])
        identity = self._identity
        rates = int(chunk.events["rates"][0])
        batch = EventBatch(
            version=VERSION,
            host=identity.host,
            boot=identity.boot,
            epoch=identity.epoch,
            shards=identity.shards,
            shard=index,
            sequence=shard.sequence,
            cumulative=shard.cumulative,
            events=flow.size,
            packed_ns=clock.monotonic_ns,
            age_ns=max(0, clock.monotonic_ns - int(chunk.events["time_ns"].min())),
            realtime_offset_ns=clock.realtime_offset_ns,
            flows=flows,
            processes=tuple(self._directory.processes.value(i) for i in processes.tolist()),
            sends=sections[Kind.SEND],
            receives=sections[Kind.RECEIVE],
            arrivals=sections[Kind.ARRIVAL],
            connects=sections[Kind.CONNECT],
            closes=sections[Kind.CLOSE],
            retransmits=sections[Kind.RETRANSMIT],
            connection_rate=rates >> 16 if rates else FULL_RATE,
            block_rate=rates & 0xFFFF if rates else FULL_RATE,
        )
        shard.sequence += 1
        shard.cumulative += flow.size
        return batch

    def _openers(self, flows: tuple[Flow, ...], clock: Clock) -> NDArray[np.int64]:
        """Return the processes that a batch's dictionary needs beside its events': openers and the kernel."""
        pids = np.array([flow.opener for flow in flows] + [0], dtype=np.uint64)
        return self._directory.processes.look_up(pids, clock.monotonic_ns)

    def _sections(
        self, chunk: Resolved, flow: NDArray[np.int64], process: NDArray[np.int64]
    ) -> dict[Kind, Section]:
        """Sort (n,) events by kind, flow and process (emission order within), and pack each kind."""
        if chunk.events["rates"][0]:
            self.accounts.sampled_until_ns = int(chunk.events["time_ns"].max())
        order, ends = _order(chunk.events["kind"], flow, process)
        sections = dict.fromkeys(Kind, EMPTY)
        for kind in Kind:
            part = order[ends[kind - 1] : ends[kind]]
            if not part.size:
                continue
            table = {"flow": flow[part].view(np.uint64), "process": process[part].view(np.uint64)}
            if kind is Kind.CLOSE:
                table |= self.accounts.close(chunk.flow[part], chunk.events[part])
            _fill(table, kind, chunk.events, part)
            if kind in (Kind.SEND, Kind.RECEIVE):
                self.accounts.add(kind, chunk.flow[part], chunk.events, part, table)
            sections[kind] = pack(kind, table)
        return sections


def _order(
    kind: NDArray[np.uint8], flow: NDArray[np.int64], process: NDArray[np.int64]
) -> tuple[NDArray[np.intp], list[int]]:
    """Return the order by kind, flow and process, and by kind where it ends."""
    width = int(process.max()) + 1
    pairs = flow * width + process
    stride = int(pairs.max()) + 1
    key = kind.astype(np.int64) * stride + pairs
    small = (len(Kind) + 1) * stride < 1 << 16
    order = np.argsort(key.astype(np.uint16) if small else key, kind="stable")
    return order, np.cumsum(np.bincount(kind, minlength=len(Kind) + 1)).tolist()


def dense(indices: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the distinct values of (n,) small indices, ascending, and where each index stands among them."""
    present = np.zeros(int(indices.max()) + 1, dtype=bool)
    present[indices] = True
    distinct = np.flatnonzero(present)
    rank = np.cumsum(present) - 1
    return distinct, rank[indices]


def _fill(table: dict[str, U64], kind: Kind, events: EventArray, part: NDArray[np.intp]) -> None:
    """Add the columns that the kernel's slots tell of the events at (k,) places."""
    for column in columns_of(STRUCTS[kind]):
        if column.name not in table:
            field = events[SOURCE_FIELD.get((kind, column.name), column.name)]
            table[column.name] = field[part].astype(np.uint64, copy=False)


def _by_rates(chunk: Resolved) -> list[Resolved]:
    """Split a chunk whose events were kept by different rates, which happens when they change."""
    rates = chunk.events["rates"]
    if (rates == rates[0]).all():
        return [chunk]
    _, first, group = np.unique(rates, return_index=True, return_inverse=True)
    parts = [np.flatnonzero(group == one) for one in np.argsort(first, kind="stable")]
    return [
        Resolved(rows(chunk.events, part), np.arange(part.size), chunk.flow[part], chunk.process[part])
        for part in parts
    ]


def _joined(parts: list[Resolved], size: int) -> Resolved:
    """Put the events of several parts into one array, in their order: (size,) of each."""
    events = np.empty(size, dtype=parts[0].events.dtype)
    begin = 0
    for part in parts:
        rows(part.events, part.order, events[begin : begin + part.order.size])
        begin += part.order.size
    flow, process = (np.concatenate([part[field] for part in parts]) for field in (2, 3))
    return Resolved(events, np.arange(size), flow, process)


def _slice(joined: Resolved, begin: int, end: int) -> Resolved:
    """Return events [begin, end) of what ``_joined`` made."""
    return Resolved(
        joined.events[begin:end], np.arange(end - begin), joined.flow[begin:end], joined.process[begin:end]
    )
