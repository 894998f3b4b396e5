# SPDX-License-Identifier: Apache-2.0
import zlib

import pytest
from hypothesis import given, settings

from consumer.engine import ControlEngine, EventEngine, Record, SnapshotError
from schemas.event import Kind
from tests.consumer.engine.scene import Host, Topic, ends, send
from tests.consumer.engine.traffic import SETTINGS, collect, topics


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
    with pytest.raises(SnapshotError, match="expected 1 of 1"):
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
