# SPDX-License-Identifier: Apache-2.0
"""Who and where: turns the kernel's identities (initial sequence numbers, pids) into flows and processes.

The kernel tells the facts of a connection and of a process once; events carry only their identity. Sequence
numbers go in and do not come out.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from agent.privacy.veil import Veil
from agent.registry import UNKNOWN, Registry
from agent.release import EventArray
from schemas.batch import Flow, Process
from schemas.key import connection_name

KERNEL = Process(0, "")
PASSIVE = 2
MAPPED_PREFIX = bytes(10) + b"\xff\xff"


class Resolved(NamedTuple):
    """Events with what the directory knows of them; all but ``events`` are (n,) and aligned."""

    events: EventArray
    """(m,) in no order."""
    order: NDArray[np.intp]
    """Indices of the events meant, oldest first."""
    flow: NDArray[np.int64]
    """Index into ``Directory.flows``, -1 = the kernel has not told of this connection yet."""
    process: NDArray[np.int64]
    """Index into ``Directory.processes``, 0 = the kernel."""

    @property
    def oldest_ns(self) -> int:
        """CLOCK_MONOTONIC of the event that is oldest by its own time; there is one at least."""
        return int(self.events["time_ns"][self.order].min())

    def select(self, index: NDArray[np.intp]) -> "Resolved":
        """Return those at (k,) places of the order."""
        return Resolved(self.events, *(column.take(index) for column in self[1:]))


class Directory:
    """All flows and processes this agent knows, bounded by ``forget``.

    ``lookup_name`` returns the name of a process the kernel has not told of (or None); it is asked once a
    process. ``label_of`` returns the label of a cgroup, None where that is not known yet; then the process
    has none, and another index as soon as it has one. What ``veil`` hides is in no flow and no process.
    """

    def __init__(
        self,
        secret: bytes,
        lookup_name: Callable[[int], str | None],
        label_of: Callable[[int], str | None] = lambda _cgroup: "",
        veil: Veil | None = None,
    ) -> None:
        self._secret = secret
        self._veil = veil or Veil()
        self._label_of = label_of
        self._unlabelled: dict[int, int] = {}
        """Pid -> when the kernel told of it."""
        self.flows: Registry[Flow] = Registry()
        self.processes: Registry[Process] = Registry(
            lambda pid: Process(pid, self._veil.name(lookup_name(pid) or ""))
        )
        self.processes.learn(0, KERNEL, 0)

    def learn(self, connections: NDArray[Any], tasks: NDArray[Any]) -> None:
        """Take (c,) connection facts and (t,) task facts from the kernel.

        Later facts replace earlier ones.
        """
        for row in connections:
            pair, told_ns = int(row["iss"]) << 32 | int(row["irs"]), int(row["time_ns"])
            self.flows.learn(pair, flow_of(self._secret, row, self._veil), told_ns, amend=True)
            opener = int(row["opener_tgid"])
            if opener and self.processes.index(opener) == UNKNOWN:
                self._learn_process(Process(opener, _text(row["opener_comm"]), int(row["cgroup"])), told_ns)
        for row in tasks:
            name = _text(row["leader_comm"]) or _text(row["comm"])
            process = Process(int(row["tgid"]), name, int(row["cgroup"]))
            self._learn_process(process, int(row["time_ns"]))
        self._label_late()

    def resolve(self, events: EventArray, order: NDArray[np.intp], now_ns: int) -> Resolved:
        """Look up the flow and process of the events at (n,) ``order``; arrivals have ``tgid`` 0."""
        pair = (events["iss"].astype(np.uint64) << np.uint64(32) | events["irs"]).take(order)
        pids = events["tgid"].take(order).astype(np.uint64)
        flow, process = self.flows.look_up(pair, now_ns), self.processes.look_up(pids, now_ns)
        return Resolved(events, order, flow, process)

    def _learn_process(self, process: Process, told_ns: int) -> None:
        label = self._label_of(process.cgroup)
        if label is None:
            self._unlabelled[process.pid] = told_ns
        else:
            self._unlabelled.pop(process.pid, None)
        veil = self._veil
        name, cgroup = veil.name(process.name), veil.cgroup(process.cgroup)
        self.processes.learn(
            process.pid, Process(process.pid, name, cgroup, veil.label(label or "")), told_ns
        )

    def _label_late(self) -> None:
        """Ask again for the labels that were not known when the kernel told of a process."""
        for pid, told_ns in list(self._unlabelled.items()):
            index = self.processes.index(pid)
            known = None if index == UNKNOWN else self.processes.value(index)
            label = self._label_of(known.cgroup) if known else ""
            if label is not None:
                del self._unlabelled[pid]
            if known and label:
                self.processes.learn(pid, structs.replace(known, label=self._veil.label(label)), told_ns)

    def forget(self, unused_since_ns: int, now_ns: int) -> None:
        """Drop flows and processes not used since a moment (monotonic).

        One that speaks again is told of anew.
        """
        self.processes.learn(0, KERNEL, now_ns)
        self.flows.forget(unused_since_ns)
        self.processes.forget(unused_since_ns)


def flow_of(secret: bytes, row: np.void, veil: Veil) -> Flow:
    """Make the wire's flow from one connection fact; the initial sequence numbers end here."""
    name = connection_name(secret, int(row["iss"]), int(row["irs"]), passive=int(row["role"]) == PASSIVE)
    local, remote = row["local_address"].tobytes(), row["remote_address"].tobytes()
    mapped = local.startswith(MAPPED_PREFIX) and remote.startswith(MAPPED_PREFIX)
    return Flow(
        connection=name.connection,
        end=name.end,
        family=4 if mapped else 6,
        role=int(row["role"]),
        local_address=veil.address(local),
        local_port=int(row["local_port"]),
        remote_address=veil.address(remote),
        remote_port=int(row["remote_port"]),
        netns=int(row["netns"]),
        opener=int(row["opener_tgid"]),
        marks=int(row["flags"]),
    )


def _text(comm: bytes) -> str:
    return bytes(comm).split(b"\0")[0].decode("utf-8", "replace")
