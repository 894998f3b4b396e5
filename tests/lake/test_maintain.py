# SPDX-License-Identifier: Apache-2.0
"""Housekeeping changes files and never rows, beside whoever writes; only hours that are told to go do go."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lake import delta, housekeeping
from lake.errors import LakeUnavailableError
from lake.facts import Facts
from schemas.tables import KINDS
from support.earlier import LATER_COLUMNS
from tests.lake.keeping import HOUR_NS, counts, maintainer
from tests.lake.synthetic import (
    EVENT_KINDS,
    HOUR,
    HOUR_AT,
    TOPIC,
    TOPIC_ID,
    advance,
    expected,
    part,
    stored,
)
from tests.lake.test_evolution import earlier

NOW = 1_750_000_000 * 10**9


def require(facts: Facts, partitions: range, end: int) -> None:
    """Require that every row is there once."""
    for kind in EVENT_KINDS:
        assert stored(facts, kind) == expected(kind, partitions, end), kind


def test_small_files_become_one_an_hour_with_the_columns_of_their_kind(facts: Facts, folder: str) -> None:
    advance(facts, range(2), 5, HOUR_AT + 20)
    made = maintainer(folder, now_ns=NOW).run()
    assert counts(made)["merge files", "match"] == (12, 2)
    assert counts(made)["merge files", "progress"] == (12, 1)
    assert made.done["merge files", "match"].rows == 2 * (HOUR_AT + 20)
    require(facts, range(2), HOUR_AT + 20)
    for kind in EVENT_KINDS:
        for file in facts.files(kind, None, None):
            assert pq.read_schema(file).names == KINDS[kind].names
    assert facts.known_topic_ids(TOPIC) == {TOPIC_ID}
    advance(Facts.open(folder), range(2), 5, HOUR_AT + 40)
    require(facts, range(2), HOUR_AT + 40)


def test_what_is_merged_is_left_alone(facts: Facts, folder: str) -> None:
    advance(facts, range(2), 5, 40)
    own = maintainer(folder, now_ns=NOW)
    own.run()
    version = own.table.version
    assert counts(own.run()) == {}
    assert own.table.version == version


def test_the_logs_statistics_are_those_of_the_merged_rows(facts: Facts, folder: str) -> None:
    advance(facts, range(2), 5, 20)
    maintainer(folder, now_ns=NOW).run()
    facts.refresh()
    [row] = [row for row in facts._table.live().to_pylist() if row["partition.kind"] == "match"]
    assert (row["num_records"], row["min.sent_at_ns"], row["max.sent_at_ns"]) == (
        40,
        HOUR * HOUR_NS,
        HOUR * HOUR_NS + 19,
    )
    logs = [log.read_text().splitlines() for log in Path(folder, "_delta_log").glob("*.json")]
    actions = [json.loads(line) for lines in logs for line in lines]
    removed = [action["remove"] for action in actions if "remove" in action]
    assert removed
    assert {action["dataChange"] for action in removed} == {False}


def test_progress_rows_of_several_topics_go_into_a_file_each(facts: Facts, folder: str) -> None:
    other = "another-topic-id"
    for at in range(4):
        one, two = part(0, at, at + 1), part(0, at, at + 1)
        object.__setattr__(two, "topic_id", other)
        object.__setattr__(two, "topic", "wirelag.control.v1")
        facts.commit([one, two])
    maintainer(folder, now_ns=NOW).run()
    facts.refresh()
    assert {file.topic_id for file in facts._table.files("progress")} == {TOPIC_ID, other}
    assert facts.known_topic_ids("wirelag.control.v1") == {other}
    assert [facts.resume(name, 0).next_offset for name in (TOPIC_ID, other)] == [4, 4]  # type: ignore[union-attr]


def test_files_of_an_earlier_version_get_the_columns_that_came_since(folder: str) -> None:
    with earlier():
        advance(Facts.open(folder), range(1), 5, 20)
        rows = expected("connection", range(1), 20)
    facts = Facts.open(folder)
    advance(facts, range(1), 5, 25)
    maintainer(folder, now_ns=NOW).run()
    found = sorted(stored(facts, "connection"), key=lambda row: int(str(row["tick"])))
    assert len(facts.files("connection", None, None)) == 1
    rows.sort(key=lambda row: int(str(row["tick"])))
    assert found[:20] == [row | dict.fromkeys(LATER_COLUMNS) for row in rows]
    assert found[20]["opener"] == "name-0"
    assert facts.position(TOPIC_ID, 0) == 25


@pytest.mark.parametrize("win", ["merge", "writer", "migrate"])
def test_a_merge_overtaken_within_its_commit_is_tried_again_or_given_up(
    facts: Facts, folder: str, win: str
) -> None:
    advance(facts, range(1), 5, 20)

    def overtake(point: str) -> None:
        if point == "before-replace" and not did:
            did.append(point)
            if win == "merge":
                maintainer(folder, now_ns=NOW).run()
            elif win == "writer":
                facts.commit([part(0, 20, 22)])
            else:
                DeltaTable(folder).alter.set_table_properties({"delta.checkpointInterval": "99"})

    did: list[str] = []
    made = maintainer(folder, now_ns=NOW, trace=overtake).run()
    assert made.conflicts == 1
    assert made.overtaken == (len(EVENT_KINDS) + 1 if win == "merge" else 0)
    require(facts, range(1), 22 if win == "writer" else 20)
    assert not made.failed


def test_control_without_the_very_next_version_two_merges_double_rows(
    facts: Facts, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deltalake does not see that two commits remove the same file, so retries of its own are off."""
    commit = delta.Table._commit

    def retrying(self: delta.Table, actions: object, transactions: object, *, retries: int | None) -> None:
        commit(self, actions, transactions, retries=None)  # type: ignore[arg-type]

    monkeypatch.setattr(delta.Table, "_commit", retrying)
    advance(facts, range(1), 5, 20)
    did: list[str] = []

    def overtake(point: str) -> None:
        if point == "before-replace" and not did:
            did.append(point)
            maintainer(folder, now_ns=NOW).run()

    maintainer(folder, now_ns=NOW, trace=overtake).run()
    assert sum(len(stored(facts, kind)) for kind in EVENT_KINDS) > len(EVENT_KINDS) * 20


def test_control_deltas_own_optimize_beside_itself_doubles_rows(facts: Facts, folder: str) -> None:
    advance(facts, range(1), 5, 20)
    one, other = DeltaTable(folder), DeltaTable(folder)
    one.optimize.compact()
    other.optimize.compact()
    assert len(stored(facts, "match")) == 40


def test_a_commit_that_raises_after_it_is_durable_is_a_success(
    facts: Facts, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    advance(facts, range(1), 5, 20)
    commit = delta.Table._commit

    def failing(self: delta.Table, *arguments: object, **names: object) -> None:
        commit(self, *arguments, **names)  # type: ignore[arg-type]
        if failures:
            raise failures.pop(0)

    merges = len(EVENT_KINDS) + 1
    failures: list[Exception] = [RuntimeError("no answer"), *[CommitFailedError("no answer")] * (merges - 1)]
    monkeypatch.setattr(delta.Table, "_commit", failing)
    made = maintainer(folder, now_ns=NOW).run()
    monkeypatch.undo()
    assert counts(made)["merge files", "match"] == (4, 1)
    assert not made.failed
    require(facts, range(1), 20)


def test_what_a_merge_holds_is_on_the_disk_before_it(folder: str, synced: list[Path]) -> None:
    """Its own rows, and the commits that they came with: else a power failure would store those twice."""
    facts = Facts.open(folder)
    advance(facts, range(1), 5, 20)
    version = facts._table.version
    synced.clear()
    at: dict[str, int] = {}
    maintainer(folder, now_ns=NOW, trace=lambda point: at.setdefault(point, len(synced)) and None).run()
    before = set(synced[: at["before-replace"]])
    logs = {Path(folder, "_delta_log", f"{number:020}.json") for number in range(version + 2)}
    assert logs - before == {Path(folder, "_delta_log", f"{version + 1:020}.json")}
    assert logs <= set(synced[: at["after-replace-sync"]])
    facts.refresh()
    merged = {Path(file) for kind in EVENT_KINDS for file in facts.files(kind, None, None)}
    assert merged <= set(synced)
    assert any(file in before for file in merged)


def test_a_commit_that_fails_leaves_nothing_behind(
    facts: Facts, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    advance(facts, range(1), 5, 20)
    before = set(Path(folder).rglob("*.parquet"))

    def failing(*_arguments: object, **_names: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(delta.Table, "_commit", failing)
        with pytest.raises(LakeUnavailableError, match="full"):
            maintainer(folder, now_ns=NOW).run()
    assert set(Path(folder).rglob("*.parquet")) == before
    require(facts, range(1), 20)


def test_a_file_that_cannot_be_read_is_told_and_the_others_are_merged(facts: Facts, folder: str) -> None:
    advance(facts, range(1), 5, 20)
    bad, good, *_ = facts.files("match", None, None)
    Path(bad).write_bytes(b"")
    Path(facts.files("ledger", None, None)[0]).unlink()
    made = maintainer(folder, now_ns=NOW).run()
    assert len(made.failed) == 2
    assert any(Path(bad).name in line and "restore" in line for line in made.failed)
    assert any("it is missing" in line for line in made.failed)
    facts.refresh()
    assert len(facts.files("match", None, None)) == 4
    assert good in facts.files("match", None, None)
    assert stored(facts, "close") == expected("close", range(1), 20)


def test_rows_that_are_not_what_the_log_says_are_not_merged(facts: Facts, folder: str) -> None:
    advance(facts, range(1), 5, 20)
    first, second, *_ = facts.files("match", None, None)
    pq.write_table(pq.read_table(first, partitioning=None).slice(1), first)
    made = maintainer(folder, now_ns=NOW).run()
    assert [line for line in made.failed if "has 4 rows, the table's log says 5" in line] == made.failed != []
    assert second in facts.files("match", None, None)


def test_a_checkpoint_comes_when_many_commits_were_made(
    facts: Facts, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lake.maintain._CHECKPOINT_COMMITS", 26)
    advance(facts, range(1), 1, 12)
    assert ("checkpoint", "") not in maintainer(folder, now_ns=NOW).run().done
    advance(facts, range(1), 1, 18)
    assert ("checkpoint", "") in maintainer(folder, now_ns=NOW).run().done
    last = housekeeping.last_checkpoint(facts._storage)
    assert last == max(int(path.stem) for path in Path(folder, "_delta_log").glob("*.json"))
    require(Facts.open(folder), range(1), 18)


_STEPS = st.lists(st.sampled_from(["write", "other", "merge", "merge-2", "flush"]), min_size=3, max_size=12)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_STEPS, nested=_STEPS)
def test_writers_and_maintainers_in_any_order_keep_every_row(
    steps: list[str], nested: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever one does happens at once or in the middle of a merge of the other."""
    folder = str(tmp_path_factory.mktemp("mixed"))
    facts = [Facts.open(folder), Facts.open(folder)]
    ends = [0, 0]

    def act(name: str, trace: Callable[[str], None]) -> None:
        if name in {"write", "other"}:
            number = int(name == "other")
            facts[number].commit([part(number, ends[number], ends[number] + 3)])
            ends[number] += 3
        elif name.startswith("merge"):
            assert not maintainer(folder, now_ns=NOW, trace=trace).run().failed

    def within(point: str) -> None:
        if point == "before-replace" and nested:
            act(nested.pop(), lambda _point: None)

    for step in steps:
        act(step, within)
    for number, end in enumerate(ends):
        for kind in EVENT_KINDS:
            rows = [row for row in stored(facts[0], kind) if row["topic_partition"] == number]
            assert rows == expected(kind, range(number, number + 1), end)
