# SPDX-License-Identifier: Apache-2.0
"""Goal 4: the highest rate of events at which none is lost, against the reference and a bpftrace script.

Each tracer starts anew for each try: some seconds of a storm at a pace (bench/storm.py). A try holds where
nothing was lost and at least as many events came as the storm made calls. wirelag's account is its ledger:
what the kernel attempted, less what the broker has acknowledged, is 0. The others are asked what they lost;
what they lose without noticing, at the end, counts in their favour. The pace doubles until a try fails
twice, then is bisected. Where the storm cannot keep the pace, its calls are slowed by the tracer's own
programs, or it is at its limit, which is measured without a tracer. Storm, tracer and broker share the
machine. Root: ``python -m bench.rate``.
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from bench.cgroup import Group
from bench.report import report
from bench.storm import storm
from bench.tracers import Name, Tracer
from support.netns import Host, VethPair
from support.worker import Worker

NAMES: tuple[Name, ...] = ("wirelag", "naive", "bpftrace")
FIRST = {"wirelag": 400_000.0, "naive": 25_000.0, "bpftrace": 25_000.0}
SECONDS = 3.0
STEPS = 3
"""Of bisection: to a factor of 1.09."""
TRIES = 2
"""A busy machine may fail any tracer once."""
UNLIMITED = 4e6
KEPT = 0.9
"""The storm kept the pace if it came this close."""
GOALS = {"naive": 10.0, "bpftrace": 5.0}


class Try(NamedTuple):
    """One storm beside one tracer."""

    rate: float
    """Events a second that came."""
    lost: int
    paced: bool
    """Whether the storm was as fast as asked for."""


class Found(NamedTuple):
    """The highest rate without a loss."""

    rate: float
    limited: bool
    """Whether the storm could not be any faster beside it."""


class Bench:
    """What all tries share."""

    def __init__(self, host: Host, worker: Worker, broker: str) -> None:
        self._host, self._worker, self._broker = host, worker, broker

    def highest(self, name: Name, first: float) -> Found:
        """Search for a tracer's highest rate, from a rate that should be well below it."""
        best, low, high = Found(0.0, limited=False), 0.0, 0.0
        pace = first
        while not high:
            one = self._held(name, pace)
            if one is None:
                high = pace
            else:
                best, low, pace = Found(one.rate, not one.paced), pace, pace * 2
                if not one.paced:
                    return best
        if not low:
            return self.highest(name, first / 4)
        for _ in range(STEPS):
            pace = (low * high) ** 0.5
            one = self._held(name, pace)
            if one is None:
                high = pace
            else:
                best, low = max(best, Found(one.rate, not one.paced)), pace
        return best

    def _held(self, name: Name, pace: float) -> Try | None:
        for _ in range(TRIES):
            one = self._try(name, pace)
            limit = "" if one.paced else " (as fast as the storm goes)"
            print(
                f"  {name}, {pace:,.0f} asked: {one.rate:,.0f} events/s, {one.lost} lost{limit}", flush=True
            )
            if not one.lost:
                return one
        return None

    def _try(self, name: Name, pace: float) -> Try:
        with Group(name) as group:
            tracer = Tracer(name, [self._host.inode], self._broker, group)
            try:
                made = self._worker.run(storm, self._host, pace, SECONDS)
                time.sleep(0.5)
                told = tracer.stop()
            finally:
                tracer.close()
        missing = max(0, made.calls - told.events)
        return Try(
            told.events / made.seconds, max(told.lost, missing), made.calls / made.seconds > KEPT * pace
        )


def main() -> None:
    """Search in rounds and print; the last lines are the goals' JSON objects."""
    parser = argparse.ArgumentParser(prog="bench.rate")
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    found: dict[str, list[Found]] = {name: [] for name in NAMES}
    command = [sys.executable, "-m", "bench.agent", "broker"]
    broker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603
    try:
        assert broker.stdout is not None
        address = broker.stdout.readline().strip()
        with VethPair() as network, Worker() as worker:
            alone = worker.run(storm, network.a, UNLIMITED, SECONDS)
            print(f"the storm without a tracer: {alone.calls / alone.seconds:,.0f} calls/s", flush=True)
            bench = Bench(network.a, worker, address)
            for number in range(rounds):
                for name, results in found.items():
                    first = results[-1].rate / 2 if results else FIRST[name]
                    results.append(bench.highest(name, first))  # type: ignore[arg-type]
                    print(f"round {number + 1}: {name} {said(results[-1])}", flush=True)
    finally:
        broker.kill()
        broker.wait()
    conclude(found)


def conclude(found: dict[str, list[Found]]) -> None:
    """Print the medians and the goals."""
    for name, results in found.items():
        rates = [one.rate for one in results]
        limited = any(one.limited for one in results)
        median = said(Found(statistics.median(rates), limited))
        print(f"{name}: {median}, between {min(rates):,.0f} and {max(rates):,.0f}")
    for other, target in GOALS.items():
        pairs = zip(found["wirelag"], found[other], strict=True)
        ratio = statistics.median(mine.rate / reference.rate for mine, reference in pairs)
        report(f"loss-free-rate-against-{other}", ratio, target, at_least=True)


def said(found: Found) -> str:
    """Return a rate as people write it."""
    limit = ", as fast as the storm goes beside it" if found.limited else ""
    return f"{found.rate:,.0f} events/s without a loss{limit}"


if __name__ == "__main__":
    main()
