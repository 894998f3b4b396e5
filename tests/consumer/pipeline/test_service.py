# SPDX-License-Identifier: Apache-2.0
"""The loop's rules: order of a cycle, what follows a failure, what is published again, when to flush."""

from collections.abc import Sequence

import pytest

from common.errors import RuntimeFailure, TopicMismatchError
from consumer.engine import Record
from consumer.pipeline.owned import Owned, Rules
from consumer.pipeline.service import Pace
from consumer.publish.message import Delivery
from lake.errors import LakeCorruptError
from lake.facts import Resume
from support.fake_pipeline import EVENTS, FakeEngine, FakeKafka, FakeLake
from support.fake_service import Bench

DOWN = Delivery(0, 1, 0, "timed out")


def test_a_cycle_commits_then_publishes_then_notes(bench: Bench) -> None:
    bench.kafka.records = [b"x"] * 3
    bench.turn(5)
    assert bench.ticks() == [0, 1, 2]
    assert [record.topic for record in bench.kafka.sent] == ["latency"] * 3
    assert bench.kafka.noted == {EVENTS: bench.service.owned.works[EVENTS].mark}
    assert bench.kafka.noted[EVENTS].next_offset == 3


def test_nothing_is_committed_where_nothing_came(bench: Bench) -> None:
    bench.turn(20)
    assert bench.lake.commits == []


def test_many_bytes_are_committed_before_the_cycle_is_due(bench: Bench) -> None:
    bench.service.pace = Pace(5.0, 2, 10.0)
    bench.kafka.records = [b"x"] * 3
    bench.turn()
    assert len(bench.lake.commits) == 1


@pytest.mark.parametrize("fate", ["before", "after", "stale"])
def test_after_a_failed_commit_all_is_read_again_from_the_lake(bench: Bench, fate: str) -> None:
    bench.lake.fail = [fate]
    bench.kafka.records = [b"x"] * 6
    bench.turn(5)
    assert bench.service.trouble is not None
    bench.turn(10)
    assert sorted(bench.ticks()) == [0, 1, 2, 3, 4, 5]
    assert bench.service.trouble is None


def test_rows_whose_commit_was_not_answered_are_still_published(bench: Bench) -> None:
    bench.lake.fail = ["after"]
    bench.kafka.records = [b"x"] * 3
    bench.turn(12)
    assert len(bench.kafka.sent) == 3


def test_failures_in_a_row_end_what_has_an_end() -> None:
    bench = Bench(lake=FakeLake(fail=["before"] * 9))
    service = bench.start(most_failures=3)
    bench.kafka.records = [b"x"] * 3
    with pytest.raises(RuntimeFailure, match="disk full"):
        service.until_end()
    assert len(bench.lake.fail) == 6


def test_a_corrupt_lake_ends_the_loop_at_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def corrupt(_parts: object) -> int:
        raise LakeCorruptError("flipped bit", name="x")

    monkeypatch.setattr(bench.lake, "commit", corrupt)
    bench.kafka.records = [b"x"]
    with pytest.raises(LakeCorruptError):
        bench.turn(6)


def test_poison_goes_aside_before_the_commit(bench: Bench) -> None:
    bench.lake.fail = ["before"]
    bench.kafka.records = [b"bad", b"x"]
    bench.turn(5)
    assert [record.topic for record in bench.kafka.sent] == ["poison"]
    bench.turn(6)
    assert [record.topic for record in bench.kafka.sent] == ["poison", "poison"], "at least once"
    assert bench.metrics.totals.poison == 1, "counted once"


def test_poison_that_cannot_be_set_aside_now_holds_the_commit_back(bench: Bench) -> None:
    bench.kafka.deliveries = [DOWN]
    bench.kafka.records = [b"bad"]
    bench.turn(5)
    assert bench.lake.commits == []
    bench.turn(6)
    assert len(bench.lake.commits) == 1
    assert len(bench.kafka.sent) == 1


def test_poison_that_is_refused_for_good_stops_nothing(bench: Bench) -> None:
    bench.kafka.deliveries = [Delivery(0, 0, 1, "too large")]
    bench.kafka.records = [b"bad"]
    bench.turn(5)
    assert len(bench.lake.commits) == 1


def test_latencies_that_did_not_go_out_go_out_later(bench: Bench) -> None:
    bench.kafka.deliveries = [DOWN, DOWN]
    bench.kafka.records = [b"x"] * 3
    bench.turn(5)
    assert bench.kafka.noted == {}, "not noted before it is published"
    bench.turn(5)
    bench.kafka.records += [b"x"]
    bench.turn(5)
    assert len(bench.kafka.sent) == 3


def test_a_quiet_partition_is_flushed_once_and_the_flush_committed(bench: Bench) -> None:
    bench.kafka.records = [b"x"]
    bench.turn(40)
    assert bench.ticks() == [0]
    assert [part.flushed for part in bench.lake.commits] == [False, True]


def test_no_flush_while_the_broker_is_away_or_has_more(bench: Bench) -> None:
    bench.kafka.records = [b"x"]
    bench.turn(5)
    bench.kafka.away = True
    bench.turn(30)
    bench.kafka.away = False
    bench.kafka.records += [b"x"]
    bench.kafka.position += 1  # it has one more, and does not hand it out
    bench.turn(30)
    assert [part.flushed for part in bench.lake.commits] == [False]


def test_revoked_partitions_are_committed_and_forgotten(bench: Bench) -> None:
    bench.kafka.records = [b"x"]
    bench.turn()
    bench.service.revoked([EVENTS], lost=False)
    assert len(bench.lake.commits) == 1
    assert bench.service.owned.works == {}


def test_lost_partitions_are_forgotten_without_a_commit(bench: Bench) -> None:
    bench.kafka.records = [b"x"]
    bench.turn()
    bench.service.revoked([EVENTS], lost=True)
    assert bench.lake.commits == []


def test_a_topic_made_anew_between_reading_and_commit_is_not_committed(bench: Bench) -> None:
    bench.kafka.records = [b"x"] * 3
    bench.turn()
    bench.kafka.topic_id = "id-2"
    with pytest.raises(TopicMismatchError):
        bench.turn(6)
    assert bench.lake.commits == []


def test_reading_to_the_end_stops_at_the_end_there_was(bench: Bench) -> None:
    bench.kafka.records = [b"x"] * 5
    poll = bench.kafka.poll

    def growing(limit: int, timeout: float) -> object:
        found = poll(limit, timeout)
        bench.kafka.records += [b"late"] * 2
        return found

    bench.kafka.poll = growing  # type: ignore[method-assign, assignment]
    bench.start().until_end()
    assert bench.lake.state is not None
    assert (bench.lake.state.next_offset, bench.lake.state.flushed) == (5, True)
    assert sorted(bench.ticks()) == [0, 1, 2, 3, 4]


def test_reading_to_the_end_says_what_could_not_be_published(bench: Bench) -> None:
    bench.kafka.records = [b"x"] * 3
    bench.kafka.deliveries = [DOWN] * 9
    with pytest.raises(RuntimeFailure, match="3 latency records could not be published"):
        bench.start().until_end()


def test_a_partition_of_which_the_lake_knows_starts_there() -> None:
    bench = Bench(lake=FakeLake(Resume(2, b"\x93\x01\xc4\x03" + b"0,1" + b"\xc4\x00", flushed=False)))
    bench.kafka.records = [b"x"] * 3
    assert bench.service.assigned([EVENTS]) == {EVENTS: 2}
    bench.kafka.position = 2
    bench.turn(6)
    assert bench.ticks() == [0, 1, 2]


def test_deleted_heartbeats_are_passed_over_after_a_failure_too() -> None:
    """Nothing was committed yet: the lake's position still points at what the broker deleted."""
    kafka, lake = FakeKafka([b"x"] * 5, low=3), FakeLake(Resume(1, b"\x93\x01\xc4\x00\xc4\x00", flushed=True))
    rules = Rules("events", EVENTS.topic, 1)
    owned = Owned(kafka, lake, lambda _, state: FakeEngine.restored(state), rules)  # type: ignore[arg-type]
    assert owned.take_over([EVENTS]) == {EVENTS: 3}
    owned.reload()
    assert kafka.position == 3


def test_every_count_of_a_cycle_is_in_the_metrics(bench: Bench) -> None:
    bench.kafka.records = [b"x", b"bad", b"x", b"x"]
    bench.turn(5)
    assert {name: value for name, value in bench.counts().items() if value} == {
        "records_total{topic=events}": 4,
        "record_bytes_total{topic=events}": 6,
        "rows_total{kind=histogram}": 3,
        "poison_records_total{reason=not-msgpack,topic=events}": 1,
        "published_total{}": 3,
        "partitions{}": 1,
        "position{partition=0,topic=events}": 4,
    }


def test_what_was_in_memory_when_something_broke_is_not_committed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half_done(engine: FakeEngine, records: Sequence[Record]) -> None:
        engine.held.append(records[0].kafka_offset)
        raise ZeroDivisionError

    bench.kafka.records = [b"x"]
    bench.turn()
    bench.kafka.records += [b"x"]
    monkeypatch.setattr(FakeEngine, "apply", half_done)
    with pytest.raises(ZeroDivisionError):
        bench.service.follow()
    bench.service.revoked([EVENTS], lost=False)
    assert bench.lake.commits == []


def test_empty_cycles_between_failures_do_not_keep_a_consumer_from_giving_up() -> None:
    """With a cycle shorter than the time to read again there is one between any two failures."""
    bench = Bench(kafka=FakeKafka([b"x"] * 3), lake=FakeLake(fail=["before"] * 20))
    bench.service = bench.start(most_failures=3)
    bench.kafka.seek(bench.service.assigned([EVENTS]))

    def cycles() -> None:
        for _ in range(20):
            bench.service._turn()
            bench.service._run_cycle()
            bench.service._run_cycle()

    with pytest.raises(RuntimeFailure, match="disk full"):
        cycles()
