# SPDX-License-Identifier: Apache-2.0
"""What wirelag would answer of a trace: the agent's packing and the consumer's engine, with no Kafka between.

Each network namespace is taken for a host with an agent of its own, as it is in a fleet.
"""

from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from agent.directory import Directory
from agent.pack import Clock, Identity, Packer
from agent.release import emitted_ns
from consumer.engine import EngineSettings, EventEngine, Record
from schemas.batch import EventBatch, columns, encode
from schemas.event import Audit, Flag, Kind
from schemas.key import FIXED_KEY
from support.netns import Host
from support.trace import Trace

_BATCH_EVENTS = 16_384
BOOT = "one boot"
AT_MS = 1_790_000_000_000
"""The broker's time."""


class Answer(NamedTuple):
    """Rows of the lake by kind, as dictionaries."""

    matches: list[dict[str, Any]]
    unmatched: list[dict[str, Any]]
    connections: list[dict[str, Any]]


def answer(trace: Trace, hosts: tuple[Host, ...]) -> Answer:
    """Pack each host's part of a trace, match all, and close what is left over."""
    engine = EventEngine(0, EngineSettings())
    values = [encode(batch) for host in hosts for batch in _packed(trace, host)]
    first = engine.apply([Record(number, AT_MS, value) for number, value in enumerate(values)])
    last = engine.flush()
    assert not first.poison, first.poison[0].message
    tables = [first.rows, last.rows]

    def rows(kind: str) -> list[dict[str, Any]]:
        return [row for table in tables if kind in table for row in table[kind].to_pylist()]

    return Answer(rows("match"), rows("unmatched"), rows("connection"))


def audits(trace: Trace, hosts: tuple[Host, ...]) -> Counter[str]:
    """Return how many ends closed, by how their bytes in events compare with the kernel's own count."""
    found: Counter[str] = Counter()
    for batch in (batch for host in hosts for batch in _packed(trace, host)):
        closes = columns(batch)[Kind.CLOSE]
        over = closes["flags"] & np.uint64(Flag.OPEN) == 0
        found.update(Audit(int(audit)).name for audit in closes["audit"][over])
    return found


def _packed(trace: Trace, host: Host) -> list[EventBatch]:
    """Return the batches that an agent in one namespace would have sent."""
    directory = Directory(FIXED_KEY, lambda _pid: None)
    directory.learn(trace.connections[trace.connections["netns"] == host.inode], trace.tasks)
    order = np.argsort(emitted_ns(trace.events), kind="stable")
    resolved = directory.resolve(trace.events, order, 0)
    identity = Identity(host.name, BOOT, AT_MS * 10**6, 1)
    packer = Packer(identity, directory, _BATCH_EVENTS, 10**9)
    packer.accounts.learn(trace.totals)
    packer.add(resolved.select(np.flatnonzero(resolved.flow >= 0)), 0)
    clock = Clock(int(trace.events["time_ns"].max()), AT_MS * 10**6 - int(trace.events["time_ns"].max()))
    return packer.take(clock, everything=True)
