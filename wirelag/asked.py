# SPDX-License-Identifier: Apache-2.0
"""What all questions of ``wirelag query`` share: their options, and how an answer is written.

An answer without rows is no error: one line says why that could be.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Annotated, Any

from cyclopts import Parameter

from wirelag.output import Column, write_csv, write_json, write_table


def _not_empty(_type: object, text: str) -> None:
    if not text.strip():
        raise ValueError("found ''; allowed is a folder or a URI")


Lake = Annotated[
    str,
    Parameter("--lake", env_var="WIRELAG_LAKE", validator=_not_empty, help="folder or URI of the lake"),
]
From = Annotated[str, Parameter("--from", allow_leading_hyphen=True, help="first moment asked for")]
To = Annotated[
    str, Parameter("--to", allow_leading_hyphen=True, help="moment at which the time asked for ends")
]
Kind = Annotated[str, Parameter("--kind", help="delivery, wire, receive-wait, send-block, with commas")]
Edge = Annotated[
    str, Parameter("--edge", show_default=False, help="only edges whose name has this in it, any case")
]
Host = Annotated[str, Parameter("--host", show_default=False, help="only this host, as sender or receiver")]
Json = Annotated[
    bool, Parameter("--json", negative="", show_default=False, help="one JSON object a line, integers in ns")
]
Csv = Annotated[
    bool, Parameter("--csv", negative="", show_default=False, help="comma-separated, with a line of names")
]

_NONE = {
    "latency": "was the consumer running (`wirelag consume`), and has a window of 60 s closed since?",
    "messages": "was the consumer running (`wirelag consume`), and do agents run at both ends? Those "
    "between hosts of different clocks are told with --slowest (corrected, some) or --unsynced (raw)",
    "connections": "connections are noted when they are first heard of: ask for an earlier --from",
    "connects": "an attempt is told by the host that makes it: does an agent run there?",
    "retransmits": "nothing was sent again, or no agent runs at the sending hosts",
    "hosts": "agents say how they are every few seconds: is one running, and the consumer?",
    "clocks": "clocks are solved as windows are rolled up (`wirelag rollup`): has that run since?",
    "verdict": "does an edge of this name exist? `wirelag query latency` lists them",
    "losses": "hosts report every few seconds: is an agent running, and the consumer?",
}


def write(
    name: str,
    rows: Iterable[dict[str, Any]],
    names: Iterable[str],
    columns: tuple[Column, ...],
    *,
    json: bool,
    csv: bool,
    only: Mapping[str, object] | None = None,
) -> None:
    """Write an answer as asked; where there are no rows, say why on standard error.

    ``only`` are the options that leave rows out, with their values; those that are not given are false.
    """
    remaining = _or_remark(name, rows, only or {})
    if json:
        write_json(remaining)
    elif csv:
        write_csv(list(names), remaining)
    elif found := list(remaining):
        write_table(columns, found)


def _or_remark(
    name: str, rows: Iterable[dict[str, Any]], only: Mapping[str, object]
) -> Iterator[dict[str, Any]]:
    iterator = iter(rows)
    first = next(iterator, None)
    if first is None:
        given = [
            option if value is True else f"{option} {value!r}" for option, value in only.items() if value
        ]
        of = f" of {' '.join(given)} (there may be some without)" if given else ""
        remark(f"no {name} in this time{of}: {_NONE[name]}")
        return iter(())
    return chain([first], iterator)


def remark(text: str) -> None:
    """Say a line on standard error, behind what was written so far."""
    sys.stdout.flush()
    sys.stderr.write(f"wirelag: {text}\n")
