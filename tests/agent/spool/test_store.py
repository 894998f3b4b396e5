# SPDX-License-Identifier: Apache-2.0
"""The spool's folder: order, rotation, quota, restarts, and what is told of losses."""

import os

import pytest

from agent.spool import folder as folders
from agent.spool.errors import FileUnwritableError
from agent.spool.record import NOBODY
from common.errors import RuntimeFailure
from support.spool import LATER, OFFSET_NS, RUN, record, store, take_all


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def on_disk(folder):
    return sum(path.stat().st_size for path in folder.iterdir())


def test_records_come_out_as_they_went_in_and_nothing_stays(tmp_path):
    opened = store(tmp_path)
    records = [record(n % 3, n // 3) for n in range(300)]
    for begin in range(0, 300, 7):
        opened.write(records[begin : begin + 7])
    assert opened.held() == {0: 100, 1: 100, 2: 100}
    assert opened.figures()[2:] == (300, 10**9 + OFFSET_NS, None)
    given = take_all(opened)
    assert sorted(one.record for one in given) == sorted(records)
    for shard in range(3):
        assert [one.record.sequence for one in given if one.record.shard == shard] == list(range(100))
    assert (opened.losses(), names(tmp_path)) == ([], ["lock"])


def test_files_are_cut_by_size_and_each_is_removed_when_it_is_drained(tmp_path):
    opened = store(tmp_path)
    opened.write([record(0, n, 20_000) for n in range(100)])
    before = names(tmp_path)
    assert len([name for name in before if name.endswith(".spool")]) >= 6
    for one in opened.give(10**6, 10**6, {}):
        opened.done(one.place)
    after = names(tmp_path)
    assert 0 < len(after) < len(before)
    assert len(take_all(opened)) == 100 - 50
    assert names(tmp_path) == ["lock"]


def test_what_comes_back_is_given_again_before_what_is_behind_it(tmp_path):
    opened = store(tmp_path)
    opened.write([record(0, n) for n in range(10)])
    first = opened.give(5000, 5000, {})
    assert [one.record.sequence for one in first] == [0, 1, 2, 3, 4]
    opened.done(first[2].place)
    for one in (first[4], first[1], first[3]):
        opened.back(one.place)
    assert [one.record.sequence for one in take_all(opened)] == [1, 3, 4, 5, 6, 7, 8, 9]
    opened.back(first[0].place)
    assert [one.record.sequence for one in take_all(opened)] == [0]
    assert names(tmp_path) == ["lock"]


def test_shards_take_turns(tmp_path):
    """The record that tries whether Kafka is back is not always that of a partition that is not."""
    opened = store(tmp_path)
    opened.write([record(n % 3, n // 3) for n in range(30)])
    assert [opened.give(1, 10**6, {})[0].record[:2] for _ in range(5)] == [
        (0, 0),
        (1, 0),
        (2, 0),
        (0, 1),
        (1, 1),
    ]


def test_a_later_run_finds_what_is_left_under_its_own_identity_and_order(tmp_path):
    earlier = store(tmp_path)
    earlier.write([record(1, n, 30_000) for n in range(20)])
    for one in earlier.give(90_000, 90_000, {}):
        earlier.done(one.place)
    earlier.close()
    later = store(tmp_path, LATER)
    later.write([record(1, n) for n in range(3)])
    assert later.figures().earlier_ns == later.figures().oldest_ns is not None
    given = take_all(later)
    assert [(one.own, one.record.sequence) for one in given] == [
        *((False, n) for n in range(3, 20)),
        *((True, n) for n in range(3)),
    ]
    assert [one.record for one in given][:2] == [record(1, 3, 30_000), record(1, 4, 30_000)]


@pytest.mark.parametrize("sizes", [(300, 300), (60_000, 60_000), (20, 200_000)])
def test_the_quota_holds_at_every_moment_and_the_oldest_gives_way(tmp_path, sizes):
    quota = 2**22
    opened = store(tmp_path, max_bytes=quota, file_bytes=2**19)
    for n in range(150):
        opened.write([record(0, n, sizes[n % 2])])
        assert on_disk(tmp_path) <= quota + 2 * 32_768, "beside two indices of logs"
        assert opened.figures().bytes <= quota
    lost, given = opened.losses(), take_all(opened)
    assert {(one.reason, one.own, one.shard) for one in lost} <= {("quota", True, 0)}
    gone = sum(one.records for one in lost)
    assert [one.record.sequence for one in given] == list(range(gone, 150))
    assert sum(one.events for one in lost) == sum(record(0, n).events for n in range(gone))
    if lost:
        assert (lost[-1].through, lost[-1].oldest_ns) == (gone - 1, 10**9 + gone)
    assert (gone > 0) == (sum(sizes) > 1000)


def test_the_newest_gives_way_where_so_told(tmp_path):
    opened = store(tmp_path, max_bytes=2**20, file_bytes=2**17, when_full="drop-newest")
    for n in range(60):
        opened.write([record(0, n, 50_000)])
    lost, given = opened.losses(), take_all(opened)
    kept = [one.record.sequence for one in given]
    assert kept == list(range(len(kept)))
    assert 5 < len(kept) == 60 - len(lost)
    assert {one[:4] + one[5:7] for one in lost} == {("quota", True, 0, 1, None, None)}


def test_the_share_of_the_disk_holds_where_it_is_less(tmp_path):
    disk = os.statvfs(tmp_path)
    share = 2**20 / (disk.f_frsize * disk.f_blocks)
    opened = store(tmp_path, max_disk_share=share)
    assert 2**20 - 1 <= opened.figures().limit <= 2**20
    opened.write([record(0, n, 50_000) for n in range(100)])
    assert on_disk(tmp_path) <= 2**20 + 65_536
    assert opened.losses()


def test_what_is_out_when_its_file_gives_way_is_lost_only_if_it_does_not_arrive(tmp_path):
    opened = store(tmp_path, max_bytes=2**20, file_bytes=2**17)
    opened.write([record(0, n, 50_000) for n in range(4)])
    out = opened.give(100_000, 100_000, {})
    opened.write([record(0, n, 50_000) for n in range(4, 60)])
    dropped = sum(one.records for one in opened.losses())
    opened.done(out[0].place)
    assert opened.losses() == []
    opened.back(out[1].place)
    assert [(one.reason, one.records, one.events) for one in opened.losses()] == [("quota", 1, 2)]
    assert len(take_all(opened)) == 60 - dropped - len(out)


def test_a_record_larger_than_the_spool_is_lost_and_counted(tmp_path):
    opened = store(tmp_path, max_bytes=2**19, file_bytes=2**17)
    opened.write([record(0, 0, 2**20)])
    assert [(one.reason, one.events) for one in opened.losses()] == [("quota", 1)]


def test_one_process_has_the_folder(tmp_path):
    opened = store(tmp_path)
    assert folders.is_held(tmp_path)
    with pytest.raises(RuntimeFailure, match=r"in use by another agent: .*its own spool\.path"):
        store(tmp_path)
    opened.close()
    assert not folders.is_held(tmp_path)
    store(tmp_path).close()


def test_a_folder_that_cannot_be_made_is_told_with_its_remedy(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RuntimeFailure, match=r"Not a directory: set spool\.path to"):
        store(tmp_path / "file" / "spool")


def test_runs_with_another_number_of_shards_are_left_alone(tmp_path):
    opened = store(tmp_path)
    opened.write([record(0, 0)])
    opened.close()
    other = store(tmp_path, RUN._replace(shards=5))
    assert (other.held(), take_all(other)) == ({}, [])
    other.write([record(4, 0)])
    assert len(take_all(other)) == 1
    other.close()
    anyone = store(tmp_path, NOBODY)
    assert [one.own for one in take_all(anyone)] == [False]


def test_nothing_overtakes_a_file_that_cannot_be_read_for_now(tmp_path, monkeypatch):
    """As on a disk that is full, or with no descriptor left: later files of its shards wait with it."""
    opened = store(tmp_path)
    opened.write([record(0, n, 20_000) for n in range(40)])
    first = opened._books[0].number
    way = opened._handles.open

    def refuse(book):
        if book.number == first:
            raise FileUnwritableError("not now", full=True)
        return way(book)

    with monkeypatch.context() as patch:
        patch.setattr(opened._handles, "open", refuse)
        assert opened.give(10**6, 10**6, {}) == []
    assert [one.record.sequence for one in take_all(opened)] == list(range(40))
    assert opened.losses() == []
