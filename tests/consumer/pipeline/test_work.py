# SPDX-License-Identifier: Apache-2.0
"""One partition's memory: what is taken once, what a commit holds, what stays to be published."""

import pytest

from consumer.engine import Record
from consumer.pipeline import work as work_module
from consumer.pipeline.saved import pack, unpack
from consumer.pipeline.work import Work
from consumer.source.topics import Mark
from lake.errors import LakeCorruptError
from support.fake_pipeline import EVENTS, FakeEngine, histogram


def new_work(committed: int = 0) -> Work:
    return Work(EVENTS, "id-1", FakeEngine(), committed, flushed=True, quiet_since=0.0)


def records(*offsets: int) -> list[Record]:
    return [Record(offset, 1000, b"x") for offset in offsets]


def test_nothing_taken_is_nothing_to_commit() -> None:
    assert not new_work().moved


def test_records_below_the_next_kafka_offset_are_passed_over() -> None:
    work = new_work(committed=5)
    work.take(records(3, 4, 5, 6), now=1.0)
    work.take(records(5, 6), now=2.0)
    assert (work.next_offset, work.records, work.quiet_since) == (7, 2, 1.0)


def test_records_beyond_the_bound_are_left() -> None:
    work = new_work()
    work.bound = 2
    work.take(records(0, 1, 2, 3), now=1.0)
    assert work.next_offset == 2


def test_a_gap_in_kafka_offsets_is_covered_by_the_commit() -> None:
    work = new_work()
    work.take(records(0, 7), now=1.0)
    part = work.part()
    assert (part.from_offset, part.to_offset) == (0, 8)


def test_a_flush_alone_is_something_to_commit_and_happens_once() -> None:
    work = new_work()
    work.take(records(0), now=1.0)
    work.settle()
    work.flush()
    assert work.moved
    part = work.part()
    assert (part.from_offset, part.to_offset, part.flushed) == (1, 1, True)
    work.settle()
    work.flush()
    assert not work.moved


def test_the_groups_note_is_of_the_last_commit() -> None:
    """Not of what was taken since, nor of what is not committed yet; another state has another name."""
    work = new_work()
    work.take(records(0), now=1.0)
    work.part()
    assert work.mark == Mark(0, "")
    work.settle()
    first = work.mark
    work.take(records(1), now=1.0)
    assert (work.mark, first.next_offset) == (first, 1)
    work.flush()
    work.part()
    work.settle()
    assert work.mark.remark not in {"", first.remark}


def test_histogram_rows_are_in_the_state_of_their_own_commit() -> None:
    work = new_work()
    work.take(records(0, 1, 2, 3), now=1.0)
    engine, outbox, _ = unpack(work.part().state, "events/0")
    assert engine == b""
    assert [table["tick"].to_pylist() for table in outbox] == [[0, 1, 2, 3]]


def test_what_is_not_published_stays_in_later_states() -> None:
    work = new_work()
    work.take(records(0, 1, 2), now=1.0)
    work.settle()
    work.take(records(3, 4, 5), now=1.0)
    _, outbox, _ = unpack(work.part().state, "events/0")
    assert [table["tick"].to_pylist() for table in outbox] == [[0, 1, 2, 3, 4, 5]]


def test_an_outbox_that_grew_too_long_loses_its_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_module, "OUTBOX_ROWS", 4)
    work = new_work()
    work.outbox = [histogram([1, 2]), histogram([3]), histogram([4, 5])]
    assert work.trim() == 2
    assert [table["tick"].to_pylist() for table in work.outbox] == [[3], [4, 5]]


def test_a_state_of_another_version_is_refused() -> None:
    with pytest.raises(LakeCorruptError, match="version 3"):
        unpack(b"\x93\x03\xc4\x00\xc4\x00", "events/0")


def test_a_state_that_is_no_state_is_refused() -> None:
    with pytest.raises(LakeCorruptError, match="cannot be read"):
        unpack(pack(b"engine", [histogram([1])])[:-40], "events/0")


def test_records_that_are_passed_over_are_told() -> None:
    work = new_work(committed=5)
    work.pass_over(3)
    assert not work.moved
    work.pass_over(9)
    part = work.part()
    assert (part.from_offset, part.to_offset, part.told) == (5, 9, ((5, "jump 9"),))
