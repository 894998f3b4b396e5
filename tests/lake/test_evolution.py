# SPDX-License-Identifier: Apache-2.0
"""A lake of an earlier version stays usable: it gets what it lacks, once, and nothing it holds is lost."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from lake import delta, parquet, progress
from lake.errors import CommitUnknownError, LakeCorruptError, LakeUnavailableError
from lake.facts import Facts
from schemas.tables import KINDS, facts_schema
from support.earlier import (
    LATER_COLUMNS,
    LATER_KINDS,
    connection_columns,
    earlier_tables,
    progress_columns,
    unmatched_columns,
)
from tests.lake import synthetic
from tests.lake.opener import open_at_once
from tests.lake.synthetic import TOPIC_ID, advance, expected, part, stored

PROCESSES = 3


@contextmanager
def earlier() -> Iterator[None]:
    """The version before connects, closes and retransmits, openers and marks."""
    with earlier_tables(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "EVENT_KINDS", [k for k in synthetic.EVENT_KINDS if k not in LATER_KINDS])
        yield


def metadata(folder: str) -> list[dict[str, object]]:
    """Return every metadata action of the log, oldest first."""
    logs = sorted(Path(folder, "_delta_log").glob("*.json"))
    actions = [json.loads(line) for log in logs for line in log.read_text().splitlines()]
    return [action["metaData"] for action in actions if "metaData" in action]


@pytest.fixture
def old(folder: str) -> Facts:
    """A lake of the earlier version with ten offsets, as its writer holds it."""
    with earlier():
        facts = Facts.open(folder)
        advance(facts, range(1), 5, 10)
    return facts


def test_opening_to_write_adds_what_is_missing_and_loses_nothing(old: Facts, folder: str) -> None:
    facts = Facts.open(folder)
    assert set(facts_schema().names) <= {field.name for field in DeltaTable(folder).schema().fields}
    advance(facts, range(1), 5, 20)
    with earlier():
        kept = expected("connection", range(1), 10)
    found = stored_rows(facts)
    assert found[:10] == [row | dict.fromkeys(LATER_COLUMNS) for row in kept]
    assert found[10:] == [row for row in expected("connection", range(1), 20) if int(str(row["tick"])) >= 10]
    assert stored(facts, "match") == expected("match", range(1), 20)
    assert stored(facts, "close") == [row for row in expected("close", range(1), 20) if row["tick"] >= 10]  # type: ignore[operator]
    before, after = metadata(folder)
    assert {**after, "schemaString": ""} == {**before, "schemaString": ""}
    assert old.position(TOPIC_ID, 0) == 20


def stored_rows(facts: Facts) -> list[dict[str, object]]:
    """Return the ends of connections as any reader of Delta sees them, in the order of their offsets."""
    table = DeltaTable(facts._storage.uri).to_pyarrow_table(filters=[("kind", "=", "connection")])
    rows = table.select(KINDS["connection"].names).to_pylist()
    return sorted(rows, key=lambda row: row["tick"])


@pytest.mark.usefixtures("old")
def test_opening_to_read_changes_nothing(folder: str) -> None:
    facts = Facts.open(folder, create=False)
    assert len(facts.files("connection", None, None)) == 2
    assert facts.files("close", None, None) == []
    assert len(metadata(folder)) == 1


@pytest.mark.usefixtures("old")
def test_opening_again_adds_nothing(folder: str) -> None:
    version = Facts.open(folder)._table.version
    assert Facts.open(folder)._table.version == version
    assert len(metadata(folder)) == 2


def test_a_writer_that_was_open_goes_on(old: Facts, folder: str) -> None:
    """The earlier version's process writes its own columns beside the new ones."""
    Facts.open(folder)
    with earlier():
        advance(old, range(1), 5, 20)
        assert stored(old, "match") == expected("match", range(1), 20)
    assert len(metadata(folder)) == 2


def test_a_writer_overtaken_within_its_commit_takes_over_anew(old: Facts, folder: str) -> None:
    """Columns that are added between its check and its commit make the commit fail, whole."""

    def overtake(point: str) -> None:
        if point == "after-check":
            Facts.open(folder)

    with earlier():
        old.resume(TOPIC_ID, 0)
        step = part(0, 10, 15)
    old._trace = overtake
    with earlier_writer(), pytest.raises(CommitUnknownError):
        old.commit([step])
    old._trace = lambda _point: None
    with earlier():
        assert old.position(TOPIC_ID, 0) == 10
        advance(old, range(1), 5, 15)
        assert stored(old, "match") == expected("match", range(1), 15)


@contextmanager
def earlier_writer() -> Iterator[None]:
    """The earlier version's files, in a process whose other opener is of this version."""
    older = {
        "connection": connection_columns(),
        "progress": progress_columns(),
        "unmatched": unmatched_columns(),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "KINDS", {**KINDS, **older})
        patch.setattr(progress, "KINDS", {**KINDS, **older})
        parquet._options.cache_clear()
        yield
    parquet._options.cache_clear()


def test_several_processes_that_open_at_once_add_the_columns_once(tmp_path: Path) -> None:
    folders = [str(tmp_path / f"lake-{number}") for number in range(6)]
    with earlier():
        for folder in folders:
            Facts.open(folder).commit([part(PROCESSES, 0, 1)])
    open_at_once(folders, PROCESSES)
    for folder in folders:
        facts = Facts.open(folder)
        assert [facts.position(TOPIC_ID, number) for number in range(PROCESSES + 1)] == [1] * (PROCESSES + 1)
        assert len(metadata(folder)) == 2


@pytest.mark.usefixtures("old")
def test_columns_that_cannot_be_added_are_an_error(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_arguments: object) -> None:
        raise LakeUnavailableError("read-only")

    monkeypatch.setattr(delta.Table, "add_columns", refused)
    with pytest.raises(LakeUnavailableError, match="read-only"):
        Facts.open(folder)


@pytest.mark.usefixtures("old")
def test_a_column_of_another_type_is_refused(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = [pa.field("end", pa.string()) if field.name == "end" else field for field in facts_schema()]
    monkeypatch.setattr(delta, "facts_schema", lambda: pa.schema(fields))
    with pytest.raises(LakeCorruptError, match=r"lacks the columns .*end"):
        Facts.open(folder, create=False)
