# SPDX-License-Identifier: Apache-2.0
"""An earlier state, the records since and what was told give the state that was damaged, or an error."""

import random
from collections.abc import Sequence

import pytest

from consumer.engine import Output, Record
from consumer.pipeline.replay import Replay
from consumer.pipeline.saved import pack, unpack
from consumer.pipeline.work import Work
from lake.errors import LakeCorruptError
from lake.facts import PartitionCommit, Resume
from lake.partition import Behind
from support.fake_pipeline import EVENTS, FakeEngine, FakeKafka, FakeLake
from support.fake_service import Bench


class Pure(FakeEngine):
    """Does the same however records are cut into calls."""

    def apply(self, records: Sequence[Record]) -> Output:
        output = Output()
        for one in records:
            output = super().apply([one])
        return output


def record(offset: int) -> Record:
    return Record(offset, 1000, b"bad" if offset % 7 == 5 else b"x")


def history(seed: int, *, tell: bool = True) -> list[PartitionCommit]:
    """Return the commits of one partition that is read and flushed at random."""
    chosen = random.Random(seed)  # noqa: S311 - not for secrets
    work = Work(EVENTS, "id-1", Pure(), 0, flushed=True, quiet_since=0.0)
    parts: list[PartitionCommit] = []
    while work.next_offset < 60:
        step = chosen.choice(["take", "take", "take", "flush", "commit"])
        if step == "take":
            work.take([record(work.next_offset + i) for i in range(chosen.randint(1, 4))], now=0.0)
        elif step == "flush":
            work.flush()
            if not tell:
                work.told.clear()
        elif work.moved and work.next_offset < 60:
            parts.append(work.part())
            work.settle()
            work.outbox.clear()
    parts.append(work.part())
    return parts


def replayed(parts: Sequence[PartitionCommit], back: int, cut: int) -> FakeEngine:
    """Return the engine that an earlier state leads to, of records that come ``cut`` at a time."""
    older, told = parts[-1 - back], [word for part in parts[len(parts) - back :] for word in part.told]
    engine = Pure(FakeEngine.restored(unpack(older.state, "")[0]).held)
    until = parts[-1].to_offset
    replay = Replay(engine, Behind(older.to_offset, tuple(told), "damage", "name"), until, [])
    beyond: list[Record] = []
    offsets = range(older.to_offset - older.to_offset % 3, until + 9)
    for start in range(offsets.start, offsets.stop, cut):
        beyond += replay.take([record(o) for o in range(start, min(start + cut, offsets.stop))])
    assert replay.done
    assert [one.kafka_offset for one in beyond] == list(range(until, until + 9))
    return engine


@pytest.mark.parametrize("seed", range(20))
def test_an_earlier_state_leads_to_the_newest_one(seed: int) -> None:
    parts = history(seed)
    for back in range(1, len(parts)):
        for cut in (1, 4, 100):
            assert replayed(parts, back, cut).snapshot() == unpack(parts[-1].state, "")[0]


def test_control_without_what_was_told_it_does_not() -> None:
    wrong = 0
    for seed in range(20):
        parts = history(seed, tell=False)
        newest = unpack(parts[-1].state, "")[0]
        wrong += any(replayed(parts, back, 100).snapshot() != newest for back in range(1, len(parts)))
    assert wrong > 0


@pytest.mark.parametrize("gone", [[3], [5], [9], [3, 4]])
def test_a_record_that_is_gone_is_an_error_that_names_the_damage(gone: list[int]) -> None:
    replay = Replay(Pure(), Behind(3, ((6, "flush"),), "state X is unusable", "X"), 10, [])
    left = [record(offset) for offset in range(3, 12) if offset not in gone]
    with pytest.raises(LakeCorruptError, match=r"state X is unusable\. To make that state again Kafka"):
        replay.take(left)


def test_records_that_end_too_early_are_an_error_once_that_is_known() -> None:
    replay = Replay(Pure(), Behind(3, (), "state X is unusable", "X"), 10, [])
    assert replay.take([record(offset) for offset in range(3, 9)]) == []
    replay.require_from(9)
    with pytest.raises(LakeCorruptError, match="records from 9 to 10; the first it still has is 12"):
        replay.require_from(12)


def test_a_word_that_is_not_known_is_an_error() -> None:
    with pytest.raises(LakeCorruptError, match="'sing', which this version does not know"):
        Replay(Pure(), Behind(3, ((3, "sing"),), "damage", "X"), 10, [])


@pytest.mark.parametrize(
    ("told", "shift", "kafka", "wanted"),
    [
        (((5, "jump 8"),), 0, [3, 4, 8, 9], [3, 4, 8, 9]),
        (((5, "jump 8"), (8, "flush")), 0, [3, 4, 7, 8, 9, 10], [3, 4, 8, 9]),
        ((), 2, [1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3, 4, 5, 6, 7]),
        (((5, "jump 5"),), 2, [1, 2, 5, 6, 7], [1, 2, 5, 6, 7]),
    ],
)
def test_reading_that_went_on_elsewhere_does_so_again(
    told: tuple[tuple[int, str], ...], shift: int, kafka: list[int], wanted: list[int]
) -> None:
    seen: list[int] = []

    class Noting(FakeEngine):
        def apply(self, records: Sequence[Record]) -> Output:
            seen.extend(record.kafka_offset for record in records)
            return Output()

    replay = Replay(Noting(), Behind(3, told, "damage", "X"), 10, [], shift)
    assert replay.kafka_offset == kafka[0]
    for offset in kafka:
        replay.take([record(offset)])
    assert replay.done
    assert seen == wanted


def _damaged(until: int, told: tuple[tuple[int, str], ...] = (), *, flushed: bool = False) -> Resume:
    """Return the state of two records, held, with an outbox; the one at ``until`` is damaged."""
    state = pack(b"0,1", [])
    return Resume(until, state, flushed=flushed, behind=Behind(2, told, "state X is unusable", "X"))


def _owning(lake: FakeLake, records: int) -> Bench:
    bench = Bench(lake=lake, kafka=FakeKafka([b"x"] * records))
    bench.kafka.seek(bench.service.assigned([EVENTS]))
    return bench


def test_a_consumer_reads_from_the_earlier_state_and_commits_only_what_is_new() -> None:
    bench = _owning(FakeLake(_damaged(5, ((4, "flush"),))), records=7)
    assert bench.kafka.position == 2
    bench.turn(30)
    # 0, 1, 2 and 3 are in the lake by the flush at 4; 4 was held.
    assert bench.ticks() == [4, 5, 6]
    assert [(part.from_offset, part.to_offset, part.told) for part in bench.lake.commits] == [
        (5, 7, ()),
        (7, 7, ((7, "flush"),)),
    ]
    assert bench.metrics.totals.records == 2
    assert len(bench.kafka.sent) == 4 + 3  # what the replay gave may never have been published


def test_a_quiet_partition_whose_state_is_made_again_commits_nothing() -> None:
    bench = _owning(FakeLake(_damaged(5, ((5, "flush"),), flushed=True)), records=5)
    bench.turn(30)
    assert bench.lake.commits == []
    assert bench.service.owned.works[EVENTS].replay is None
    bench.kafka.records += [b"x"] * 3
    bench.turn(8)
    assert [part.from_offset for part in bench.lake.commits] == [5]
    assert bench.ticks() == [5, 6, 7]


def test_a_cycle_that_fails_after_the_replay_does_it_again() -> None:
    bench = _owning(FakeLake(_damaged(5), fail=["before", "before"]), records=8)
    bench.turn(30)
    assert bench.ticks() == [5, 6, 7]


def test_where_kafka_has_too_little_the_consumer_says_what_is_missing() -> None:
    bench = Bench(lake=FakeLake(_damaged(5)), kafka=FakeKafka([b"x"] * 7, low=4))
    with pytest.raises(LakeCorruptError, match="records from 2 to 5; the first it still has is 4"):
        bench.service.assigned([EVENTS])
    assert bench.lake.commits == []


def jumped(work: Work, before: int, after: int) -> tuple[PartitionCommit, PartitionCommit]:
    """Return a commit up to a Kafka offset, and one of a jump that the broker forced and what came after."""
    work.take([record(offset) for offset in range(before)], now=0.0)
    one = work.part()
    work.settle()
    work.jump(after, now=0.0)
    work.take([record(offset) for offset in range(after, after + 4)], now=0.0)
    return one, work.part()


@pytest.mark.parametrize(("before", "after"), [(6, 9), (6, 2)])
def test_a_jump_at_the_earlier_state_is_made_again(before: int, after: int) -> None:
    """Ahead over records that were deleted, or back to where a broker that lost some goes on."""
    work = Work(EVENTS, "id-1", Pure(), 0, flushed=True, quiet_since=0.0)
    one, other = jumped(work, before, after)
    engine = Pure(FakeEngine.restored(unpack(one.state, "")[0]).held)
    replay = Replay(engine, Behind(one.to_offset, other.told, "damage", "X"), other.to_offset, [])
    assert (replay.kafka_offset, replay.shift) == (after, work.shift)
    assert replay.take([record(offset) for offset in range(after, after + 6)]) == [
        record(after + 4),
        record(after + 5),
    ]
    assert replay.done
    assert engine.snapshot() == unpack(other.state, "")[0]


def test_records_before_a_jump_back_are_gone() -> None:
    """What Kafka now has at those offsets is not what was read, so none of it may be taken for that."""
    _, other = jumped(Work(EVENTS, "id-1", Pure(), 0, flushed=True, quiet_since=0.0), 6, 2)
    replay = Replay(Pure(), Behind(3, other.told, "state X is unusable", "X"), other.to_offset, [])
    with pytest.raises(LakeCorruptError, match="the first it still has is 2"):
        replay.take([record(offset) for offset in range(3, 12)])


def test_records_before_a_jump_ahead_are_taken_where_kafka_has_them() -> None:
    _, other = jumped(Work(EVENTS, "id-1", Pure(), 0, flushed=True, quiet_since=0.0), 6, 9)
    engine = Pure()
    replay = Replay(engine, Behind(0, other.told, "state X is unusable", "X"), other.to_offset, [])
    replay.take([record(offset) for offset in range(14)])
    assert replay.done
    assert engine.snapshot() == unpack(other.state, "")[0]
