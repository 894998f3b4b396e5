# SPDX-License-Identifier: Apache-2.0
"""How engines are told of other hosts: read beside the group, noted with the commit, made again."""

from collections.abc import Mapping

import msgspec
import pytest

from common.errors import RuntimeFailure
from consumer.engine import EventEngine, Peers, Record
from consumer.pipeline.peers import BACK, PATIENCE_SECONDS, PeerWatch
from consumer.pipeline.watermarks import Watermarks
from consumer.pipeline.words import tell
from consumer.pipeline.work import Work
from consumer.source.topics import Partition
from lake.errors import LakeCorruptError
from lake.older import FLUSH
from schemas.batch import encode
from schemas.event import Kind
from tests.consumer.engine.scene import BASE_MS, Host, ends, receive
from tests.consumer.engine.traffic import collect
from tests.consumer.pipeline.test_watermarks import PATIENCE, SETTINGS, Scene, beat, behind

EVENTS = Partition("events", 0)
CONTROL = Partition("control", 0)


class Beats:
    """A control partition, or one that cannot be read."""

    def __init__(self, records: list[Record], *, broken: bool = False) -> None:
        self.records, self.broken = records, broken
        self.assigned: dict[Partition, int] = {}

    def watermarks(self, _partition: Partition) -> tuple[int, int]:
        return 0, 2 * BACK

    def assign(self, offsets: Mapping[Partition, int]) -> None:
        self.assigned = dict(offsets)

    def poll(self, _limit: int, _timeout: float) -> dict[Partition, list[Record]]:
        if self.broken:
            raise RuntimeFailure("away")
        found, self.records = self.records, []
        return {CONTROL: found}

    def ends(self) -> dict[Partition, int]:
        return {CONTROL: 0}


def watching(beats: Beats) -> PeerWatch:
    return PeerWatch(beats, "events", "control", Watermarks(PATIENCE), 1_000, clock=lambda: 0.0)


def work_of(engine: EventEngine, offset: int) -> Work:
    return Work(EVENTS, "id", engine, offset, flushed=False, quiet_since=0.0)


def test_what_a_work_is_told_is_in_its_commit_and_makes_the_same_rows_again() -> None:
    """Words at the offset where they were told: with them a replay closes what was closed, without not."""
    scene = Scene()
    blob = scene.engine.snapshot()
    work = work_of(scene.engine, scene.offset)
    watch = watching(Beats([beat(1_000, age_ms=1_000, last=0)]))
    read = scene.beta.batch([ends()[1]], {Kind.RECEIVE: [receive(0, 10, 9)]})
    records = [
        Record(2, BASE_MS + 9_000, encode(Host("clock", sequence=50).batch([], {}))),
        Record(3, BASE_MS + 18_000, encode(Host("clock", sequence=51).batch([], {}))),
        Record(4, BASE_MS + 18_500, encode(read)),
    ]
    for part in watch.cut({EVENTS: records}):
        work.take(part[EVENTS], 0.0)
        watch.turn([work], now=True)
    work.flush()
    part = work.part()
    assert [offset for offset, _ in part.told] == [3, 5]
    assert part.told[-1] == (5, FLUSH)
    assert part.rows["match"].num_rows == 1
    assert "unmatched" not in part.rows

    replayed, plain = (EventEngine.restore(blob, 0, SETTINGS) for _ in range(2))
    assert collect([plain.apply(records), plain.flush()])["unmatched"]
    outputs = []
    for offset in range(2, 6):
        outputs += [tell(replayed, word) for at, word in part.told if at == offset]
        outputs.append(replayed.apply([record for record in records if record.kafka_offset == offset]))
    assert collect(outputs)["match"] == part.rows["match"].to_pylist()
    assert replayed.snapshot() == scene.engine.snapshot()


def test_a_word_of_a_later_version_is_not_guessed() -> None:
    with pytest.raises(LakeCorruptError, match="whistle"):
        tell(EventEngine(0, SETTINGS), "whistle")


def test_only_news_is_noted_and_the_last_of_one_place_holds() -> None:
    """Nothing is noted while no host is behind, so commits of quiet times are as small as before."""
    work = work_of(EventEngine(0, SETTINGS), 7)
    work.hear(Peers())
    assert work.told == []
    for at_ms in (1, 2, 2):
        work.hear(behind(at_ms))
    assert [(at, msgspec.json.decode(word.removeprefix("hear "))) for at, word in work.told] == [
        (7, [{"beta": BASE_MS + 2}, []])
    ]


def test_heartbeats_that_cannot_be_read_stop_nothing() -> None:
    """What waits then closes by the silence rule, since watermarks stand still."""
    scene = Scene()
    work, beats = work_of(scene.engine, 2), Beats([beat(0, last=0)])
    watch = watching(beats)
    watch.catch_up(lambda: False)
    assert beats.assigned == {CONTROL: BACK}
    beats.broken = True
    for at_ms, expected in ((9_000, behind(0)), (20_001, Peers({}, ("beta",)))):
        scene.clock(at_ms)
        watch.turn([work], now=True)
        assert scene.engine.peers == expected
    watch.catch_up(lambda: False)


def test_a_restored_engine_keeps_what_it_was_told_until_the_heartbeats_are_read() -> None:
    """For a while: where they cannot be read at all nothing that it was told holds for ever."""
    scene, now = Scene(), [0.0]
    work, beats = work_of(scene.engine, 2), Beats([], broken=True)
    watch = PeerWatch(beats, "events", "control", Watermarks(PATIENCE), 1_000, clock=lambda: now[0])
    scene.clock(9_000)
    work.hear(behind(1))
    watch.catch_up(lambda: False)
    watch.turn([work], now=True)
    assert scene.engine.peers == behind(1)
    now[0] = PATIENCE_SECONDS
    watch.turn([work], now=True)
    assert scene.engine.peers == Peers()


def test_records_are_cut_where_a_tick_begins() -> None:
    """A part holds at most one tick of each partition; all is there, in order."""
    other = Partition("events", 1)
    times = {EVENTS: [0, 999, 1_000, 500, 5_000], other: [400, 7_000]}
    batches = {
        partition: [Record(at, BASE_MS + time, b"") for at, time in enumerate(found)]
        for partition, found in times.items()
    }
    parts = watching(Beats([])).cut(batches)
    assert [{p: [r.kafka_offset for r in records] for p, records in part.items()} for part in parts] == [
        {EVENTS: [0, 1], other: [0]},
        {EVENTS: [2, 3], other: [1]},
        {EVENTS: [4]},
    ]
