# SPDX-License-Identifier: Apache-2.0
"""Damaged, foreign and newer files, and disks that are full: counted, set aside, never a crash."""

import itertools
import os
import random
import shutil
import sqlite3
import subprocess
from collections import deque
from pathlib import Path

import pytest

from agent.spool.file import FORMAT
from agent.spool.inspect import reports
from support.spool import LATER, record, store, take_all

FLIPS = 60


def filled(folder, count=30, size=3000, **limits):
    opened = store(folder, **limits)
    opened.write([record(n % 2, n // 2, size) for n in range(count)])
    return opened


def file_of(folder):
    [path] = folder.glob("*.spool")
    return path


def flip(path, at, bits=0xFF):
    with path.open("r+b") as file:
        file.seek(at)
        old = file.read(1)
        file.seek(at)
        file.write(bytes([old[0] ^ bits]))


def test_a_record_with_a_flipped_byte_is_skipped_counted_and_its_file_set_aside(tmp_path):
    """In the value: the head still says how many events are lost with it."""
    filled(tmp_path).close()
    path = file_of(tmp_path)
    flip(path, path.read_bytes().index(b"1/4/") + 100)
    [report] = reports(tmp_path, verify=True)
    assert (report.records, report.bad_records, report.problem) == (30, 1, "1 records are damaged")
    later = store(tmp_path, LATER)
    found = take_all(later)
    assert len(found) == 29
    [loss] = later.losses()
    assert loss[:5] == ("corrupt", False, 1, 1, record(1, 4).events)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000000001.spool.bad", "lock"]
    later.write([record(0, 0)])
    assert len(take_all(later)) == 1


def test_damage_while_the_agent_runs_is_counted_exactly(tmp_path):
    """The account in memory knows what the file held, even where none of it can be read."""
    opened = filled(tmp_path, size=20_000, file_bytes=2**16)
    paths = sorted(tmp_path.glob("*.spool"))
    assert len(paths) > 3
    paths[1].write_bytes(b"no database" * 1000)
    found = take_all(opened)
    lost = opened.losses()
    assert {loss.reason for loss in lost} == {"corrupt"}
    assert 0 < sum(loss.records for loss in lost) == 30 - len(found)
    every = sum(record(n % 2, n // 2).events for n in range(30))
    assert sum(loss.events for loss in lost) + sum(one.record.events for one in found) == every


@pytest.mark.parametrize("seed", range(3))
def test_flipped_bytes_anywhere_never_give_a_wrong_record(tmp_path, seed):
    """*Integrity* and *liveness* for whatever place a byte is flipped at: header, trees, heads, values."""
    filled(tmp_path / "whole", 40).close()
    source = file_of(tmp_path / "whole")
    dice, size, given = random.Random(seed), source.stat().st_size, []  # noqa: S311 - a test's dice
    good = {(n % 2, n // 2) for n in range(40)}
    for number in range(FLIPS // 3):
        folder = tmp_path / str(number)
        folder.mkdir()
        copy = shutil.copy(source, folder)
        for _ in range(dice.choice([1, 1, 5, 50])):
            # The tables' first pages are where a flip does most.
            place = dice.randrange(65_536) if dice.random() < 0.5 else dice.randrange(size)
            flip(folder / source.name, place, 1 << dice.randrange(8))
        list(reports(folder, verify=True))
        later = store(folder, LATER)
        found = take_all(later)
        for one in found:
            assert one.record == record(one.record.shard, one.record.sequence, 3000)
            assert (one.record.shard, one.record.sequence) in good
        assert len({one.record[:2] for one in found}) == len(found)
        later.write([record(0, 0)])
        assert len(take_all(later)) == 1
        later.close()
        assert copy
        given.append(len(found))
    assert max(given) == 40 or max(given) == 39
    assert min(given) < 40, "some flip must hit something"


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_a_file_that_was_cut_gives_what_is_left(tmp_path, share):
    filled(tmp_path).close()
    path = file_of(tmp_path)
    with path.open("r+b") as file:
        file.truncate(int(path.stat().st_size * share))
    later = store(tmp_path, LATER)
    assert len(take_all(later)) < 30
    later.write([record(0, 0)])
    assert len(take_all(later)) == 1


def test_a_file_that_is_none_is_set_aside(tmp_path):
    (tmp_path / "000000000007.spool").write_bytes(b"something else" * 1000)
    opened = store(tmp_path)
    opened.write([record(0, 0)])
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names[:2] == ["000000000007.spool.bad", "000000000008.spool"]
    assert len(take_all(opened)) == 1


def test_files_set_aside_count_towards_the_quota_and_give_way_first(tmp_path):
    for number in range(1, 8):
        (tmp_path / f"{number:012d}.spool").write_bytes(b"something else" * 10_000)
    opened = store(tmp_path, max_bytes=2**20, file_bytes=2**17)
    assert opened.figures().bytes == 7 * 140_000
    opened.write([record(0, n, 50_000) for n in range(4)])
    assert opened.losses() == []
    assert len(list(tmp_path.glob("*.bad"))) < 7


def test_a_file_that_a_later_version_wrote_is_left_alone(tmp_path):
    filled(tmp_path).close()
    path = file_of(tmp_path)
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA user_version = {FORMAT + 1}")
    database.close()
    later = store(tmp_path, LATER)
    assert later.held() == {}
    later.write([record(0, 0)])
    assert len(take_all(later)) == 1
    assert path.exists()
    [report] = reports(tmp_path, verify=False)
    assert f"format {FORMAT + 1}, this agent reads {FORMAT}" in report.problem


def test_a_column_that_a_later_version_adds_is_passed_over(tmp_path):
    """So the version before it can go on with the same folder."""
    filled(tmp_path).close()
    with sqlite3.connect(file_of(tmp_path)) as database:
        database.execute("ALTER TABLE record ADD COLUMN more TEXT DEFAULT 'x'")
        database.execute("ALTER TABLE run ADD COLUMN more TEXT DEFAULT 'x'")
    database.close()
    later = store(tmp_path, LATER)
    assert len(take_all(later)) == 30
    assert later.losses() == []


def test_a_file_of_format_1_is_read_for_good(tmp_path):
    """As the first version wrote it: 7 records, of which those of shard 0 had been delivered."""
    text = (Path(__file__).parent / "golden" / "format-1.sql").read_text()
    database = sqlite3.connect(tmp_path / "000000000001.spool")
    database.executescript(text)
    database.close()
    later = store(tmp_path, LATER)
    assert sorted(one.record for one in take_all(later)) == sorted(
        record(n % 3, n // 3, 20) for n in (1, 2, 4, 5)
    )
    assert later.losses() == []


def fill(path):
    """Write to a file until the disk is full."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        with pytest.raises(OSError, match="No space left"):
            deque((os.write(descriptor, bytes(4096)) for _ in itertools.count()), maxlen=0)
    finally:
        os.close(descriptor)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.kernel  # mounting needs root
@pytest.mark.parametrize("when_full", ["drop-oldest", "drop-newest"])
def test_a_full_disk_is_counted_and_used_again_once_there_is_space(small_disk, when_full):
    """Another program fills the disk under a spool that would have had its quota left; then it goes away."""
    folder, hog = small_disk / "spool", small_disk / "hog"
    opened = store(folder, file_bytes=2**18, when_full=when_full)
    opened.write([record(0, n, 20_000) for n in range(30)])
    assert opened.losses() == []
    fill(hog)
    for n in range(30, 90):
        opened.write([record(0, n, 20_000)])
    lost = opened.losses()
    assert {loss.reason for loss in lost} == {"disk-full"}
    gone = sum(loss.records for loss in lost)
    if when_full == "drop-newest":
        assert gone == 60 or 50 < gone < 60
    hog.unlink()
    opened.write([record(0, n, 20_000) for n in range(90, 100)])
    assert opened.losses() == []
    kept = [one.record.sequence for one in take_all(opened)]
    assert opened.losses() == []
    assert kept == sorted(kept)
    assert len(kept) == 100 - gone
    assert kept[-10:] == list(range(90, 100))
    assert [path.name for path in folder.iterdir()] == ["lock"]


@pytest.mark.kernel
def test_a_spool_on_a_full_disk_is_read_all_the_same(small_disk):
    """A killed agent left it; there is no space even for the index of its log."""
    folder, hog = small_disk / "spool", small_disk / "hog"
    filled(folder).close()
    before = small_disk / "before"
    shutil.copytree(folder, before)
    again = store(before, LATER)
    again.write([record(0, n) for n in range(5)])
    killed = small_disk / "killed"
    shutil.copytree(before, killed, ignore=shutil.ignore_patterns("*-shm"))
    fill(hog)
    later = store(killed, LATER._replace(epoch=3))
    assert len(take_all(later)) == 35
    assert later.losses() == []
