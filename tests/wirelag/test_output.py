# SPDX-License-Identifier: Apache-2.0
"""Answers as people and programs read them: nothing cut off, nothing rounded up to perfect."""

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ConfigError
from wirelag.output import Column, check, duration, part, share, show, write_csv, write_json, write_table

EDGE = "a-rather-long-process-name@a-host.with.a.long.name > another-process@another-host.example:5432"
COLUMNS = (Column("edge", "EDGE", grouped=True), Column("kind", "KIND"), Column("p50_ns", "P50", "duration"))
ROWS: list[dict[str, Any]] = [
    {"edge": EDGE, "kind": "delivery", "p50_ns": 38_000},
    {"edge": EDGE, "kind": "wire", "p50_ns": None},
    {"edge": "b > c", "kind": "wire", "p50_ns": 1_900_000},
]


class Terminal(io.StringIO):
    """A terminal that remembers."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0ns"),
        (999, "999ns"),
        (1_000, "1.0us"),
        (38_000, "38us"),
        (212_499, "212us"),
        (1_900_000, "1.9ms"),
        (9_949_999, "9.9ms"),
        (9_950_001, "10ms"),
        (999_499_999, "999ms"),
        (999_600_000, "1.0s"),
        (12_345_678_901, "12s"),
        (-3_200, "-3.2us"),
        (-7, "-7ns"),
    ],
)
def test_durations(nanoseconds: int, text: str) -> None:
    """Two or three digits and a unit."""
    assert duration(nanoseconds) == text


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (0.0, "0%"),
        (1e-12, "0.01%"),
        (0.01, "1.00%"),
        (0.010001, "1.01%"),
        (0.99999, "100.00%"),
        (2.5, "250.00%"),
    ],
)
def test_parts_are_rounded_up(found: float, text: str) -> None:
    """Nothing is said to be nothing that is not."""
    assert part(found) == text


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (1.0, "100%"),
        (0.99999999, "99.99%"),
        (0.9999, "99.99%"),
        (0.99989, "99.98%"),
        (0.5, "50.00%"),
        (0.0, "0.00%"),
    ],
)
def test_shares_are_rounded_down(part: float, text: str) -> None:
    """Only 1 is 100 %."""
    assert share(part) == text


@given(st.floats(0, 1, exclude_max=True))
def test_less_than_all_is_never_shown_as_all(part: float) -> None:
    """No share below 1 reads 100 %, and none is shown greater than it is by more than a float's error."""
    shown = float(share(part).rstrip("%"))
    assert shown <= 99.99
    assert shown <= part * 100 + 1e-9


def test_what_is_not_known() -> None:
    """Null is a dash, an unknown share a question mark."""
    assert (show(None, "duration"), show(None, "share"), show(1234567, "count")) == ("-", "?", "1,234,567")


def test_pipe_gets_whole_lines() -> None:
    """Where the output is no terminal no name is cut or folded, and every line can be read by itself."""
    out = io.StringIO()
    write_table(COLUMNS, ROWS, out)
    lines = out.getvalue().splitlines()
    assert lines[0].split() == ["EDGE", "KIND", "P50"]
    assert [line[: len(EDGE)] for line in lines[1:3]] == [EDGE, EDGE]
    assert [line.split()[-1] for line in lines[1:]] == ["38us", "-", "1.9ms"]
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_narrow_terminal_folds_names(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """On a terminal lines fit, names go on below instead of being cut, and a name is shown once a group."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "dumb")
    out = Terminal()
    write_table(COLUMNS, ROWS, out)
    lines = out.getvalue().splitlines()
    assert all(len(line) <= columns for line in lines)
    letters = "".join("".join(lines).split())
    assert "…" not in letters
    assert out.getvalue().count("a-rather-long") == 1
    for value in ("38us", "1.9ms", "delivery"):
        assert value in letters


def test_json_lines() -> None:
    """One object a line, integers exact."""
    out = io.StringIO()
    write_json([{"n": 2**63 - 1}, {"n": None, "edge": "ä"}], out)
    assert [json.loads(line) for line in out.getvalue().splitlines()] == [
        {"n": 2**63 - 1},
        {"n": None, "edge": "ä"},
    ]


TEXT = st.text(st.characters(exclude_categories=["C", "Z"]))


@given(st.lists(st.fixed_dictionaries({"a": TEXT, "b": st.integers()}), max_size=4))
def test_csv_is_read_back(rows: list[dict[str, Any]]) -> None:
    """Whatever printable characters a name holds (commas, quotes), CSV readers get it back."""
    out = io.StringIO(newline="")
    write_csv(["a", "b"], rows, out)
    found = list(csv.DictReader(io.StringIO(out.getvalue(), newline="")))
    assert [(row["a"], int(row["b"])) for row in found] == [(row["a"], row["b"]) for row in rows]


def test_names_cannot_command_the_terminal() -> None:
    """A process that calls itself an escape sequence or a line feed is shown, not obeyed."""
    rows = [{"edge": "\x1b[2Ja\r\nb", "kind": "wire", "p50_ns": 1}]
    for out in (io.StringIO(), Terminal()):
        write_table(COLUMNS, rows, out)
        assert "\x1b[2J" not in out.getvalue()
        assert r"\x1b[2Ja\r\nb" in out.getvalue()
    out = io.StringIO()
    write_csv(["edge"], rows, out)
    assert out.getvalue() == "edge\n\\x1b[2Ja\\r\\nb\n"


def test_two_forms_at_once() -> None:
    """JSON and CSV exclude one another."""
    with pytest.raises(ConfigError, match="only one of them"):
        check(json=True, csv=True)
