# SPDX-License-Identifier: Apache-2.0
"""How fast the spool writes what Kafka does not take, beside what the disk itself does with the same fsyncs.

Values of 32 to 64 KB that do not compress go through the spool's queue and thread as in the agent, and count
once they are on the disk (WAL, synchronous=FULL) with all files closed. Rounds alternate with a loop of write
and fdatasync for each MiB of as many bytes: the disk's own limit.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from agent.spool.keeper import ENOUGH_BYTES, Keeper
from agent.spool.limits import Limits
from agent.spool.record import Record, Run
from agent.spool.store import Store

ROUNDS = 5
ROUND_BYTES = 256 * 2**20
QUEUE_BYTES = 32 * 2**20
GOAL = 100.0
FOLDER = Path("/var/tmp")  # noqa: S108 - a disk, which /tmp may not be


def records() -> list[Record]:
    """Return what one round writes."""
    made: list[Record] = []
    size = 0
    while size < ROUND_BYTES:
        number = len(made)
        value = os.urandom(32_000 + number * 7_919 % 32_000)
        made.append(Record(number % 12, number, 4096, number, value))
        size += len(value)
    return made


def spool(folder: Path, load: list[Record]) -> float:
    """Return the seconds until everything is on the disk, the files closed."""
    limits = Limits(2**34, 1.0, 64 * 2**20, "drop-oldest")
    keeper = Keeper(Store(folder, limits, Run("bench", "boot", 1, 12), 0), QUEUE_BYTES)
    keeper.start()
    begin = time.perf_counter()
    for record in load:
        while not keeper.put(record):
            time.sleep(0.001)
    keeper.stop(600.0)
    seconds = time.perf_counter() - begin
    assert not keeper.take(), "nothing was lost"
    return seconds


def raw(path: Path, load: list[Record]) -> float:
    """Return the seconds to append the same bytes to a file, with an fsync for each MiB."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        begin = time.perf_counter()
        size = 0
        for record in load:
            size += os.write(descriptor, record.value)
            if size >= ENOUGH_BYTES:
                os.fdatasync(descriptor)
                size = 0
        os.fdatasync(descriptor)
        return time.perf_counter() - begin
    finally:
        os.close(descriptor)


def main() -> None:
    """Measure in alternation and print; the last line is the goal's JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="on the disk to measure")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    load = records()
    megabytes = sum(len(one.value) for one in load) / 1e6
    rates: dict[str, list[float]] = {"spool": [], "disk": []}
    for number in range(arguments.rounds):
        with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="wirelag-bench-") as made:
            rates["disk"].append(megabytes / raw(Path(made) / "raw", load))
            rates["spool"].append(megabytes / spool(Path(made) / "spool", load))
        print(f"round {number + 1}: spool {rates['spool'][-1]:.0f} MB/s, disk {rates['disk'][-1]:.0f} MB/s")
    ours, disk = (statistics.median(rates[name]) for name in ("spool", "disk"))
    print(f"{megabytes:.0f} MB a round in {len(load)} records; medians: {ours:.0f} and {disk:.0f} MB/s")
    met = ours >= min(GOAL, disk)
    goal = {"goal": "spool-write", "unit": "MB/s", "target": GOAL, "value": round(ours, 1)}
    print(json.dumps({**goal, "disk": round(disk, 1), "met": met}))


if __name__ == "__main__":
    main()
