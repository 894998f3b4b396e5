# SPDX-License-Identifier: Apache-2.0
"""The clocks of a fleet whose truth is known: 50 hosts, 8 peers each, a minute and a minute either side.

Pairs exchange 100 to 10,000 messages a minute each way, evenly in the logarithm; in the harder fleet all have
10,000. One clock in ten takes a step or a slew within the window, which is where solving takes longest. What
is solved are the lake's rows, of which the consumer has made the tightest message of each 250 ms.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from consumer.latency.intervals import I64
from consumer.rollup.solve import Solved, solve_window
from schemas.tables import KINDS
from support.clocks import F64, MICRO, SECOND, Path, Shows, slewing, stepping, straight, wandering

HOSTS, PEERS = 50, 8
FEWEST, MOST = 100, 10_000
AROUND = (-60.0, 120.0)
"""Seconds; the window is from 0 to 60."""
CHANGED = 10
"""One host in so many changes its clock."""
ASKED = 100_000
"""Messages between any two hosts whose latency is held against the truth."""
BEGIN_NS, WINDOW_NS = 1_790_000_000 * 10**9, 60 * 10**9
_UPTIME_NS = 86_400 * 10**9
_BIN_NS, _TICK_NS = 250_000_000, 5 * 10**9


class World(NamedTuple):
    """What was heard, and what is true."""

    clock: pa.Table
    reading: pa.Table
    clocks: list[Shows]
    pairs: int
    messages: int
    """Those of all pairs, both ways."""


def world(least: int, most: int, seed: int = 8) -> World:
    """Make a fleet whose pairs exchange so many messages a minute each way."""
    rng = np.random.default_rng(seed)
    clocks = [straight(0, 0), *(_clock(rng, number) for number in range(1, HOSTS))]
    pairs, rows, messages = _pairs(rng), [], 0
    for a, b in pairs:
        size = round(3 * float(np.exp(rng.uniform(np.log(least), np.log(most)))))
        for one, other in ((a, b), (b, a)):
            path = Path(rng.uniform(20, 200) * MICRO, rng.uniform(2, 20) * MICRO)
            sent = np.sort(rng.uniform(AROUND[0] * SECOND, AROUND[1] * SECOND, size))
            arrived = sent + path.delays(rng, size)
            rows += _rows((one, other), _shown(clocks[one], sent), _shown(clocks[other], arrived))
            messages += size
    readings = [row for number, clock in enumerate(clocks) for row in _readings(number, clock)]
    clock, reading = (
        pa.Table.from_pylist(some, KINDS[kind]) for kind, some in (("clock", rows), ("reading", readings))
    )
    return World(clock, reading, clocks, len(pairs), messages)


def _shown(clock: Shows, true: F64) -> I64:
    shown: I64 = np.rint(clock(true)).astype(np.int64) + _UPTIME_NS
    return shown


def _rows(who: tuple[int, int], sent: I64, arrived: I64) -> list[dict[str, object]]:
    """Return a row for each tick, as the consumer makes them."""
    order = np.lexsort((arrived - sent, sent // _BIN_NS))
    tightest = order[np.flatnonzero(np.diff(sent[order] // _BIN_NS, prepend=-1))]
    sent, arrived = sent[tightest], arrived[tightest]
    starts = np.flatnonzero(np.diff(sent // _TICK_NS, prepend=-1))
    sender, receiver = who
    return [
        {
            "topic_partition": 0,
            "tick": int(sent[begin] // _TICK_NS),
            "at_ns": int(sent[begin]) - _UPTIME_NS + BEGIN_NS,
            "sender_host": f"host-{sender}",
            "sender_boot": f"boot-{sender}",
            "receiver_host": f"host-{receiver}",
            "receiver_boot": f"boot-{receiver}",
            "sent_times": sent[begin:end].tolist(),
            "arrived_times": arrived[begin:end].tolist(),
        }
        for begin, end in zip(starts, [*starts[1:], sent.size], strict=True)
    ]


def _readings(number: int, clock: Shows) -> list[dict[str, object]]:
    now = _shown(clock, np.arange(AROUND[0] * SECOND, AROUND[1] * SECOND, SECOND))
    return [
        {
            "topic_partition": 0,
            "tick": 0,
            "host": f"host-{number}",
            "boot": f"boot-{number}",
            "epoch": 0,
            "at_ns": one - _UPTIME_NS + BEGIN_NS,
            "monotonic_ns": one,
            "raw_offset_ns": -1_000,
            "width_ns": 200,
            "realtime_offset_ns": BEGIN_NS - _UPTIME_NS,
        }
        for one in now.tolist()
    ]


def _clock(rng: np.random.Generator, number: int) -> Shows:
    offset, slope = rng.uniform(-10, 10) * SECOND, rng.uniform(-50e-6, 50e-6)
    clock = wandering(offset, slope, 0.05e-6, 60 * SECOND)
    at = rng.uniform(5, 50) * SECOND
    if number % (2 * CHANGED) == 0:
        return stepping(clock, at, rng.uniform(-5_000, 5_000) * MICRO)
    if number % CHANGED == 0:
        return slewing(clock, at, at + 20 * SECOND, 20e-6)
    return clock


def _pairs(rng: np.random.Generator) -> list[tuple[int, int]]:
    """Return a chain, so that all are joined, and random pairs."""
    pairs = {(host, host + 1) for host in range(HOSTS - 1)}
    while len(pairs) < HOSTS * PEERS // 2:
        a, b = sorted(rng.choice(HOSTS, 2, replace=False).tolist())
        pairs.add((a, b))
    return sorted(pairs)


def solved(made: World) -> Solved:
    """Solve the window and say what came out: one window's work."""
    found = solve_window(BEGIN_NS, WINDOW_NS, made.clock, made.reading)
    found.rows  # noqa: B018 - made when asked for
    return found


def check(made: World, found: Solved) -> tuple[float, float]:
    """Return the 95th percentile of the errors of latencies, ns, and the share of bounds that hold."""
    rng = np.random.default_rng(1)
    sender = rng.integers(HOSTS, size=ASKED)
    receiver = (sender + rng.integers(1, HOSTS, ASKED)) % HOSTS
    sent, truth = rng.uniform(0, WINDOW_NS, ASKED), rng.exponential(300 * MICRO, ASKED)
    stamps = np.empty((2, ASKED), dtype=np.int64)
    for number, clock in enumerate(made.clocks):
        for stamp, who, true in zip(stamps, (sender, receiver), (sent, sent + truth), strict=True):
            stamp[who == number] = _shown(clock, true[who == number])
    boots = (pa.array([f"boot-{number}" for number in who.tolist()]) for who in (sender, receiver))
    latency, bound = found.correct(*boots, *stamps)
    wrong, known = np.abs(latency - truth), bound >= 0
    return float(np.percentile(wrong[known], 95)), float((wrong <= bound + 1)[known].mean())
