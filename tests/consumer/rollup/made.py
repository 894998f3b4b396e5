# SPDX-License-Identifier: Apache-2.0
"""Facts with a known truth, committed to a real lake; clocks are apart by what a boot's name says.

`StandIn` solves a window by the number of rows it is given, so that one missing around it shows.
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from common.units import Duration
from consumer.latency.histogram import bucket_of
from consumer.latency.intervals import I64
from consumer.rollup.job import Job
from lake.facts import Facts, PartitionCommit
from lake.maintain import Maintainer
from lake.rollup import RollUps
from lake.settings import KeepSettings, MaintainSettings
from lake.settled import Waits
from schemas.event import Flag
from schemas.tables import KINDS

SECOND, MINUTE, HOUR = 10**9, 60 * 10**9, 3600 * 10**9
DAY_INDEX = 20_000 * 24
"""The first hour of a day."""
BEGIN = DAY_INDEX * HOUR
HOSTS = ("alpha", "beta", "gamma")
AHEAD = {"alpha-1": 0, "beta-1": 7 * HOUR + 123, "gamma-1": -3 * MINUTE}
"""How far a boot's CLOCK_MONOTONIC is ahead."""
MEASURES = (("receive-wait", "one_host"), ("send-block", "one_host"), ("delivery", "same_host"),
            ("server-turn", "one_host"), ("network", "two_hosts"))  # fmt: skip
WAITS = Waits(2 * MINUTE, 20 * MINUTE)
TOPIC, TOPIC_ID = "wirelag.events.v1", "k3Jx_0aTQ-rollup"


class Corrected(NamedTuple):
    latency: I64
    bound: I64


class StandIn:
    """Corrects by the truth; the bound is the number of rows it was given, -1 without any of kind clock."""

    def __init__(self, begin: int, length: int, clock: pa.Table, reading: pa.Table) -> None:
        self.bound = clock.num_rows * 1000 + reading.num_rows if clock.num_rows else -1
        times = clock["at_ns"].to_pylist()
        assert all(begin - MINUTE <= at < begin + length + MINUTE for at in times)
        assert times == sorted(times)
        row: dict[str, Any] = dict.fromkeys(KINDS["clock_solution"].names)
        row |= {"window_start_ns": begin, "window_ns": length, "status": "bounded",
                "messages_there": clock.num_rows, "messages_back": reading.num_rows}  # fmt: skip
        self.rows = pa.Table.from_pylist([row], KINDS["clock_solution"])

    def correct(self, sender: pa.Array, receiver: pa.Array, sent: I64, received: I64) -> Corrected:
        apart = [AHEAD[b] - AHEAD[a] for a, b in zip(sender.to_pylist(), receiver.to_pylist(), strict=True)]
        latency = received - sent - np.array(apart, dtype=np.int64)
        return Corrected(latency, np.full(latency.size, self.bound))


def seeded(seed: int) -> random.Random:
    """Return a source of the same numbers each time."""
    return random.Random(seed)  # noqa: S311 - no secret


def part_row(rng: random.Random, at: int, **given: Any) -> dict[str, Any]:
    """A histogram part of some values in the window of a moment."""
    values = given.pop(
        "values", [rng.choice([-5, 0, 1, 70, 4_000, 10**6, rng.randrange(10**9)]) for _ in range(3)]
    )
    positive = sorted(bucket_of(np.array([v for v in values if v > 0], dtype=np.int64)).tolist())
    buckets = sorted(set(positive))
    measure, clock = rng.choice(MEASURES)
    row = {
        "topic_partition": 0, "tick": 0, "window_start_ns": at // MINUTE * MINUTE, "window_ns": MINUTE,
        "edge": rng.choice(["a -> b", "b -> a"]), "sender_host": rng.choice([*HOSTS[:2], None]),
        "receiver_host": rng.choice(HOSTS[:2]), "measure": measure, "clock": clock, "n": len(values),
        "seen": len(values) + rng.randrange(2), "negative": sum(v < 0 for v in values), "sum_ns": sum(values),
        "min_ns": min(values, default=None), "max_ns": max(values, default=None), "scale": 5,
        "buckets": buckets, "counts": [positive.count(b) for b in buckets],
        "keep": rng.choice([None, 1.0, 0.25]),
        "spoiled": rng.randrange(3) if measure == "server-turn" else None,
    }  # fmt: skip
    return row | given


def match_row(rng: random.Random, at: int, **given: Any) -> dict[str, Any]:
    """A match of a send at a moment; between hosts it has no `delivery_ns` that could be believed."""
    cross = rng.random() < 0.8
    one, other = rng.sample(HOSTS, 2) if cross else [rng.choice(HOSTS)] * 2
    truth = rng.choice([rng.randrange(50_000), rng.randrange(10**7), 300])
    mono = at - BEGIN + 5 * HOUR
    boots = f"{one}-1", f"{other}-1"
    wait = rng.choice([None, rng.randrange(200)])
    flags = int(Flag.LAST_PIECE) | (int(Flag.NO_ROLE) if rng.random() < 0.1 else 0)
    row = {
        "topic_partition": 0, "tick": 0, "connection": rng.randrange(1 << 40), "direction": rng.randrange(2),
        "edge": rng.choice(["a -> b", "b -> a"]), "sender_host": one, "sender_process": "x", "sender_pid": 1,
        "sender_address": "::1", "sender_port": 1, "receiver_host": other, "receiver_process": "y",
        "receiver_pid": 2, "receiver_address": "::2", "receiver_port": 2, "begin": 0,
        "end": rng.randrange(1, 9), "sent_at_ns": at, "send_block_ns": 5,
        "delivery_ns": 10**15 if cross else truth, "receive_wait_ns": wait,
        "wire_ns": None if wait is None else (10**15 if cross else truth) - wait,
        "clock": "unsynced" if cross else "same_host", "last_piece": rng.random() < 0.9, "flags": flags,
        "sender_boot": boots[0] if cross else None, "receiver_boot": boots[1] if cross else None,
        "sent_monotonic_ns": mono + AHEAD[boots[0]] if cross else None,
        "received_monotonic_ns": mono + AHEAD[boots[1]] + truth if cross else None,
        "keep": rng.choice([None, None, 0.5]),
    }  # fmt: skip
    return row | given


def clock_row(rng: random.Random, at: int) -> dict[str, Any]:
    one, other = rng.sample(HOSTS, 2)
    return {
        "topic_partition": 0, "tick": 0, "at_ns": at, "sender_host": one, "sender_boot": f"{one}-1",
        "receiver_host": other, "receiver_boot": f"{other}-1", "sent_times": [at], "arrived_times": [at + 5],
    }  # fmt: skip


def reading_row(rng: random.Random, at: int) -> dict[str, Any]:
    host = rng.choice(HOSTS)
    return {
        "topic_partition": 0, "tick": 0, "host": host, "boot": f"{host}-1", "epoch": 1, "at_ns": at,
        "monotonic_ns": at, "raw_offset_ns": 1, "width_ns": 2, "realtime_offset_ns": 3, "error_ns": None,
    }  # fmt: skip


def some_rows(rng: random.Random, begin: int, end: int, count: int) -> dict[str, list[dict[str, Any]]]:
    """Rows of every sort at random moments in [begin, end)."""
    makers = {"histogram": part_row, "match": match_row, "clock": clock_row, "reading": reading_row}
    shares = {"histogram": 4, "match": 6, "clock": 2, "reading": 1}
    return {
        kind: [make(rng, rng.randrange(begin, end)) for _ in range(shares[kind] * count)]
        for kind, make in makers.items()
    }


@dataclass
class Lake:
    """A lake whose one partition's records this test makes up, and the clock of who asks."""

    path: Path
    now_ns: int = BEGIN + 30 * HOUR
    _next: int = 0
    _facts: dict[str, Facts] = field(default_factory=dict)

    @property
    def facts(self) -> Facts:
        if "" not in self._facts:
            self._facts[""] = Facts.open(str(self.path), now_ns=lambda: self.now_ns)
        return self._facts[""]

    def put(self, rows: Mapping[str, Iterable[Mapping[str, Any]]], reached: int, *, flushed: bool = False,
            hours: int | None = None) -> None:  # fmt: skip
        """Commit rows, with the partition read up to a moment; ``hours`` files them all in one hour."""
        times = {"histogram": "window_start_ns", "match": "sent_at_ns", "clock": "at_ns", "reading": "at_ns"}
        tables = {}
        for kind, found in rows.items():
            listed = list(found)
            table = pa.Table.from_pylist(listed, KINDS[kind])
            index = [row[times[kind]] // HOUR if hours is None else hours for row in listed]
            tables[kind] = table.append_column("hour_index", pa.array(index, pa.int64()))
        begin, self._next = self._next, self._next + 1
        part = PartitionCommit(
            TOPIC, TOPIC_ID, 0, begin, self._next, b"s", flushed, tables, (), reached_ns=reached
        )
        self.facts.commit([part])

    def job(self, **options: Any) -> Job:
        """What rolls it up."""
        lake = options.pop("lake", None) or RollUps.open(
            str(self.path), trace=options.pop("trace", lambda _: None)
        )
        return Job(lake, WAITS, options.pop("solve", StandIn), now_ns=lambda: self.now_ns, **options)


def line_of(lake: Lake) -> int:
    """Up to when the lake says that its windows are settled."""
    roll_ups = RollUps.open(str(lake.path))
    return roll_ups.settled_to(WAITS, lake.now_ns)


def maintainer(lake: Lake, **keep: Duration) -> Maintainer:
    """Housekeeping that merges whatever it can."""
    made = Maintainer.open(str(lake.path), {}, MaintainSettings(), KeepSettings(**keep))
    made.now_ns = lambda: lake.now_ns
    return made
