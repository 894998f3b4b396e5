# SPDX-License-Identifier: Apache-2.0
"""Goal 7: events a second through the consumer on one core, from Kafka record to committed match.

The real pipeline and a row-at-a-time consumer of such records (row_consumer.py), in turn, each in a process
of its own, bound to one core; a real Apache Kafka (tests/support/kafka.py) is bound to the others. Run:
``python -m bench.consumer [--recorded FILE]``; FILE is made by ``python -m bench.recorded.record``.

Wall-clock figures need a machine that does nothing else; the CPU figures beside them hold on a busy one too.
"""

import argparse
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from confluent_kafka import Producer

from bench import recorded, row_consumer
from bench.report import report
from common.config import load
from common.log import setup_logging
from consumer.cli import run
from consumer.settings import ConsumerSettings
from lake.facts import Facts
from schemas import batch as codec
from support.batches import Fleet
from support.kafka import KafkaNode
from support.topics import Topics

SHARDS = 4
CONNECTIONS = 30
MESSAGES = 45
"""A batch then holds about 3,930 events: close to the 4,096 that an agent sends at most."""
ROUNDS = 3
RATIO, RATE = 8.0, 1_000_000


class Stretch(NamedTuple):
    """One run over one topic."""

    events: int
    matches: int
    seconds: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Events a second of wall-clock time."""
        return self.events / self.seconds

    @property
    def cpu_per_event(self) -> float:
        """Seconds of CPU, of all threads."""
        return self.cpu_seconds / self.events


class Place(NamedTuple):
    """What both consumers are told."""

    bootstrap: str
    topics: dict[str, str]
    ends: dict[int, int]
    lake: str


def ours(place: Place) -> tuple[int, int]:
    """Run the real pipeline to the end."""
    told = {**{f"kafka.{name}-topic": topic for name, topic in place.topics.items()}, "lake.uri": place.lake}
    told |= {"kafka.bootstrap-servers": place.bootstrap, "kafka.shards": str(len(place.ends))}
    settings = load(ConsumerSettings, overrides=[f"{key}={value}" for key, value in told.items()])
    totals = run(settings, threading.Event(), until_end=True)
    return totals.events, totals.rows["match"]


def theirs(place: Place) -> tuple[int, int]:
    """Run the row-at-a-time consumer to the end."""
    lake = Facts.open(place.lake)
    return row_consumer.consume(place.bootstrap, place.topics["events"], place.ends, lake)


def measured(consume: Callable[[Place], tuple[int, int]], place: Place, core: int) -> Stretch:
    """Run a consumer in a process of its own on one core; imports are not timed."""
    context = multiprocessing.get_context("fork")
    ours_end, child_end = context.Pipe()
    process = context.Process(target=_in_child, args=(consume, place, core, child_end))
    process.start()
    answer: Stretch = ours_end.recv()
    process.join()
    return answer


def _in_child(
    consume: Callable[[Place], tuple[int, int]],
    place: Place,
    core: int,
    answer: "multiprocessing.connection.Connection[Stretch, None]",
) -> None:
    os.sched_setaffinity(0, {core})
    setup_logging("json", "error")
    begun, used = time.perf_counter(), _cpu()
    events, matched = consume(place)
    answer.send(Stretch(events, matched, time.perf_counter() - begun, _cpu() - used))
    os._exit(0)


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def produce(
    bootstrap: str, topic: str, records: Iterable[tuple[int, bytes]]
) -> tuple[dict[int, int], int, int]:
    """Fill a topic; return the partitions' ends, the events and the bytes of the values."""
    producer = Producer({"bootstrap.servers": bootstrap, "compression.type": "zstd", "linger.ms": 50})
    ends: dict[int, int] = {}
    events = size = 0
    for partition, value in records:
        producer.produce(topic, value=value, partition=partition)
        producer.poll(0)
        batch = codec.decode(value)
        ends = ends or dict.fromkeys(range(batch.shards), 0)
        ends[partition] += 1
        events += batch.events
        size += len(value)
    assert producer.flush(60) == 0
    return ends, events, size


def traffic(arguments: argparse.Namespace, events: int) -> Iterable[tuple[int, bytes]]:
    """Yield the records of about so many events: recorded ones, or made ones."""
    if arguments.recorded:
        return recorded.copies(list(recorded.read(arguments.recorded)), events)
    fleet = Fleet(shards=SHARDS, connections=CONNECTIONS, realtime_offset_ns=time.time_ns() - 10**12)
    rounds = max(1, round(events / (SHARDS * CONNECTIONS * 2 * MESSAGES * 2.9)))
    return (record for _ in range(rounds) for record in fleet.talk(MESSAGES))


def bench(arguments: argparse.Namespace, folder: Path) -> list[tuple[Stretch, Stretch]]:
    """Run both, in turn."""
    cores = sorted(os.sched_getaffinity(0))
    shards = codec.decode(next(iter(traffic(arguments, 1)))[1]).shards
    with KafkaNode(folder / "kafka", heap="1g") as node:
        _bind(node.pid, set(cores[1:]) or set(cores))
        topics = Topics(node.bootstrap)
        places = {}
        for name, events in (("ours", arguments.events), ("rows", arguments.row_events)):
            named = {kind: topics(kind, shards) for kind in ("events", "control", "latency", "poison")}
            ends, produced, size = produce(node.bootstrap, named["events"], traffic(arguments, events))
            print(
                f"{name}: {sum(ends.values()):,} records, {produced:,} events, {size / produced:.1f} B/event"
            )
            places[name] = Place(node.bootstrap, named, ends, "")
        pairs = []
        for number in range(ROUNDS):
            lakes = {name: str(folder / f"{name}-{number}") for name in places}
            a = measured(ours, places["ours"]._replace(lake=lakes["ours"]), cores[0])
            b = measured(theirs, places["rows"]._replace(lake=lakes["rows"]), cores[0])
            pairs.append((a, b))
            _tell("wirelag", a)
            _tell("rows", b)
    return pairs


def _bind(pid: int, cores: set[int]) -> None:
    """Bind every thread of a process to these cores."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)


def _tell(name: str, stretch: Stretch) -> None:
    print(
        f"  {name:8} {stretch.events:>10,} events {stretch.matches:>9,} matches in {stretch.seconds:6.2f} s: "
        f"{stretch.rate:>11,.0f} events/s, {stretch.cpu_per_event * 1e9:7.0f} ns CPU/event"
    )


def main() -> int:
    """Run the benchmark; 0 means that it ran, not that the goal is met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recorded", type=Path, help="replay this file instead of made traffic")
    parser.add_argument("--events", type=int, default=8_000_000, help="events of one run (8,000,000)")
    parser.add_argument("--row-events", type=int, default=300_000, help="events of one run of the reference")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wirelag-bench-") as folder:
        pairs = bench(arguments, Path(folder))
    # By CPU: the reference's wall-clock time is partly waiting, which would flatter us.
    ratio = statistics.median(b.cpu_per_event / a.cpu_per_event for a, b in pairs)
    rate = statistics.median(a.rate for a, _ in pairs)
    busy = statistics.median(1 / a.cpu_per_event for a, _ in pairs)
    print(f"one core: {rate:,.0f} events/s ({busy:,.0f} per second of CPU), {ratio:.1f} times the rows' CPU")
    print("scaling over processes is not measured: broker and consumer would share two cores here")
    report("consumer-cpu-against-rows", ratio, RATIO, at_least=True)
    report("consumer-events-per-second-on-one-core", rate / RATE, 1.0, at_least=True)
    report("consumer-events-per-cpu-second", busy / RATE, 1.0, at_least=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
