# SPDX-License-Identifier: Apache-2.0
"""Checkpoints, syncs, garbage: they keep the table fast and safe, and change no answer."""

import os
from pathlib import Path

import pytest
from deltalake import DeltaTable

from lake import housekeeping
from lake.facts import Facts
from tests.lake.synthetic import EVENT_KINDS, TOPIC, TOPIC_ID, advance, expected, flush, part, stored

_WRITTEN = 1_750_000_000 * 10**9


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "CHECKPOINT_INTERVAL", 3)


def _checkpoints(folder: str) -> list[int]:
    return sorted(int(path.name[:20]) for path in Path(folder, "_delta_log").glob("*.checkpoint.parquet"))


def test_a_checkpoint_is_made_at_every_interval_and_read_by_the_next_opening(
    often: None, facts: Facts, folder: str
) -> None:
    advance(facts, range(2), 5, 35)
    assert _checkpoints(folder) == [3, 6]
    for log in Path(folder, "_delta_log").glob("*.json"):
        if int(log.stem) <= 6:
            log.unlink()
    later = Facts.open(folder)
    assert (later.position(TOPIC_ID, 0), later.position(TOPIC_ID, 1)) == (35, 35)
    advance(later, range(2), 5, 50)
    for kind in EVENT_KINDS:
        assert stored(later, kind) == expected(kind, range(2), 50)


def test_a_checkpoint_that_fails_is_counted_and_the_commit_stands(
    often: None, facts: Facts, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_table: DeltaTable) -> None:
        raise Exception("Parquet error")  # noqa: TRY002 - as deltalake does

    with monkeypatch.context() as patch:
        patch.setattr(DeltaTable, "create_checkpoint", fail)
        advance(facts, range(1), 5, 20)
    assert (facts.checkpoint_failures, _checkpoints(folder)) == (1, [])
    advance(facts, range(1), 5, 40)
    assert (facts.checkpoint_failures, _checkpoints(folder)) == (1, [6])
    assert stored(facts, "match") == expected("match", range(1), 40)


def test_all_of_a_commit_is_synced_before_it_and_its_log_after_it(folder: str, synced: list[Path]) -> None:
    at: dict[str, int] = {}
    facts = Facts.open(folder, trace=lambda point: at.setdefault(point, len(synced)))
    synced.clear()
    before = _files(folder)
    facts.commit([part(0, 38, 42), part(1, 0, 2)])
    new = _files(folder) - before
    log = Path(folder, "_delta_log", f"{1:020}.json")
    assert log in new
    assert new - {log} <= set(synced[at["after-parquet"] : at["after-sync"]])
    folders = {parent for path in new - {log} for parent in path.parents if parent.is_relative_to(folder)}
    assert {*folders, Path(folder).parent} <= set(synced[at["after-parquet"] : at["after-sync"]])
    assert {log, log.parent} <= set(synced[at["after-commit"] : at["after-log-sync"]])


def _files(folder: str) -> set[Path]:
    return {path for path in Path(folder).rglob("*") if path.is_file()}


def test_states_are_deleted_when_below_the_previous_one_and_older_than_told(folder: str) -> None:
    facts = Facts.open(folder)
    advance(facts, range(2), 5, 20)
    facts.commit([part(2, 0, 5)])
    states = Path(folder, "_state", TOPIC_ID)
    (states / "0" / "7-orphan").write_bytes(b"of a killed writer")
    for path in states.glob("*/*"):
        age = 3600 * 10**9 if path.parent.name == "1" else 0
        os.utime(path, ns=(_WRITTEN, _WRITTEN + age))
    assert _delete_old_states(facts, _WRITTEN) == []
    deleted = [int(Path(name).name.partition("-")[0]) for name in _delete_old_states(facts, _WRITTEN + 1)]
    assert sorted(deleted) == [5, 7, 10]
    assert _offsets(states / "0") == [15, 20]
    assert _offsets(states / "1") == [5, 10, 15, 20]
    assert _offsets(states / "2") == [5]
    assert _delete_old_states(facts, _WRITTEN + 1) == []
    for partition in range(3):
        assert facts.resume(TOPIC_ID, partition) is not None


def _delete_old_states(facts: Facts, before_ns: int) -> list[str]:
    facts.refresh()
    return housekeeping.delete_old_states(facts._storage, facts._table, before_ns)


def _offsets(folder: Path) -> list[int]:
    return sorted(int(path.name.partition("-")[0]) for path in folder.iterdir())


def test_a_flush_alone_is_not_the_previous_state(folder: str) -> None:
    """It was made at the same offset: to fall back means to go to an earlier one."""
    facts = Facts.open(folder)
    advance(facts, range(1), 5, 15)
    facts.commit([flush(0, 15)])
    assert len(_delete_old_states(facts, 2 * _WRITTEN)) == 1
    assert _offsets(Path(folder, "_state", TOPIC_ID, "0")) == [10, 15, 15]


def test_vacuum_and_compaction_leave_rows_states_and_positions(facts: Facts, folder: str) -> None:
    """Delta's own, run by a person while nothing else runs."""
    advance(facts, range(2), 5, 50)
    table = DeltaTable(folder)
    table.optimize.compact()
    table.vacuum(0, dry_run=False, enforce_retention_duration=False, full=True)
    facts.refresh()
    assert len(facts.files("match", None, None)) == 2
    advance(facts, range(2), 5, 60)
    for kind in EVENT_KINDS:
        assert stored(facts, kind) == expected(kind, range(2), 60)
    assert facts.known_topic_ids(TOPIC) == {TOPIC_ID}


def test_an_idle_handle_whose_logs_have_expired_is_opened_anew(often: None, folder: str) -> None:
    idle, busy = Facts.open(folder), Facts.open(folder)
    advance(busy, range(1), 5, 40)
    for log in Path(folder, "_delta_log").glob("*.json"):
        if int(log.stem) <= 6:
            log.unlink()
    assert idle.position(TOPIC_ID, 0) == 40
