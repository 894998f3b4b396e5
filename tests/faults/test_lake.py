# SPDX-License-Identifier: Apache-2.0
"""The lake's own faults: damaged states, a commit cut off, garbage, a full disk, killed housekeeping."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from deltalake import DeltaTable

from lake import facts as module
from lake.check import check
from lake.errors import LakeCorruptError, LakeError
from lake.facts import Facts
from lake.maintain import MAINTAIN_POINTS
from schemas.tables import KINDS
from support import small_disk
from support.batches import Fleet
from support.consumer import Runner, World, halted, read_kind, wait_for
from support.faults import Faults
from support.kafka import ROOT
from support.topics import Topics
from support.worker import Worker
from tests.lake.keeping import maintainer
from tests.lake.killed_writer import PARTITIONS
from tests.lake.synthetic import EVENT_KINDS, expected, part, stored

OWN = "consumer.tick=20ms"
SMALL = ("consumer.poll-records=4", "consumer.cycle-bytes=1B", OWN)


@pytest.fixture
def world(kafka: str, topics: Topics, tmp_path: Path) -> World:
    return World(kafka, topics, tmp_path, shards=2)


def kept(world: World, lake: str = "lake") -> int:
    """Return the events that the lake has."""
    rows = read_kind(world.folder / lake, "ledger").to_pylist()
    return sum(row["events"] for row in rows if (row["stage"], row["reason"]) == ("consumer", "stored"))


def assert_same(world: World, one: str, other: str) -> None:
    for kind in KINDS:
        if kind != "progress":
            assert world.rows(kind, one) == world.rows(kind, other), kind


def newest_states(folder: Path) -> list[Path]:
    """Return the state objects that a take-over would begin with."""
    found = []
    for place in folder.glob("_state/*/*"):
        last = max(int(path.name.partition("-")[0]) for path in place.iterdir())
        found += list(place.glob(f"{last}-*"))
    return found


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[random.Random(len(content)).randrange(len(content))] ^= 0x10  # noqa: S311 - not for secrets
    path.write_bytes(content)


HARMS: dict[str, Callable[[Path], object]] = {
    "a bit flipped": _flip,
    "torn in the middle": lambda path: os.truncate(path, path.stat().st_size // 2),
    "cut to nothing": lambda path: os.truncate(path, 0),
    "deleted": Path.unlink,
}


def test_the_newest_states_are_damaged(world: World, faults: Faults) -> None:
    fleet = Fleet(shards=world.shards)
    times = faults.times(24, 4)
    for number in range(times):
        world.send(fleet.talk(4))
        world.consume(*SMALL)
        assert not maintainer(str(world.folder / "lake")).run().failed
        harm = list(HARMS.values())[number % len(HARMS)]
        damaged = newest_states(world.folder / "lake")
        assert damaged
        for path in damaged:
            harm(path)
    begin = time.monotonic()
    world.send(fleet.talk(4))
    world.consume(*SMALL)
    recovery = time.monotonic() - begin
    world.consume(OWN, lake="undisturbed")
    assert len(world.rows("match")) == fleet.sends
    assert world.rows("match") == world.rows("match", "undisturbed")
    assert check(str(world.folder / "lake"), {}, deep=True).faults == []
    faults.tell(
        "newest state objects damaged (bit flipped, torn, empty, deleted)",
        events=fleet.events,
        stored=kept(world),
        recovery_seconds=recovery,
        times=times,
    )


def test_damaged_states_whose_records_kafka_deleted_are_an_error(world: World) -> None:
    """Nothing is guessed: the error names the state object and the records."""
    fleet = Fleet(shards=world.shards)
    for _ in range(3):
        world.send(fleet.talk(8))
        world.consume(*SMALL)
    before = world.rows("match")
    for path in newest_states(world.folder / "lake"):
        path.write_bytes(b"")
    for number in range(world.shards):
        world.delete_records(world.events, number, -1)
    with pytest.raises(LakeCorruptError, match=r"_state/.*To make that state again Kafka would have to have"):
        world.consume(*SMALL)
    assert world.rows("match") == before


def test_the_last_commit_is_cut_to_nothing(world: World, faults: Faults) -> None:
    fleet = Fleet(shards=world.shards)
    times = faults.times(20, 2)
    for _ in range(times):
        world.send(fleet.talk(4))
        world.consume(*SMALL)
        last = max((world.folder / "lake" / "_delta_log").glob("*.json"))
        os.truncate(last, 0)
        [fault] = check(str(world.folder / "lake"), {}, deep=False).faults
        assert "start a consumer" in fault.remedy
    world.consume(OWN)
    world.consume(OWN, lake="undisturbed")
    assert len(world.rows("match")) == fleet.sends
    assert world.rows("match") == world.rows("match", "undisturbed")
    faults.tell("last log file cut to nothing", events=fleet.events, stored=kept(world), times=times)


def test_a_partition_moves_to_a_process_in_another_folder(
    world: World, tmp_path: Path, faults: Faults
) -> None:
    fleet = Fleet(shards=world.shards)
    for _ in range(10):
        world.send(fleet.talk(8))
    world.consume(OWN, lake="one")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with Runner(world) as here, Runner(world, cwd=elsewhere) as there:
        assert here.run(*SMALL, lake="moved", kill=("after-commit", 3)) == -signal.SIGKILL
        assert there.run(*SMALL, lake="moved", kill=("after-commit", 3)) == -signal.SIGKILL
        assert here.run(*SMALL, lake="moved") == 0
    assert len(world.rows("match", "moved")) == fleet.sends
    assert_same(world, "one", "moved")
    assert list(elsewhere.iterdir()) == []
    faults.tell(
        "partitions moved between processes with other folders, killed (SIGKILL)",
        events=fleet.events,
        stored=kept(world, "moved"),
        times=2,
    )


def test_the_lakes_disk_is_full_and_then_freed(world: World, tmp_path: Path, faults: Faults) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    fleet = Fleet(shards=world.shards)
    world.send(fleet.talk(8))
    told = world.overrides(*SMALL, "consumer.cycle=10ms", lake="disk/lake")
    times = faults.times(8, 1)
    with Worker(small_disk.PREFIX) as worker:
        worker.run(small_disk.mount, str(disk), 16_384)
        assert worker.run(small_disk.consume, told) == ""
        for number in range(times):
            left = 4_096 * (2 + number % 8)
            worker.run(small_disk.fill, str(disk), left)
            before = worker.run(small_disk.used, str(disk))
            world.send(fleet.talk(30))
            why = worker.run(small_disk.consume, told)
            assert "full" in why or "No space" in why or "resume from the table" in why
            assert worker.run(small_disk.used, str(disk)) - before <= left
            worker.run(small_disk.free, str(disk))
            begin = time.monotonic()
            assert worker.run(small_disk.consume, told) == ""
            recovery = time.monotonic() - begin
        matches = worker.run(small_disk.rows, str(disk / "lake"), "match")
        ledger = worker.run(small_disk.rows, str(disk / "lake"), "ledger")
    world.consume(OWN, lake="undisturbed")
    assert matches == world.rows("match", "undisturbed")
    names = [*KINDS["ledger"].names]
    place = names.index("stage"), names.index("reason"), names.index("events")
    events = sum(row[place[2]] for row in ledger if (row[place[0]], row[place[1]]) == ("consumer", "stored"))
    faults.tell(
        "lake's disk full, then freed",
        events=fleet.events,
        stored=events,
        recovery_seconds=recovery,
        times=times,
    )


def _program(module: str, *arguments: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", module, *map(str, arguments)], cwd=ROOT)


def _suspended(folder: str) -> tuple[subprocess.Popen[bytes], int]:
    """Return a writer that stands still with all its files written and none of them committed."""
    Facts.open(folder)
    writer = _program("tests.lake.killed_writer", folder, 10, 60, "after-sync", 3, "SIGSTOP")
    wait_for(lambda: halted(writer.pid))
    return writer, Facts.open(folder)._table.version


def test_garbage_is_deleted_beside_a_suspended_writer(tmp_path: Path, faults: Faults) -> None:
    folder = str(tmp_path / "lake")
    writer, _ = _suspended(folder)
    made = maintainer(folder).run()
    assert ("delete unused files", "") in made.done
    os.kill(writer.pid, signal.SIGCONT)
    assert writer.wait() == 0
    facts = Facts.open(folder)
    for kind in EVENT_KINDS:
        assert stored(facts, kind) == expected(kind, PARTITIONS, 60), kind
    assert check(folder, {}, deep=True).faults == []
    faults.tell(
        "writer suspended within a commit beside housekeeping with vacuum",
        events=60 * len(PARTITIONS),
        stored=len(stored(facts, "match")),
    )


def test_control_without_the_retention_vacuum_breaks_a_suspended_writers_commit(tmp_path: Path) -> None:
    folder = str(tmp_path / "lake")
    writer, version = _suspended(folder)
    DeltaTable(folder).vacuum(0, dry_run=False, enforce_retention_duration=False, full=True)
    os.kill(writer.pid, signal.SIGCONT)
    writer.wait()
    assert Facts.open(folder)._table.version > version
    assert any("it is missing" in fault.found for fault in check(folder, {}, deep=False).faults)


def test_a_writer_that_stood_still_for_a_day_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 24 * 3600.0, 0.0, 24 * 3600.0 + 1, 24 * 3600.0 + 1])
    facts = Facts.open(str(tmp_path / "lake"))
    monkeypatch.setattr(module, "_elapsed", lambda: next(clock))
    facts.commit([part(0, 0, 4)])
    with pytest.raises(LakeError, match="stood still"):
        facts.commit([part(0, 4, 8)])
    assert facts.position(part(0, 0, 1).topic_id, 0) == 4


def test_two_maintainers_beside_writers_are_killed_at_every_point(tmp_path: Path, faults: Faults) -> None:
    folder, end, rounds = str(tmp_path / "lake"), 60, faults.times(10, 1)
    Facts.open(folder)
    killed = 0
    for number in range(rounds):
        writers = [_program("tests.lake.killed_writer", folder, step, end, "none", 1) for step in (2, 3)]
        steady = _program("tests.lake.keeping", folder, "none", 1, 6)
        points = ",".join(MAINTAIN_POINTS)
        victims = [sys.executable, "-m", "tests.lake.keeping", folder, points, str(1 + number % 3), "40"]
        killed += int(subprocess.check_output(victims, cwd=ROOT))
        assert [program.wait() for program in [*writers, steady]] == [0, 0, 0]
        end += 40
    facts = Facts.open(folder)
    assert not maintainer(folder).run().failed
    for kind in EVENT_KINDS:
        assert stored(facts, kind) == expected(kind, PARTITIONS, end - 40), kind
    assert check(folder, {}, deep=True).faults == []
    assert killed > 0
    faults.tell(
        "two maintainers beside two writers, one of them killed (SIGKILL) at each point",
        events=(end - 40) * len(PARTITIONS),
        stored=len(stored(facts, "match")),
        times=killed,
    )
