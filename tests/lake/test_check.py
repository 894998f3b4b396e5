# SPDX-License-Identifier: Apache-2.0
"""`wirelag lake check` finds each thing that is damaged by its name, and nothing where nothing is."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from common.command import run_command
from lake.check import check
from lake.facts import Facts
from tests.lake.keeping import maintainer
from tests.lake.synthetic import EVENT_KINDS, TOPIC_ID, advance, flush, part
from tests.lake.test_evolution import earlier
from wirelag import cli

STATES = f"_state/{TOPIC_ID}"


@pytest.fixture
def whole(facts: Facts, folder: str) -> Facts:
    """Two partitions, a flush, merged and unmerged files, garbage."""
    advance(facts, range(2), 5, 30)
    maintainer(folder, now_ns=1_750_000_000 * 10**9).run()
    advance(facts, range(2), 5, 50)
    facts.commit([flush(1, 50)])
    facts.refresh()
    return facts


def faults(folder: str, *, deep: bool = False) -> list[tuple[str, str]]:
    """Return (object, what was found)."""
    return [(fault.object, fault.found) for fault in check(folder, {}, deep=deep).faults]


def test_a_whole_lake_has_no_faults_and_its_garbage_is_counted(whole: Facts, folder: str) -> None:
    before = {path: path.stat().st_mtime_ns for path in Path(folder).rglob("*") if path.is_file()}
    Path(folder, "kind=match/date=2025-06-11/hour=0/part-left.parquet").write_bytes(b"12345")
    found = check(folder, {}, deep=True)
    assert found.faults == []
    assert found.partitions == 2
    assert found.states == 21
    assert found.orphans == 6 * (len(EVENT_KINDS) + 1) + 1
    assert found.files == len(whole._table.files())
    after = {path: path.stat().st_mtime_ns for path in Path(folder).rglob("*") if path.is_file()}
    assert {path: time for path, time in after.items() if "left" not in path.name} == before


def live(facts: Facts, kind: str) -> Path:
    return Path(facts.files(kind, None, None)[0])


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def _flip(path: Path) -> None:
    """Damage the first page; the size stays."""
    content = bytearray(path.read_bytes())
    content[30:90] = bytes(60)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("harm", "deep", "text"),
    [
        (Path.unlink, False, "it is missing"),
        (_cut, False, "the table's log says"),
        (lambda path: path.write_bytes(b""), False, "it has 0 bytes"),
        (_flip, True, "cannot be read"),
    ],
)
def test_a_damaged_file_is_named(
    whole: Facts, folder: str, harm: Callable[[Path], object], *, deep: bool, text: str
) -> None:
    path = live(whole, "match")
    harm(path)
    assert [(name, text in found) for name, found in faults(folder, deep=deep)][:1] == [
        (str(path.relative_to(folder)), True)
    ]


def test_only_deep_finds_what_has_the_right_size(whole: Facts, folder: str) -> None:
    _flip(live(whole, "match"))
    assert faults(folder) == []


def test_rows_that_are_not_there_are_found(whole: Facts, folder: str) -> None:
    path = live(whole, "close")
    pq.write_table(pq.read_table(path, partitioning=None).slice(1), path)
    found = dict(faults(folder, deep=True))
    assert "the table's log says" in found[str(path.relative_to(folder))]


def test_a_damaged_newest_state_is_named_and_an_older_one_is_no_fault(whole: Facts, folder: str) -> None:
    old, newest = Path(folder).glob(f"{STATES}/0/45-*"), Path(folder).glob(f"{STATES}/0/50-*")
    _cut(next(old))
    assert faults(folder) == []
    damaged = next(newest)
    damaged.write_bytes(b"")
    [(name, found)] = faults(folder)
    assert name == str(damaged.relative_to(folder))
    assert "0 bytes" in found


def test_a_missing_state_of_a_flush_is_found(whole: Facts, folder: str) -> None:
    for path in Path(folder).glob(f"{STATES}/1/50-*"):
        path.unlink()
    assert [("missing" in found) for _, found in faults(folder)] == [True]


def test_a_last_commit_cut_to_nothing_is_found_with_its_remedy(whole: Facts, folder: str) -> None:
    log = Path(folder, "_delta_log", f"{whole._table.version:020}.json")
    log.write_bytes(b"")
    [fault] = check(folder, {}, deep=False).faults
    assert (fault.object, "it is empty" in fault.found) == (f"_delta_log/{log.name}", True)
    assert "start a consumer" in fault.remedy


def test_a_position_that_does_not_fit_its_progress_row_is_found(whole: Facts, folder: str) -> None:
    whole._table.append([], {f"wirelag/{TOPIC_ID}/1": 51})
    assert faults(folder) == [
        (f"wirelag/{TOPIC_ID}/1", "the table's position is 51, its last progress row ends at 50")
    ]


def test_rows_that_are_there_twice_are_found(facts: Facts, folder: str) -> None:
    """As Delta's own OPTIMIZE leaves them beside itself."""
    advance(facts, range(1), 5, 20)
    one, other = DeltaTable(folder), DeltaTable(folder)
    one.optimize.compact()
    other.optimize.compact()
    assert ("overlap" in faults(folder)[0][1]) is True


def test_offsets_of_no_commit_are_found(whole: Facts, folder: str) -> None:
    files: list[object] = []
    whole._write([part(0, 60, 70)], [], files)  # type: ignore[arg-type]
    whole._table.append(files, {f"wirelag/{TOPIC_ID}/0": 70})  # type: ignore[arg-type]
    assert faults(folder) == [(f"wirelag/{TOPIC_ID}/0", "no commit has [50, 60)")]


def test_the_command_has_a_line_for_each_fault_and_exit_1(
    whole: Facts, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["lake", "check", "--lake", folder]) == 0
    assert "2 partitions" in capsys.readouterr().out
    path = live(whole, "match")
    path.unlink()
    assert cli.main(["lake", "check", "--lake", folder]) == 1
    said = capsys.readouterr()
    assert said.out.splitlines()[0].startswith(f"{path.relative_to(folder)}: it is missing; restore")
    assert "1 faults" in said.err
    assert cli.main(["lake", "check", "--lake", folder, "--json"]) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row.get("object") for row in rows] == [str(path.relative_to(folder)), None]


def test_maintain_prints_what_it_did_and_fails_where_something_could_not_be_done(
    facts: Facts, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    advance(facts, range(1), 5, 20)
    live(facts, "ledger").unlink()
    assert cli.main(["lake", "maintain", "--lake", folder, "--json"]) == 1
    said = capsys.readouterr()
    rows = {(row["action"], row["kind"]): row for row in map(json.loads, said.out.splitlines())}
    assert rows["merge files", "match"]["removed"] == 4
    assert "it is missing" in said.err
    assert cli.main(["lake", "maintain", "--lake", folder, "--set", "lake.keep.match=5m"]) == 2
    assert "lake.keep: match: found 5m; allowed is 1h or more" in capsys.readouterr().err


def test_migrate_says_what_it_would_do_and_does_it(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    with earlier():
        Facts.open(folder)
    version = DeltaTable(folder).version()
    for arguments, text in [
        (["--dry-run"], "would be added"),
        ([], "columns added:"),
        ([], "nothing to do"),
    ]:
        assert (
            run_command(
                "wirelag",
                lambda given=arguments: cli.app(  # type: ignore[misc]
                    ["lake", "migrate", "--lake", folder, *given],
                    exit_on_error=False,
                    result_action="return_value",
                ),
            )
            == 0
        )
        assert text in capsys.readouterr().out
        if arguments:
            assert DeltaTable(folder).version() == version
    assert "told" in {field.name for field in DeltaTable(folder).schema().fields}
