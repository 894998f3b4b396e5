# SPDX-License-Identifier: Apache-2.0
"""Targets: what wirelag itself wrote and reads back. Snapshots of engines: an engine, or SnapshotError."""

from zlib import crc32

from consumer.engine import ControlEngine, EventEngine, Record, SnapshotError
from consumer.engine.settings import EngineSettings
from fuzz.records import GOOD
from fuzz.target import Target, golden

SETTINGS = EngineSettings()


def events(data: bytes) -> None:
    """Restore an engine of events from bytes whose checksum is right, and from them as they are."""
    _restore(EventEngine, data)


def control(data: bytes) -> None:
    """The same for the engine of heartbeats."""
    _restore(ControlEngine, data)


def _restore(kind: type[EventEngine] | type[ControlEngine], data: bytes) -> None:
    for blob in (data, data + crc32(data).to_bytes(4, "little")):
        try:
            engine = kind.restore(blob, 0, SETTINGS)
        except SnapshotError:
            continue
        assert kind.restore(engine.snapshot(), 0, SETTINGS).snapshot() == engine.snapshot()


def _events() -> list[bytes]:
    engine = EventEngine(0, SETTINGS)
    found = [engine.snapshot()]
    values = [GOOD, *golden("events-*.bin")]
    for number, value in enumerate(values):
        engine.apply([Record(number, 10_000 * number, value)])
        found.append(engine.snapshot())
    return [blob[:-4] for blob in found]


def _control() -> list[bytes]:
    engine = ControlEngine(0, SETTINGS)
    found = [engine.snapshot()]
    for number, value in enumerate(golden("heartbeat-*.json")):
        engine.apply([Record(number, 10_000 * number, value)])
        found.append(engine.snapshot())
    return [blob[:-4] for blob in found]


TARGETS = [Target("snapshot", events, _events, 3_000), Target("heartbeats", control, _control, 5_000)]
