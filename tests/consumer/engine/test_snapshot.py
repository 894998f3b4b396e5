# SPDX-License-Identifier: Apache-2.0
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.engine import ControlEngine, EventEngine, Output, Record, SnapshotError
from schemas.event import Kind
from support.batches import Fleet
from tests.consumer.engine.scene import BASE_MS, Host, Topic, ends, send
from tests.consumer.engine.traffic import SETTINGS, collect, run, topics
from tests.consumer.engine.wild import Wild


def sealed(body: bytes) -> bytes:
    return body + zlib.crc32(body).to_bytes(4, "little")


@settings(max_examples=25)
@given(topics())
def test_a_snapshot_of_a_restored_engine_is_the_same(records: list[Record]) -> None:
    """Nothing is lost or changed by saving: the second snapshot has the bytes of the first."""
    engine = EventEngine(0, SETTINGS)
    engine.apply(records)
    blob = engine.snapshot()
    assert EventEngine.restore(blob, 0, SETTINGS).snapshot() == blob


def test_a_new_engine_can_be_saved() -> None:
    """The state before the first record is a state."""
    assert EventEngine.restore(EventEngine(4, SETTINGS).snapshot(), 4, SETTINGS).flush().rows == {}


@pytest.mark.parametrize("taken", [0, 1, 4, 9])
def test_an_engine_saved_before_its_first_tick_goes_on(taken: int) -> None:
    """It knows no flow yet, only records; all that come afterwards find their place."""
    fleet = Fleet(shards=1, connections=300)
    values = [value for _ in range(5) for _, value in fleet.talk(2)]
    records = [Record(i, BASE_MS, value) for i, value in enumerate(values)]
    engine = EventEngine(0, SETTINGS)
    engine.apply(records[:taken])
    engine = EventEngine.restore(engine.snapshot(), 0, SETTINGS)
    assert collect([engine.apply(records[taken:]), engine.flush()]) == run(records)


def answers(wild: Wild, *, saved: bool) -> tuple[list[Output], bytes]:
    """What an engine says of a topic record by record; ``saved`` and restored at every point."""
    engine, outputs = EventEngine(0, wild.settings), []

    def again() -> EventEngine:
        blob = engine.snapshot()
        found = EventEngine.restore(blob, 0, wild.settings) if saved else engine
        assert found.snapshot() == blob
        return found

    for record, flushed in zip(wild.records, wild.flushed, strict=True):
        engine = again()
        outputs.append(engine.apply([record]))
        if flushed:
            engine = again()
            outputs.append(engine.flush())
    engine = again()
    return [*outputs, engine.flush()], engine.snapshot()


@settings(max_examples=60)
@given(st.integers(0, 2**32))
def test_an_engine_restored_at_every_point_answers_alike(seed: int) -> None:
    """Before the first record, between ticks, after flushes and evictions, whatever is missing or junk."""
    wild = Wild(seed)
    kept, blob = answers(wild, saved=False)
    restored, other = answers(wild, saved=True)
    assert (collect(restored), other) == (collect(kept), blob)
    assert [output.poison for output in restored] == [output.poison for output in kept]


@pytest.mark.parametrize("engine", [EventEngine, ControlEngine])
def test_a_snapshot_that_does_not_fit_is_refused(engine: type[EventEngine]) -> None:
    """Damage, another version, another partition and other bytes are all SnapshotError."""
    blob = engine(0, SETTINGS).snapshot()
    version = blob[:-4].index(b"\x01", 10)
    newer = blob[:version] + b"\x63" + blob[version + 1 : -4]
    for bad in (
        b"",
        blob[:-1],
        blob[:9] + b"?" + blob[10:],
        sealed(b"\x93\x01"),
        sealed(newer),
        sealed(blob[:-5]),
    ):
        with pytest.raises(SnapshotError):
            engine.restore(bad, 0, SETTINGS)
    with pytest.raises(SnapshotError, match="of partition 0, expected"):
        engine.restore(blob, 1, SETTINGS)


def test_open_events_cost_few_bytes() -> None:
    """Ten thousand open sends take at most 30 bytes each, before compression."""
    topic, alpha = Topic(), Host("alpha")
    sends = [send(100 * i, 100 * i + 64, 1_000 * i) for i in range(10_000)]
    topic.put(0, alpha.batch([ends()[0]], {Kind.SEND: sends}))
    engine = EventEngine(0, SETTINGS)
    engine.apply(topic.records)
    assert collect([engine.flush()])["ledger"]
    assert engine.waiting.sends.flow.size == 10_000
    assert len(engine.snapshot()) < 300_000
