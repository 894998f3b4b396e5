# SPDX-License-Identifier: Apache-2.0
"""From a capture of real traffic to latencies between hosts whose clocks were bent, beside the true ones."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from agent.delivery.outstanding import Ticket
from agent.directory import Directory
from agent.kernel.capture import Capture, CaptureSettings
from agent.ledger import Ledger
from agent.loop import Loop, Parts, system_clock
from agent.pack import Identity, Packer
from consumer.rollup.solve import Solved, solve_window
from schemas import batch as codec
from schemas.batch import EventBatch
from schemas.event import Kind
from support import bent, meshed
from support.bent import AROUND, BEGIN_NS, WINDOW_NS, Bent, Seen
from support.clocks import straight
from support.netns import Host
from support.worker import Worker

POLL_MS = 20
_truths: dict[int, tuple["Caught", dict[tuple[int, ...], int]]] = {}
"""Of each capture, made once: it takes as long as all the rest."""


class Sink(list[EventBatch]):
    """Takes what the agent packs."""

    def send(self, value: bytes, _: Ticket) -> None:
        """Take one encoded batch."""
        self.append(codec.decode(value))


class Caught(NamedTuple):
    """What the agent saw of the traffic."""

    hosts: list[Host]
    deaf: Host | None
    events: Seen
    begins: list[int]

    def times(self, seed: int) -> Callable[[Kind], bent.I64]:
        """Return the true times of the events of each kind, their bursts spread by chance."""
        at = spread(self.begins, seed)
        return lambda kind: bent.placed(self.events.tables[kind]["time_ns"], self.begins, at)

    def truth(self) -> dict[tuple[int, ...], int]:
        """Return how long each message took: wherever its burst is put, and on one clock."""
        every = [host.inode for host in (*self.hosts, self.deaf) if host]
        right = [Bent(f"right-{inode}", inode, straight(0, 0), boot="one") for inode in every]
        rows = bent.told(right, self.events, self.times(0))["match"]
        return dict(zip(_names(rows), rows["delivery_ns"].to_pylist(), strict=True))


def catch(worker: Worker, hosts: list[Host], deaf: Host | None, bursts: int) -> Caught:
    """Run traffic (meshed.talk) under the agent's own parts, but for Kafka."""
    sink, directory = Sink(), Directory(b"k" * 32, lambda _: "app")
    traced = tuple(host.inode for host in (*hosts, deaf) if host)
    capture = Capture(CaptureSettings(netns=traced, ring_pages=256))
    packer = Packer(Identity("all", "boot", 1, 1), directory, 4096, 10**8)
    loop = Loop(Parts(capture, directory, packer, sink, Ledger()), system_clock, 10**7)
    capture.start()
    try:
        answer = worker.start(meshed.talk, hosts, deaf, bursts)
        while worker.busy:
            capture.poll(POLL_MS)
            loop.turn()
        begins = answer()
        loop.turn()
    finally:
        final = capture.stop()
    loop.finish(final.records, final.counters)
    return Caught(hosts, deaf, bent.seen(sink), begins)


class Outcome(NamedTuple):
    """What is told of the messages sent in the window, and what is true."""

    match: pa.Table
    rows: pa.Table
    """Of kind clock_solution."""
    solved: Solved
    latency: bent.I64
    bound: bent.I64
    truth: bent.I64

    @property
    def covered(self) -> float:
        """The share of published bounds that hold."""
        known = self.bound >= 0
        return float((self.wrong[known] <= self.bound[known]).mean())

    @property
    def wrong(self) -> bent.I64:
        """How far each latency is off."""
        off: bent.I64 = np.abs(self.latency - self.truth)
        return off

    def of(self, sender: str, receiver: str) -> bent.Bools:
        """Say which messages went from one boot to another."""
        sent, read = (self.match[name].to_pylist() for name in ("sender_boot", "receiver_boot"))
        return np.array([pair == (sender, receiver) for pair in zip(sent, read, strict=True)])

    def solution(self, one: str, other: str) -> dict[str, Any]:
        """Return the row of two boots."""
        rows = self.rows.to_pylist()
        row: dict[str, Any]
        (row,) = [row for row in rows if {row["first_boot"], row["second_boot"]} == {one, other}]
        return row

    def figures(self) -> str:
        """Return what a person wants to know where it is not as it should be."""
        known = self.bound >= 0
        wrong, bound = (np.percentile(some[known], [50, 95, 100]) / 1e3 for some in (self.wrong, self.bound))
        unlike = [
            (row["first_boot"], row["second_boot"], row["status"])
            for row in self.rows.to_pylist()
            if row["status"] != "bounded"
        ]
        return (
            f"{known.sum()} of {known.size}, {self.covered:.3%} hold, errors {wrong} us, bounds {bound} us, "
            f"not bounded {unlike}"
        )


def spread(begins: list[int], seed: int) -> NDArray[np.float64]:
    """Return when bursts that began at ``begins`` do, true times, ns: none before the last one has ended."""
    at = np.sort(np.random.default_rng(seed).uniform(*AROUND, len(begins)))
    before = np.array(begins, dtype=np.float64) - begins[0]
    apart: NDArray[np.float64] = np.maximum.accumulate(at - before) + before
    return apart


def run(caught: Caught, hosts: list[Bent], seed: int) -> Outcome:
    """Bend the events, have the engines tell of them, solve the window and correct its latencies."""
    if id(caught) not in _truths:
        _truths[id(caught)] = caught, caught.truth()
    _, truth = _truths[id(caught)]
    rows = bent.told(hosts, caught.events, caught.times(seed))
    solved = solve_window(BEGIN_NS, WINDOW_NS, _near(rows["clock"]), _near(rows["reading"]))
    match = rows["match"]
    sent = match["sent_at_ns"].to_numpy()
    match = match.filter(pa.array((sent >= BEGIN_NS) & (sent < BEGIN_NS + WINDOW_NS)))
    moments = (match[f"{what}_monotonic_ns"].to_numpy() for what in ("sent", "received"))
    latency, bound = solved.correct(match["sender_boot"], match["receiver_boot"], *moments)
    actual = np.array([truth[name] for name in _names(match)])
    return Outcome(match, solved.rows, solved, latency, bound, actual)


def _names(match: pa.Table) -> list[tuple[int, ...]]:
    columns = [match[name].to_pylist() for name in ("connection", "direction", "end")]
    return list(zip(*columns, strict=True))


def _near(rows: pa.Table) -> pa.Table:
    """Return those of a minute around the window."""
    at = rows["at_ns"].to_numpy()
    near = (at >= BEGIN_NS - 60 * 10**9) & (at < BEGIN_NS + WINDOW_NS + 60 * 10**9)
    return rows.filter(pa.array(near))
