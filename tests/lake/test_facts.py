# SPDX-License-Identifier: Apache-2.0
"""What a commit stores, and what is found again."""

import errno
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from lake import delta, housekeeping
from lake.errors import CommitUnknownError, LakeCorruptError, LakeUnavailableError, StalePositionError
from lake.facts import TRACE_POINTS, Facts, PartitionCommit
from lake.parquet import DataFile
from lake.storage import Storage
from schemas.tables import KINDS
from tests.lake.synthetic import (
    EVENT_KINDS,
    HOUR,
    HOUR_AT,
    HOUR_NS,
    TOPIC,
    TOPIC_ID,
    advance,
    expected,
    flush,
    part,
    stored,
)


def test_a_new_lake_has_no_position_no_state_no_topic_and_no_files(facts: Facts) -> None:
    assert facts.position(TOPIC_ID, 0) is None
    assert facts.resume(TOPIC_ID, 0) is None
    assert facts.known_topic_ids(TOPIC) == set()
    assert facts.files("match", None, None) == []


def test_what_was_committed_is_found_by_the_next_process(facts: Facts, folder: str) -> None:
    facts.commit([part(0, 0, 7), part(1, 0, 3)])
    later = Facts.open(folder)
    assert (later.position(TOPIC_ID, 0), later.position(TOPIC_ID, 1), later.position(TOPIC_ID, 2)) == (
        7,
        3,
        None,
    )
    found = later.resume(TOPIC_ID, 0)
    assert found is not None
    assert (found.next_offset, found.state, found.flushed) == (7, b"21", False)
    for kind in EVENT_KINDS:
        assert stored(later, kind) == sorted(
            expected(kind, range(1), 7) + expected(kind, range(1, 2), 3), key=repr
        )


def test_the_result_is_the_same_however_cycles_are_cut(tmp_path: Path) -> None:
    lakes = []
    for step in (4, 7, 60):
        lakes.append(Facts.open(str(tmp_path / str(step))))
        advance(lakes[-1], range(2), step, 60)
    for kind in EVENT_KINDS:
        assert [stored(lake, kind) for lake in lakes] == [expected(kind, range(2), 60)] * 3


def test_a_commit_passes_its_points_in_order(folder: str) -> None:
    passed: list[str] = []
    Facts.open(folder, trace=passed.append).commit([part(0, 0, 1)])
    assert tuple(passed) == TRACE_POINTS


def test_a_progress_row_tells_what_each_commit_covered(facts: Facts) -> None:
    facts.commit([part(0, 0, 2)])
    facts.commit([part(0, 2, 5)])
    first, second = stored(facts, "progress")
    assert [(row["from_offset"], row["to_offset"]) for row in (first, second)] == [(0, 2), (2, 5)]
    assert second["topic"] == TOPIC
    assert second["committed_at_ns"] == 1_750_000_000 * 10**9
    assert str(second["state"]).startswith(f"_state/{TOPIC_ID}/0/5-")


def test_a_partition_whose_first_records_are_gone_may_begin_anywhere(facts: Facts) -> None:
    facts.commit([part(0, 500, 510)])
    assert facts.position(TOPIC_ID, 0) == 510


def test_each_kind_has_a_file_per_hour_and_only_its_own_columns(facts: Facts) -> None:
    facts.commit([part(0, HOUR_AT - 2, HOUR_AT + 2), part(1, HOUR_AT - 2, HOUR_AT + 2)])
    for kind in [*EVENT_KINDS, "progress"]:
        files, schema = facts.files(kind, None, None), KINDS[kind]
        assert len(files) == (1 if kind == "progress" else 2)
        for file in files:
            assert pq.read_schema(file).equals(schema.remove_metadata(), check_metadata=False)
            assert f"/kind={kind}/date=2025-" in file


@pytest.mark.parametrize(
    ("from_hour", "to_hour", "hours"),
    [
        (None, None, [0, 1]),
        (0, 1, [0]),
        (1, 2, [1]),
        (0, 2, [0, 1]),
        (None, 1, [0]),
        (1, None, [1]),
        (2, None, []),
        (None, 0, []),
        (0.5, 0.6, [0]),
        (0.5, 1.1, [0, 1]),
    ],
)
def test_files_are_those_whose_hour_overlaps_the_range(
    facts: Facts, from_hour: float | None, to_hour: float | None, hours: list[int]
) -> None:
    facts.commit([part(0, HOUR_AT - 2, HOUR_AT + 2)])
    from_ns, to_ns = (None if hour is None else int((HOUR + hour) * HOUR_NS) for hour in (from_hour, to_hour))
    found = facts.files("match", from_ns, to_ns)
    assert [
        pq.read_table(file, partitioning=None)["sent_at_ns"][0].as_py() // HOUR_NS - HOUR for file in found
    ] == hours


def test_files_of_an_unknown_kind_are_refused(facts: Facts) -> None:
    with pytest.raises(ValueError, match="kinds are match, "):
        facts.files("matches", None, None)


def test_duckdb_reads_the_files(facts: Facts) -> None:
    advance(facts, range(2), 25, 50)
    count, total = duckdb.execute(
        "select count(*), sum(delivery_ns) from read_parquet(?) where edge like 'name-%'",
        [facts.files("match", None, None)],
    ).fetchone() or (0, 0)
    assert (count, total) == (100, 2 * sum(range(50)))


def test_topic_ids_are_told_by_topic(facts: Facts) -> None:
    def named(topic: str, topic_id: str, partition: int) -> PartitionCommit:
        return PartitionCommit(topic, topic_id, partition, 0, 1, b"", False, {})  # noqa: FBT003

    facts.commit([named("a", "first", 0), named("a", "first", 1)])
    facts.commit([named("a", "second", 0), named("b", "third", 0)])
    facts.commit([named("c" * 249, "fourth", 0)])
    assert facts.known_topic_ids("a") == {"first", "second"}
    assert facts.known_topic_ids("b") == {"third"}
    assert facts.known_topic_ids("c" * 249) == {"fourth"}
    assert facts.known_topic_ids("d") == set()


def test_the_same_partition_twice_in_a_commit_is_refused(facts: Facts) -> None:
    with pytest.raises(ValueError, match="each once"):
        facts.commit([part(0, 0, 3), part(0, 3, 5)])
    with pytest.raises(ValueError, match="none"):
        facts.commit([])
    assert facts.position(TOPIC_ID, 0) is None


@pytest.mark.parametrize(("from_offset", "to_offset"), [(5, 5), (5, 4), (-1, 4)])
def test_a_commit_of_no_offsets_is_refused(from_offset: int, to_offset: int) -> None:
    with pytest.raises(ValueError, match="cannot be committed"):
        PartitionCommit(TOPIC, TOPIC_ID, 0, from_offset, to_offset, b"", False, {})  # noqa: FBT003


@pytest.mark.parametrize("topic_id", ["", "../up", "a/b", "a b"])
def test_a_topic_id_that_is_no_file_name_is_refused(topic_id: str) -> None:
    with pytest.raises(ValueError, match="no partition of Kafka's"):
        PartitionCommit(TOPIC, topic_id, 0, 0, 1, b"", False, {})  # noqa: FBT003


@pytest.mark.parametrize("kind", ["progress", "matches"])
def test_rows_of_kinds_that_are_not_the_writers_are_refused(kind: str) -> None:
    with pytest.raises(ValueError, match=f"kind {kind}"):
        PartitionCommit(TOPIC, TOPIC_ID, 0, 0, 1, b"", False, {kind: part(0, 0, 1).rows["match"]})  # noqa: FBT003


def test_a_flush_alone_is_a_commit_and_its_state_is_the_newest(facts: Facts, folder: str) -> None:
    facts.commit([part(0, 0, 4)])
    facts.commit([flush(0, 4)])
    found = Facts.open(folder).resume(TOPIC_ID, 0)
    assert found is not None
    assert (found.next_offset, found.flushed) == (4, True)
    facts.commit([part(0, 4, 6)])
    found = Facts.open(folder).resume(TOPIC_ID, 0)
    assert found is not None
    assert (found.next_offset, found.flushed) == (6, False)


def test_a_full_disk_commits_nothing_and_the_next_try_succeeds(
    facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts.commit([part(0, 0, 2)])
    with monkeypatch.context() as patch:
        patch.setattr("lake.storage._fsync", _no_space)
        with pytest.raises(LakeUnavailableError, match="not full"):
            facts.commit([part(0, 2, 4)])
    assert facts.position(TOPIC_ID, 0) == 2
    facts.commit([part(0, 2, 4)])
    assert stored(facts, "match") == expected("match", range(1), 4)


def test_a_commit_that_raises_after_it_is_durable_is_not_made_again(
    facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = delta.Table.append

    def append_and_fail(*arguments: object) -> None:
        append(*arguments)  # type: ignore[arg-type]
        raise RuntimeError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(delta.Table, "append", append_and_fail)
        with pytest.raises(CommitUnknownError, match="no answer"):
            facts.commit([part(0, 0, 2)])
    with pytest.raises(StalePositionError):
        facts.commit([part(0, 0, 2)])
    advance(facts, range(1), 2, 4)
    assert stored(facts, "match") == expected("match", range(1), 4)


def test_a_commit_that_raises_and_is_not_durable_is_made_again(
    facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(delta.Table, "append", _no_space)
        with pytest.raises(CommitUnknownError, match="resume from the table"):
            facts.commit([part(0, 0, 2)])
    advance(facts, range(1), 2, 4)
    assert stored(facts, "match") == expected("match", range(1), 4)


def test_a_missing_position_where_progress_rows_exist_is_fatal(facts: Facts) -> None:
    files: list[DataFile] = []
    facts._write([part(0, 0, 2)], [], files)
    facts._table.append(files, {})
    for forgotten in (facts.position, facts.resume):
        with pytest.raises(LakeCorruptError, match="setTransactionRetentionDuration") as caught:
            forgotten(TOPIC_ID, 0)
        assert caught.value.name == f"wirelag/{TOPIC_ID}/0"
    with pytest.raises(LakeCorruptError):
        facts.commit([part(0, 0, 2)])
    assert facts.position(TOPIC_ID, 1) is None


def test_a_position_without_its_progress_row_is_fatal(facts: Facts) -> None:
    facts._table.append([], {f"wirelag/{TOPIC_ID}/0": 7})
    with pytest.raises(LakeCorruptError, match="no progress row"):
        facts.resume(TOPIC_ID, 0)


def test_an_unusable_file_of_progress_rows_is_named(facts: Facts) -> None:
    facts.commit([part(0, 0, 2)])
    Path(facts.files("progress", None, None)[0]).write_bytes(b"")
    with pytest.raises(LakeCorruptError, match="part-"):
        facts.resume(TOPIC_ID, 0)


def test_a_last_commit_cut_to_nothing_is_made_again(facts: Facts, folder: str) -> None:
    """A power failure can leave the newest log file empty where it was not yet synced."""
    advance(facts, range(2), 4, 8)
    version = facts._table.version
    (Path(folder) / "_delta_log" / f"{version:020}.json").write_bytes(b"")
    after = Facts.open(folder)
    assert after.position(TOPIC_ID, 0) == 4
    advance(after, range(2), 4, 12)
    for kind in EVENT_KINDS:
        assert stored(after, kind) == expected(kind, range(2), 12)


def test_the_code_for_object_stores_does_the_same(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run on local files, through deltalake's own file system; no object store was tried."""
    monkeypatch.setattr(delta, "local_root", lambda _uri: None)
    Path(folder).mkdir()
    facts = Facts.open(f"file://{folder}")
    advance(facts, range(2), 25, 50)
    assert isinstance(facts._storage, Storage)
    assert facts._storage._root is None
    assert housekeeping.delete_old_states(facts._storage, facts._table, 2**62) == []
    facts.commit([part(2, 1, 2)])
    for written in Path(folder).glob(f"_state/{TOPIC_ID}/2/*"):
        written.unlink()
    with pytest.raises(LakeCorruptError, match="missing"):
        facts.resume(TOPIC_ID, 2)
    monkeypatch.undo()
    for kind in EVENT_KINDS:
        found = [row for row in stored(Facts.open(folder), kind) if row["topic_partition"] != 2]
        assert found == expected(kind, range(2), 50)


def _no_space(*_arguments: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")
