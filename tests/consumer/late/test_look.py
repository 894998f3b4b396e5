# SPDX-License-Identifier: Apache-2.0
"""Looks at a real lake: only what is new is looked at, corrections are committed once, whoever else looks."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from consumer.late.rematch import Rematch
from lake.errors import CommitUnknownError, StalePositionError
from lake.facts import Facts, PartitionCommit
from lake.late import Late
from schemas.tables import KINDS
from support.consumer import read_kind
from support.earlier import earlier_tables
from tests.consumer.engine.traffic import exchange
from tests.consumer.late.test_corrections import WINDOW_NS, matches, open_ranges, outputs_of, put_in_time
from wirelag.cli import main

HOUR_NS = 3_600 * 10**9


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A lake in which half of the batches came late."""
    folder = tmp_path / "lake"
    values = [value for _, value in exchange(3, 2, 8)]
    fill(folder, values, [at % 2 == 1 for at in range(len(values))])
    return folder


def fill(folder: Path, values: list[bytes], late: list[bool]) -> None:
    """Commit what an engine says of batches, tick by tick."""
    facts = Facts.open(str(folder))
    resume = facts.resume("id", 0)
    offset = resume.next_offset if resume else 0
    for output in outputs_of(put_in_time(values, late)):
        rows = {kind: table for kind, table in output.rows.items() if table.num_rows}
        facts.commit([PartitionCommit("events", "id", 0, offset, offset + 1, b"", flushed=False, rows=rows)])
        offset += 1


@pytest.fixture
def quiet_log() -> Iterator[None]:
    """What a command sets up for its log goes with its standard error."""
    yield
    structlog.reset_defaults()


def looks(folder: Path, trace: Callable[[str], None] = lambda _: None) -> Rematch:
    return Rematch(Late.open(str(folder), trace=trace), WINDOW_NS)


def rows(folder: Path, kind: str) -> object:
    table = read_kind(folder, kind).select(KINDS[kind].names)
    return matches(table) if kind == "match" else open_ranges(table)


def test_a_look_corrects_the_lake_and_the_next_has_nothing_to_look_at(lake: Path) -> None:
    """Its own rows are looked at once more, and then nothing is new."""
    assert rows(lake, "unmatched") != Counter()
    assert looks(lake).once().matches == 8
    assert rows(lake, "unmatched") == Counter()
    assert looks(lake).once().matches == 0
    assert looks(lake).once() == (0, 0, 0)


def test_only_what_is_near_what_is_new_is_looked_at(lake: Path) -> None:
    """Hours within reach of new rows, by the hours that rows are filed under."""
    one = Late.open(str(lake))
    look = one.look(HOUR_NS)
    assert look is not None
    assert set(look.new) == set(look.near)
    one.commit(look, {})
    assert one.look(HOUR_NS) is None
    fill(lake, [value for _, value in exchange(4, 1, 2)], [False, True, False, True])
    again = one.look(HOUR_NS)
    assert again is not None
    assert not set(again.new) & set(look.new)
    assert set(again.near) == {*again.new, *look.new}


def test_of_two_that_look_at_once_one_commits(lake: Path) -> None:
    """Overtaken before the check, or between check and commit; the other's rows are there once."""
    for point, error in (("after-parquet", StalePositionError), ("after-check", CommitUnknownError)):
        copy = lake.with_name(point)
        shutil.copytree(lake, copy)

        def overtaken(passed: str, copy: Path = copy, point: str = point) -> None:
            if passed == point:
                assert looks(copy).once().matches == 8

        with pytest.raises(error):
            looks(copy, overtaken).once()
        assert rows(copy, "unmatched") == Counter()
        assert read_kind(copy, "match").num_rows == 8


def test_without_the_check_corrections_would_be_there_twice(lake: Path) -> None:
    """The control: a look that is taken for newer than it is commits what another one has committed."""
    late = Late.open(str(lake))
    look = late.look(HOUR_NS)
    assert look is not None
    rows_of_look, _ = looks(lake)._rows(look)
    assert looks(lake).once().matches == 8
    late.commit(replace(look, since=look.version), rows_of_look)
    assert read_kind(lake, "match").num_rows == 16
    assert rows(lake, "unmatched") != Counter()


def test_a_lake_of_an_earlier_version_is_looked_at_in_peace(tmp_path: Path) -> None:
    """Its unmatched rows lack what matching takes; they stay as they are."""
    folder = tmp_path / "lake"
    values = [value for _, value in exchange(3, 1, 4)]
    with earlier_tables():
        fill(folder, values, [at % 2 == 1 for at in range(len(values))])
    assert looks(folder).once().matches == 0
    assert rows(folder, "match") == Counter()


@pytest.mark.usefixtures("quiet_log")
def test_the_command_says_what_it_found(lake: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["rematch", "--lake", str(lake), "--set", "consumer.window=1s"]) == 0
    assert "8 matches" in capfd.readouterr().out


@pytest.mark.usefixtures("quiet_log")
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--every", "soon"], 2, "soon"),
        (["--reach", "0s"], 2, "--reach"),
        ([], 1, "there is no lake"),
    ],
)
def test_what_cannot_be_looked_at_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    assert main(["rematch", "--lake", str(tmp_path / "none"), *arguments]) == code
    assert said in capfd.readouterr().err
