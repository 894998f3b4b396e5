# SPDX-License-Identifier: Apache-2.0
"""Goal 2: what tracing takes from a workload: Redis and its benchmark, with each tracer and without.

Each run with a tracer has one without beside it, in alternating order; ratios are medians of such pairs,
and pairs of two runs without show how far a ratio is off by chance. Harm is (time in BPF programs + the
tracer's processor time) a message, over the workload's processor time a message in the run without. The
programs run in the workload's own cgroup: its time beside a tracer holds theirs already, so harm is never
added to it; all it grows by (programs, probes, wake-ups, caches, bpf_stats itself) is printed as "more".
The broker has a cgroup of its own and is left out: on a real host it is elsewhere. Root: ``python -m
bench.harm``.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, NamedTuple, Self

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from bench.cgroup import Group
from bench.kernel import bpf_stats
from bench.redis import EVENTS_OF_A_MESSAGE, Load, Redis
from bench.report import report
from bench.tracers import Name, Tracer
from support.netns import Host, VethPair

Kind = Name | Literal["control"]
MESSAGES: dict[Kind, int] = {
    "control": 200_000,
    "wirelag": 200_000,
    "braked": 200_000,
    "naive": 60_000,
    "bpftrace": 60_000,
}
SETTLING: dict[Kind, int] = {"braked": 2_000_000}
"""Messages before the measured ones: brakes take some seconds to find the share that fits."""
FEW: dict[Kind, int] = {"braked": 3}
"""Rounds of what takes long."""
DRAIN_SECONDS = 2.5
"""After the workload, until everything is delivered: an event may wait a second for company."""
HARM, AGAINST = 0.08, 0.25
THROUGHPUT, P99, AGENT_MS = 0.97, 1.05, 0.2


class Run(NamedTuple):
    """The workload beside a tracer (or none), and what the tracer used."""

    load: Load
    bpf_us: float = 0.0
    agent_us: float = 0.0
    broker_us: float = 0.0
    events: int = 0
    lost: int = 0
    traced: int = 0
    """Messages that the tracer met, with those before the measured ones."""

    def a_message(self, microseconds: float) -> float:
        """Return microseconds a message."""
        return microseconds / self.load.messages


class Pair(NamedTuple):
    """Two neighbours: one without a tracer, one with."""

    without: Run
    beside: Run

    @property
    def harm(self) -> float:
        """Time in BPF and in the tracer, over the workload's own."""
        cost = self.beside.a_message(self.beside.bpf_us + self.beside.agent_us)
        return cost / self.without.load.cpu_us_per_message

    @property
    def more(self) -> float:
        """By what part the workload's own time grew, with the BPF programs in it."""
        return self.beside.load.cpu_us_per_message / self.without.load.cpu_us_per_message - 1

    @property
    def throughput(self) -> float:
        """Of the run beside, over the one without."""
        return self.beside.load.rate / self.without.load.rate

    @property
    def p99(self) -> float:
        """Of the run beside, over the one without."""
        return self.beside.load.p99_ms / self.without.load.p99_ms


class Bench:
    """The places of a benchmark, from `__enter__` to `__exit__`: namespace, Redis, broker."""

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        self._host: Host = self._stack.enter_context(VethPair()).a
        self._redis = self._stack.enter_context(Redis(self._host))
        self._broker = self._stack.enter_context(Group("broker"))
        command = self._broker.command(sys.executable, "-m", "bench.agent", "broker")
        broker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603
        self._stack.callback(broker.wait)
        self._stack.callback(broker.kill)
        assert broker.stdout is not None
        self._address = broker.stdout.readline().strip()
        self._redis.run(MESSAGES["control"])  # warm
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def pair(self, kind: Kind, *, first: bool) -> Pair:
        """Run the workload twice; ``first``: beside the tracer first."""
        if first:
            beside = self._beside(kind)
            return Pair(self._without(), beside)
        return Pair(self._without(), self._beside(kind))

    def _without(self) -> Run:
        return Run(self._redis.run(MESSAGES["control"]))

    def _beside(self, kind: Kind) -> Run:
        if kind == "control":
            return self._without()
        with Group(kind) as group:
            tracer = Tracer(kind, [self._host.inode], self._address, group)
            try:
                if kind in SETTLING:
                    self._redis.run(SETTLING[kind])
                broker, agent, bpf = self._broker.cpu_us(), group.cpu_us(), tracer.bpf_ns()
                load = self._redis.run(MESSAGES[kind])
                bpf_us = (tracer.bpf_ns() - bpf) / 1000
                time.sleep(DRAIN_SECONDS)
                used = group.cpu_us() - agent, self._broker.cpu_us() - broker
                told = tracer.stop()
            finally:
                tracer.close()
        return Run(load, bpf_us, *used, *told, traced=load.messages + SETTLING.get(kind, 0))


def main() -> None:
    """Measure in alternation and print; the last lines are the goals' JSON objects."""
    parser = argparse.ArgumentParser(prog="bench.harm")
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    pairs: dict[Kind, list[Pair]] = {kind: [] for kind in MESSAGES}
    with bpf_stats(), Bench() as bench:
        for number in range(rounds):
            for kind, found in pairs.items():
                if number >= FEW.get(kind, rounds):
                    continue
                found.append(bench.pair(kind, first=number % 2 == 1))
                show(f"round {number + 1}, {kind}", found[-1:])
    for kind, found in pairs.items():
        show(f"median, {kind}", found)
    control = pairs["control"]
    low, high = min(p.throughput for p in control), max(p.throughput for p in control)
    print(f"noise, no tracer against itself: throughput {low:.3f} to {high:.3f}, p99 "
          f"{min(p.p99 for p in control):.3f} to {max(p.p99 for p in control):.3f}")  # fmt: skip
    conclude(pairs)


def conclude(pairs: dict[Kind, list[Pair]]) -> None:
    """Print the goals."""
    harm = {kind: statistics.median(pair.harm for pair in found) for kind, found in pairs.items()}
    wirelag, braked = pairs["wirelag"], pairs["braked"]
    report("harm-every-event", harm["wirelag"], HARM)
    report("harm-by-default", harm["braked"], HARM)
    report("harm-against-naive", harm["wirelag"] / harm["naive"], AGAINST)
    report("harm-against-bpftrace", harm["wirelag"] / harm["bpftrace"], AGAINST)
    agent_ms = statistics.median(p.beside.a_message(p.beside.agent_us) for p in wirelag)
    report("agent-ms-per-1000-messages", agent_ms, AGENT_MS)
    report("harm-throughput", statistics.median(p.throughput for p in wirelag), THROUGHPUT, at_least=True)
    report("harm-p99", statistics.median(p.p99 for p in wirelag), P99)
    report(
        "harm-throughput-by-default",
        statistics.median(p.throughput for p in braked),
        THROUGHPUT,
        at_least=True,
    )
    report("harm-p99-by-default", statistics.median(p.p99 for p in braked), P99)


def show(title: str, pairs: Sequence[Pair]) -> None:
    """Print one line: medians of pairs."""
    median = statistics.median
    beside = [pair.beside for pair in pairs]
    own = median([pair.without.load.cpu_us_per_message for pair in pairs])
    line = (
        f"{title}: throughput {median([p.throughput for p in pairs]):.3f} "
        f"(of {median([p.without.load.rate for p in pairs]):,.0f}/s), "
        f"p99 {median([p.p99 for p in pairs]):.3f}, "
        f"workload {own:.2f} us a message, {median([p.more for p in pairs]):+.1%} more"
    )
    if any(run.events for run in beside):
        line += (
            f"; BPF {median([run.a_message(run.bpf_us) for run in beside]):.2f} us, "
            f"tracer {median([run.a_message(run.agent_us) for run in beside]):.2f} us "
            f"(broker {median([run.a_message(run.broker_us) for run in beside]):.2f}): "
            f"harm {median([p.harm for p in pairs]):.1%}; "
            f"{sum(r.events for r in beside) / sum(r.traced for r in beside):.2f} of "
            f"{EVENTS_OF_A_MESSAGE} events a message, {sum(r.lost for r in beside)} lost"
        )
    print(line, flush=True)


if __name__ == "__main__":
    main()
