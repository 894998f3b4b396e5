# SPDX-License-Identifier: Apache-2.0
"""Cuts resolved events into one ``EventBatch`` per shard, by size and by age, and numbers them.

Pure: "now" and the clock offset come in as arguments. Within a batch events are sorted by kind, flow,
process and order of emission, so that runs are long and differences small (schemas/section.py).
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agent.directory import Directory, Resolved
from schemas.batch import VERSION, EventBatch
from schemas.event import STRUCTS, Kind
from schemas.field import columns_of
from schemas.key import shard_of
from schemas.section import EMPTY, Section, pack

SOURCE_FIELD = {"thread": "tid"}
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

    @property
    def held(self) -> int:
        """Number of events that wait to be packed."""
        return sum(shard.events for shard in self._shards)

    def add(self, resolved: Resolved, now_ns: int) -> None:
        """Take (n,) events whose flow is known, in order of emission."""
        if not resolved.flow.size:
            return
        value = self._directory.flows.value
        distinct, inverse = np.unique(resolved.flow, return_inverse=True)
        shards = np.array([shard_of(value(i).connection, self._identity.shards) for i in distinct.tolist()])
        shard_of_event = shards[inverse]
        for index in np.unique(shards).tolist():
            part = resolved.select(shard_of_event == index) if shards.size > 1 else resolved
            shard = self._shards[index]
            if not shard.events:
                shard.oldest_ns = now_ns
            shard.parts.append(part)
            shard.events += part.flow.size

    def take(self, clock: Clock, *, everything: bool = False) -> list[EventBatch]:
        """Return the batches that are due, in the order of their sequences; all of them if ``everything``."""
        batches: list[EventBatch] = []
        for index, shard in enumerate(self._shards):
            old = clock.monotonic_ns - shard.oldest_ns >= self._max_age_ns
            if shard.events and (everything or old or shard.events >= self._max_events):
                batches += self._cut(index, shard, clock, rest=everything or old)
        return batches

    def _cut(self, index: int, shard: _Shard, clock: Clock, *, rest: bool) -> list[EventBatch]:
        joined = Resolved(*(np.concatenate(arrays) for arrays in zip(*shard.parts, strict=True)))
        size = self._max_events
        stop = joined.flow.size if rest else joined.flow.size - joined.flow.size % size
        batches = []
        for start in range(0, stop, size):
            chunk = Resolved(*(array[start : min(start + size, stop)] for array in joined))
            batches.append(self._batch(index, shard, chunk, clock))
        left = Resolved(*(array[stop:] for array in joined))
        shard.parts, shard.events = ([left], left.flow.size) if left.flow.size else ([], 0)
        shard.oldest_ns = clock.monotonic_ns
        return batches

    def _batch(self, index: int, shard: _Shard, chunk: Resolved, clock: Clock) -> EventBatch:
        flows, flow = np.unique(chunk.flow, return_inverse=True)
        processes, process = np.unique(np.append(chunk.process, 0), return_inverse=True)
        process = process[:-1]
        sections = _sections(chunk.events, flow, process)
        identity = self._identity
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
            flows=tuple(self._directory.flows.value(i) for i in flows.tolist()),
            processes=tuple(self._directory.processes.value(i) for i in processes.tolist()),
            sends=sections[Kind.SEND],
            receives=sections[Kind.RECEIVE],
            arrivals=sections[Kind.ARRIVAL],
        )
        shard.sequence += 1
        shard.cumulative += flow.size
        return batch


def _sections(
    events: NDArray[Any], flow: NDArray[np.int64], process: NDArray[np.int64]
) -> dict[Kind, Section]:
    """Sort (n,) events by kind, flow and process (emission order within), and pack each kind."""
    key = events["kind"].astype(np.uint64) << np.uint64(40)
    key |= flow.astype(np.uint64) << np.uint64(20)
    key |= process.astype(np.uint64)
    order = np.argsort(key, kind="stable")
    ends = np.searchsorted(key[order], [np.uint64(kind + 1) << np.uint64(40) for kind in Kind])
    sections = dict.fromkeys(Kind, EMPTY)
    begin = 0
    for kind, end in zip(Kind, ends.tolist(), strict=True):
        part = order[begin:end]
        sections[kind] = pack(kind, _table(kind, events[part], flow[part], process[part]))
        begin = end
    return sections


def _table(
    kind: Kind, events: NDArray[Any], flow: NDArray[np.int64], process: NDArray[np.int64]
) -> dict[str, NDArray[np.uint64]]:
    table = {"flow": flow.astype(np.uint64), "process": process.astype(np.uint64)}
    for column in columns_of(STRUCTS[kind]):
        if column.name not in table:
            table[column.name] = events[SOURCE_FIELD.get(column.name, column.name)].astype(np.uint64)
    return table
