# SPDX-License-Identifier: Apache-2.0
"""Answers on standard output: a table for people, JSON lines or CSV for programs.

JSON is one object a line, all integers exact. A table never cuts a value off: on a narrow terminal texts go
on in the next line; where the output is no terminal, lines are as long as they need be and every cell is
filled.
"""

import csv
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from shutil import get_terminal_size
from typing import Any, NamedTuple, TextIO

import msgspec

from common.errors import ConfigError
from common.shown import duration
from history.span import iso

Row = Mapping[str, Any]
_HUNDRED, _THOUSAND = 100, 1000
_BELOW_ALL = 0.9999


class Column(NamedTuple):
    """One column of a table for people."""

    name: str
    heading: str
    look: str = "text"
    """``text``, ``time`` (ISO 8601), ``duration`` (of ns, or of ``microseconds``), ``bound`` (± of ns),
    ``decimal``, ``count``, ``port``; ``share``: percent, rounded down; ``part``: percent, rounded up."""
    grouped: bool = False
    """On a terminal shown only where it changes."""


def check(*, json: bool, csv: bool) -> None:
    """Refuse two forms at once."""
    if json and csv:
        raise ConfigError("--json and --csv: only one of them is possible")


def write_json(rows: Iterable[Row], out: TextIO | None = None, *, flush: bool = False) -> None:
    """Write one JSON object a line; ``flush`` each of them where someone is waiting."""
    encoder = msgspec.json.Encoder()
    target = out or sys.stdout
    for row in rows:
        target.write(encoder.encode(row).decode() + "\n")
        if flush:
            target.flush()


def write_csv(names: Sequence[str], rows: Iterable[Row], out: TextIO | None = None) -> None:
    """Write a line of names, then one a row; what is not known is empty."""
    writer = csv.DictWriter(out or sys.stdout, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {name: _printable(value) if isinstance(value, str) else value for name, value in row.items()}
        )


def write_table(columns: Sequence[Column], rows: Iterable[Row], out: TextIO | None = None) -> None:
    """Write a table with headings."""
    target = out or sys.stdout
    cells = [[show(row.get(column.name), column.look) for column in columns] for row in rows]
    if target.isatty():
        _write_rich(columns, cells, target)
    else:
        _write_plain(columns, cells, target)


def show(value: Any, look: str) -> str:  # noqa: ANN401 - any cell
    """Return a value as people read it; what is not known is ``-``."""
    if value is None:
        return "?" if look == "share" else "-"
    return _SHOWS[look](value)


def share(part: float) -> str:
    """Return a percentage, rounded down: 100% only where nothing at all is missing."""
    if part >= 1:
        return "100%"
    hundredths = int(min(part, _BELOW_ALL) * _HUNDRED * _HUNDRED + 1e-9)
    return f"{hundredths / _HUNDRED:.2f}%"


def part(share_of_all: float) -> str:
    """Return a percentage, rounded up: 0% only where there is nothing at all."""
    if share_of_all <= 0:
        return "0%"
    return f"{math.ceil(share_of_all * _HUNDRED * _HUNDRED - 1e-9) / _HUNDRED:.2f}%"


def _printable(value: object) -> str:
    """Return text without control characters: a process may call itself what a terminal would obey."""
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _count(number: int) -> str:
    return f"{number:,}"


def _time(time_ns: int) -> str:
    return iso(time_ns, 6)


_SHOWS: dict[str, Callable[[Any], str]] = {
    "duration": duration,
    "decimal": lambda number: f"{number:.3f}",
    "bound": lambda number: f"±{duration(number)}",
    "microseconds": lambda number: duration(number * _THOUSAND),
    "share": share,
    "part": part,
    "time": _time,
    "count": _count,
    "text": _printable,
    "port": str,
}


def _write_plain(columns: Sequence[Column], cells: list[list[str]], out: TextIO) -> None:
    lines = [[column.heading for column in columns], *cells]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        padded = (
            cell.rjust(width) if _is_number(column) else cell.ljust(width)
            for cell, width, column in zip(line, widths, columns, strict=True)
        )
        out.write("  ".join(padded).rstrip() + "\n")


def _write_rich(columns: Sequence[Column], cells: list[list[str]], out: TextIO) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        number = _is_number(column)
        table.add_column(
            column.heading, justify="right" if number else "left", no_wrap=number, overflow="fold"
        )
    before: list[str] = []
    for line in cells:
        same = [
            column.grouped and before[: index + 1] == line[: index + 1]
            for index, column in enumerate(columns)
        ]
        table.add_row(*(Text("" if hide else cell) for cell, hide in zip(line, same, strict=True)))
        before = line
    size = get_terminal_size()
    Console(file=out, highlight=False, width=size.columns, height=size.lines).print(table)


def _is_number(column: Column) -> bool:
    return column.look in {"duration", "bound", "decimal", "microseconds", "count", "share", "part", "port"}
