# SPDX-License-Identifier: Apache-2.0
"""Where the broker has no record at the lake's position: what is counted, and that it is counted once."""

import pytest

from common.errors import ConfigError, TopicMismatchError
from consumer.engine import Record
from consumer.pipeline.saved import pack, unpack
from consumer.pipeline.work import Work
from consumer.source.topics import Mark
from support.fake_pipeline import EVENTS, FakeEngine, FakeLake, histogram
from support.fake_service import Bench


@pytest.fixture
def bench():
    made = Bench(on_truncated="skip-and-count")
    made.service.assigned([EVENTS])
    return made


def truncated(bench):
    """Return the records that the lake's ledger says were deleted unread, and how many rows say it."""
    tables = [part.rows["ledger"] for part in bench.lake.commits if "ledger" in part.rows]
    rows = [row for table in tables for row in table.to_pylist()]
    assert {(row["host"], row["stage"], row["reason"]) for row in rows} <= {("", "consumer", "truncated")}
    return sum(row["events"] for row in rows), len(rows)


def ranges(bench):
    return [(part.from_offset, part.to_offset) for part in bench.lake.commits]


def test_records_deleted_while_it_runs_are_counted_in_the_commit_that_passes_them_over(bench):
    bench.kafka.records = [b"x"] * 9
    bench.kafka.low = 4
    bench.turn(6)
    assert ranges(bench) == [(0, 9)]
    assert sorted(bench.ticks()) == [4, 5, 6, 7, 8]
    assert truncated(bench) == (4, 1)
    assert bench.counts()["ledger_events_total{reason=truncated,stage=consumer}"] == 4


@pytest.mark.parametrize("fate", ["before", "after"])
def test_a_commit_that_fails_counts_them_once_all_the_same(bench, fate):
    bench.kafka.records = [b"x"] * 9
    bench.kafka.low = 4
    bench.lake.fail = [fate]
    bench.turn(20)
    assert truncated(bench) == (4, 1)
    assert sorted(bench.ticks()) == [4, 5, 6, 7, 8]


def test_what_is_deleted_between_reading_and_a_failed_commit_is_counted_too(bench):
    """It was in memory, the memory was thrown away, and the broker has it no more."""
    bench.kafka.records = [b"x"] * 6
    bench.turn()
    bench.lake.fail = ["before"]
    bench.kafka.low = 3
    bench.turn(10)
    assert truncated(bench) == (3, 1)
    assert sorted(bench.ticks()) == [3, 4, 5]


def test_all_deleted_and_nothing_new_is_committed_alone(bench):
    bench.kafka.records = [b"x"] * 5
    bench.kafka.low = 5
    bench.turn(6)
    assert ranges(bench) == [(0, 5)]
    assert truncated(bench) == (5, 1)


def test_offsets_that_a_broker_gives_out_again_are_read_and_the_lakes_still_rise(bench):
    bench.kafka.records = [b"x"] * 6
    bench.turn(6)
    bench.kafka.records = [b"y"] * 4  # it lost two of them, and nobody else has come yet
    bench.turn(6)
    bench.kafka.records += [b"y"] * 5
    bench.turn(6)
    assert ranges(bench) == [(0, 6), (6, 7), (7, 12)]
    assert sorted(bench.ticks()) == [0, 1, 2, 3, 4, 4, 5, 5, 6, 7, 8]
    assert truncated(bench) == (0, 0)
    assert bench.kafka.noted[EVENTS].next_offset == 9, "lag tools are told Kafka's"
    assert bench.counts()["position{partition=0,topic=events}"] == 9


def test_the_distance_between_the_lakes_offsets_and_kafkas_outlives_the_process(bench):
    bench.kafka.records = [b"x"] * 6
    bench.turn(6)
    bench.kafka.records = [b"y"] * 4
    bench.turn(6)
    bench.kafka.records += [b"y"] * 8  # the end is above the old position now
    bench.service = bench.start()
    assert bench.service.assigned([EVENTS]) == {EVENTS: 4}
    bench.kafka.position = 4
    bench.turn(12)
    assert len(bench.ticks()) == 6 + 8


@pytest.mark.parametrize(("low", "records"), [(4, 9), (0, 1)])
def test_the_policy_to_stop_ends_it_where_it_runs(low, records):
    bench = Bench()
    bench.service.assigned([EVENTS])
    bench.kafka.records = [b"x"] * 3
    bench.turn(6)
    bench.kafka.low, bench.kafka.records = low, [b"x"] * records
    with pytest.raises(ConfigError, match=r"on-truncated = .skip-and-count"):
        bench.turn(3)
    assert sorted(bench.ticks()) == [0, 1, 2]


def test_another_topic_is_never_taken_for_a_truncated_one(bench):
    bench.kafka.records = [b"x"] * 3
    bench.turn(6)
    bench.kafka.topic_id, bench.kafka.low, bench.kafka.records = "id-2", 5, [b"y"] * 9
    with pytest.raises(TopicMismatchError):
        bench.turn(3)


def test_a_broker_that_is_away_is_asked_again(bench):
    bench.kafka.records = [b"x"] * 6
    bench.kafka.low, bench.kafka.away = 3, True
    bench.turn(12)
    assert bench.lake.commits == []
    bench.kafka.away = False
    bench.turn(6)
    assert truncated(bench) == (3, 1)


def test_a_jump_ahead_and_one_back_in_one_commit_add_up():
    work = Work(EVENTS, "id-1", FakeEngine(), 10, flushed=True, quiet_since=0.0)
    work.jump(14, 1.0)
    work.jump(2, 2.0)
    work.jump(5, 3.0)
    work.take([Record(4, 1000, b"x"), Record(5, 1000, b"x")], 4.0)
    part = work.part()
    assert (part.from_offset, part.to_offset) == (10, 10 + 4 + 1 + 3 + 1)
    assert sum(part.rows["ledger"]["events"].to_pylist()) == 4 + 3
    work.settle()
    assert work.mark == Mark(6, work.remark)
    assert unpack(part.state, "events/0")[2] == part.to_offset - 6


def test_a_state_without_a_shift_is_one_that_earlier_versions_can_read():
    assert pack(b"engine", [histogram([1])])[:2] == b"\x93\x01"
    assert pack(b"engine", [], shift=7)[:2] == b"\x94\x02"
    assert unpack(pack(b"engine", [], shift=7), "events/0") == (b"engine", [], 7)


def test_a_lake_that_was_never_committed_to_counts_what_went_while_its_first_commit_failed():
    bench = Bench(lake=FakeLake(fail=["before"]), on_truncated="skip-and-count")
    bench.kafka.records = [b"x"] * 6
    bench.service.assigned([EVENTS])
    bench.turn(2)
    bench.kafka.low = 2
    bench.turn(12)
    assert truncated(bench) == (2, 1)
    assert ranges(bench)[0] == (0, 6)
