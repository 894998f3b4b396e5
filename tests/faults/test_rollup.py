# SPDX-License-Identifier: Apache-2.0
"""The roll-up of real records is killed, doubled, run beside a consumer and housekeeping: each row once."""

import os
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.units import Duration
from lake.maintain import Maintainer
from lake.rollup import OUTPUTS, ROLLUP_POINTS
from lake.settings import KeepSettings, MaintainSettings
from support.apart import ApartFleet, talk
from support.consumer import World, halted, read_kind, wait_for
from support.faults import Faults
from support.rollup_runner import Runner
from support.topics import Topics

HOUR_NS = 3600 * 10**9
START_NS = 10**12


class Filled:
    """A lake of which hosts talked at the end of one hour and at the beginning of the next."""

    def __init__(self, kafka: str, folder: Path) -> None:
        self.world = World(kafka, Topics(kafka), folder, 2)
        self.lake = folder / "lake"
        hour = time.time_ns() // HOUR_NS * HOUR_NS - 3 * HOUR_NS
        self.fleet = ApartFleet(shards=2, connections=2, realtime_offset_ns=hour - 65 * 10**9 - START_NS)
        talk(self.world, self.fleet, 130)
        self.world.consume()
        self.now_ns = hour + 2 * HOUR_NS

    def stored(self) -> int:
        rows = read_kind(self.lake, "ledger").to_pylist()
        return sum(row["events"] for row in rows if (row["stage"], row["reason"]) == ("consumer", "stored"))


def rolled(lake: Path) -> dict[str, Counter[str]]:
    """What a lake has of each kind that is rolled up."""
    return {kind: Counter(map(repr, read_kind(lake, kind).to_pylist())) for kind in OUTPUTS}


def counted(lake: Path) -> Counter[tuple[Any, ...]]:
    """Messages of each hour and edge, by the roll-up."""
    found: Counter[tuple[Any, ...]] = Counter()
    for row in read_kind(lake, "rollup").to_pylist():
        if (row["measure"], row["window_ns"]) == ("delivery", HOUR_NS):
            found[row["window_start_ns"], row["edge"]] += row["seen"]
    return found


def messages(lake: Path) -> Counter[tuple[Any, ...]]:
    """Messages of each hour and edge, by their rows."""
    rows = read_kind(lake, "match").to_pylist()
    return Counter((row["sent_at_ns"] // HOUR_NS * HOUR_NS, row["edge"]) for row in rows)


@pytest.fixture(scope="module")
def filled(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Filled:
    return Filled(kafka, tmp_path_factory.mktemp("filled"))


@pytest.fixture(scope="module")
def runners() -> Iterator[tuple[Runner, Runner]]:
    with Runner() as one, Runner() as other:
        yield one, other


def test_a_roll_up_that_is_killed_or_meets_another_is_there_once(
    filled: Filled, runners: tuple[Runner, Runner], faults: Faults, tmp_path: Path
) -> None:
    """SIGKILL at each point of its two commits, and one that stands still while another does it all."""
    one, other = runners
    shutil.copytree(filled.lake, tmp_path / "calm")
    assert one.run(tmp_path / "calm", filled.now_ns) == 0
    calm = rolled(tmp_path / "calm")
    assert counted(tmp_path / "calm") == messages(filled.lake)
    assert len({begin for begin, _ in counted(tmp_path / "calm")}) == 2
    times = faults.times(42, 2)
    for number in range(times):
        lake = tmp_path / f"killed-{number}"
        shutil.copytree(filled.lake, lake)
        point, passage = ROLLUP_POINTS[number % len(ROLLUP_POINTS)], 1 + number // len(ROLLUP_POINTS) % 2
        assert one.run(lake, filled.now_ns, point, passage=passage) == -signal.SIGKILL
        assert one.run(lake, filled.now_ns) == 0
        assert rolled(lake) == calm
    points = ("after-check", "after-parquet")[: faults.times(2, 1)]
    for point in points:
        lake = tmp_path / f"met-{point}"
        shutil.copytree(filled.lake, lake)
        pid = one.start(lake, filled.now_ns, point, how="halt")
        wait_for(lambda pid=pid: halted(pid))  # type: ignore[misc]
        assert other.run(lake, filled.now_ns) == 0
        os.kill(pid, signal.SIGCONT)
        assert one.answer() == 1
        assert rolled(lake) == calm
    faults.tell(
        "roll-up killed (SIGKILL) at each point of its commits, and two at once",
        events=filled.fleet.events,
        stored=filled.stored(),
        times=times + len(points),
    )


def test_rows_that_come_late_while_files_are_merged_and_rolled_up_are_counted_once(
    filled: Filled, runners: tuple[Runner, Runner], faults: Faults
) -> None:
    """Two roll-ups and housekeeping go round and round while a consumer adds to hours that were rolled up."""
    one, other = runners
    stop = threading.Event()
    codes: list[int] = []

    def go_round(runner: Runner) -> None:
        while not stop.is_set():
            codes.append(runner.run(filled.lake, filled.now_ns))

    def merge() -> None:
        settings = MaintainSettings(vacuum_every=Duration.parse("100d"))
        maintainer = Maintainer.open(str(filled.lake), {}, settings, KeepSettings())
        while not stop.is_set():
            maintainer.run()

    threads = [threading.Thread(target=go_round, args=(runner,)) for runner in runners]
    threads.append(threading.Thread(target=merge))
    for thread in threads:
        thread.start()
    try:
        for _ in range(faults.times(10, 2)):
            talk(filled.world, filled.fleet, 8)
            filled.world.consume()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert set(codes) <= {0, 1}
    assert one.run(filled.lake, filled.now_ns) == 0
    assert counted(filled.lake) == messages(filled.lake)
    found = rolled(filled.lake)
    assert max(found["rollup"].values()) == max(found["exemplar"].values()) == 1
    assert other.run(filled.lake, filled.now_ns, "before-parquet") == 0, "nothing was left to do"
    faults.tell(
        "two roll-ups and housekeeping beside a consumer of late events",
        events=filled.fleet.events,
        stored=filled.stored(),
    )
