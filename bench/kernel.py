# SPDX-License-Identifier: Apache-2.0
"""Goal 1: what one event costs in the kernel, against a program that submits and wakes for each.

Both trace the same ping-pong between two namespaces, in turn, each for the same number of messages; times
are the kernel's own (kernel.bpf_stats_enabled). Run as root: ``python -m bench.kernel``.
"""

import itertools
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from agent.kernel.capture import Capture, CaptureSettings
from agent.kernel.counters import Counters
from bench.naive.kernel import NaiveCapture
from bench.report import report
from support import traffic
from support.netns import Network, VethPair, hosts_of
from support.worker import Worker

ROUNDS = 7
MESSAGES = 4_000
SIZE = 200
RING_PAGES = 1024
"""Holds all events of a round, so that a machine short of time changes nothing."""
STATS = Path("/proc/sys/kernel/bpf_stats_enabled")
GOAL = 0.1
CEILINGS = {"send": 700, "receive": 500, "arrival": 400}


class Cost(NamedTuple):
    """Nanoseconds in our programs, per event and for each kind."""

    event: float
    kinds: dict[str, float]


def ours(network: Network, worker: Worker) -> Cost:
    """Trace one stretch of traffic with wirelag's programs."""
    capture = Capture(CaptureSettings(netns=hosts_of(network), ring_pages=RING_PAGES))
    capture.start()
    try:
        worker.run(traffic.echo, network, 100, SIZE)
        before = capture.counters()
        answer = worker.start(traffic.echo, network, MESSAGES, SIZE)
        while worker.busy:
            capture.poll(100)
            capture.cycle()
        answer()
        after = capture.counters()
    finally:
        capture.stop()
    assert after.lost == before.lost
    total = after.run_time_ns - before.run_time_ns
    return Cost(
        total / (after.attempts - before.attempts), {kind: _per(kind, before, after) for kind in CEILINGS}
    )


def naive(network: Network, worker: Worker) -> float:
    """Trace the same with the reference; return nanoseconds an event."""
    capture = NaiveCapture(hosts_of(network))
    capture.start()
    try:
        worker.run(traffic.echo, network, 100, SIZE)
        while capture.events < 600:  # noqa: PLR2004 - the warm-up's
            capture.poll(100)
        time_before, events_before = capture.stats()
        answer = worker.start(traffic.echo, network, MESSAGES, SIZE)
        while worker.busy:
            capture.poll(100)
        answer()
        capture.poll(0)
        time_after, events_after = capture.stats()
    finally:
        capture.stop()
    return (time_after - time_before) / (events_after - events_before)


def main() -> None:
    """Measure in alternation and print; the last lines are one JSON object per goal."""
    rounds: list[tuple[Cost, float]] = []
    with bpf_stats(), VethPair() as network, Worker() as worker:
        for i in range(ROUNDS):
            rounds.append((ours(network, worker), naive(network, worker)))
            mine, reference = rounds[-1]
            print(f"round {i + 1}: wirelag {mine.event:.0f} ns an event, naive {reference:.0f}", flush=True)
    costs = [mine.event for mine, _ in rounds]
    noise = statistics.median(max(pair) / min(pair) for pair in itertools.pairwise(costs))
    kinds = {kind: statistics.median(mine.kinds[kind] for mine, _ in rounds) for kind in CEILINGS}
    for kind, cost in kinds.items():
        print(f"{kind}: {cost:.0f} ns (ceiling {CEILINGS[kind]})")
    print(f"noise, wirelag against itself: a factor of {noise:.2f}")
    report("kernel-cost-per-event", statistics.median(mine.event / other for mine, other in rounds), GOAL)
    for kind, cost in kinds.items():
        report(f"kernel-{kind}-ceiling", cost / CEILINGS[kind], 1.0)


@contextmanager
def bpf_stats() -> Iterator[None]:
    """Have the kernel time every program meanwhile."""
    before = STATS.read_text(encoding="ascii")
    STATS.write_text("1", encoding="ascii")
    try:
        yield
    finally:
        STATS.write_text(before, encoding="ascii")


def _per(kind: str, before: Counters, after: Counters) -> float:
    places = {
        "send": ("raw_tcp_sendmsg_locked", "raw_sock_send_length"),
        "receive": ("raw_tcp_rcv_space_adjust", "raw_sock_recv_length"),
        "arrival": ("raw_sk_data_ready",),
    }[kind]
    spent = sum(after.programs[name].run_time_ns - before.programs[name].run_time_ns for name in places)
    return spent / (after.hooks[kind].attempts - before.hooks[kind].attempts)


if __name__ == "__main__":
    main()
