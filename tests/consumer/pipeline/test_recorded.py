# SPDX-License-Identifier: Apache-2.0
"""A recording that is replayed is other traffic each time, so nothing of it is dropped as a repeat."""

from pathlib import Path

from bench import recorded
from consumer.engine import EngineSettings, EventEngine, Record
from support.batches import Fleet


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    records = list(Fleet().talk(5))
    assert recorded.write(tmp_path / "file", records) == len(records)
    assert list(recorded.read(tmp_path / "file")) == records


def test_each_copy_of_a_recording_is_matched_anew() -> None:
    fleet = Fleet(shards=4)
    records = list(fleet.talk(10))
    replay = list(recorded.copies(records, events=3 * fleet.events))
    engine = EventEngine(1, EngineSettings())

    engine.apply([Record(at, 1000, value) for at, (shard, value) in enumerate(replay) if shard == 1])
    rows = engine.flush().rows

    assert len(replay) == 3 * len(records)
    assert rows["match"].num_rows == 3 * fleet.sends // 4
    assert "unmatched" not in rows
