# SPDX-License-Identifier: Apache-2.0
"""How the tables of ``top`` look: redrawn in place on a terminal, one after the other elsewhere, or JSON."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
from rich.console import Console
from rich.live import Live as RichLive
from rich.table import Table as RichTable
from rich.text import Text

from agent.live import keys, show
from agent.live.keys import Controls
from agent.live.top import Line, Screen, Summary, Table

Column = tuple[str, Callable[[Line], str]]
_ADDRESSES: tuple[Column, ...] = (
    ("LOCAL", lambda line: line.local or show.UNKNOWN),
    ("REMOTE", lambda line: line.remote or show.UNKNOWN),
)
_FIGURES: tuple[Column, ...] = (
    ("SENT", lambda line: show.size(line.sent_bytes)),
    ("RECEIVED", lambda line: show.size(line.received_bytes)),
    ("MSGS", lambda line: f"{line.messages:,}"),
    ("READS", lambda line: f"{line.reads:,}"),
    ("P50", lambda line: show.duration(line.delivery_p50_ns)),
    ("P99", lambda line: show.duration(line.delivery_p99_ns)),
    ("WAIT P50", lambda line: show.duration(line.wait_p50_ns)),
    ("WAIT P99", lambda line: show.duration(line.wait_p99_ns)),
    ("RTT", lambda line: show.duration(line.rtt_us * 1000)),
    ("AGAIN", lambda line: show.size(line.retransmitted_bytes) if line.retransmitted_bytes else "-"),
)


def columns(by: str) -> tuple[Column, ...]:
    """Return the headings and what stands below them."""
    process: Column = ("PROCESS", lambda line: line.who)
    return (process, *(_ADDRESSES if by == "connection" else ()), *_FIGURES)


def caption(table: Table) -> str:
    """Return the line over a table."""
    return (
        f"{table.seconds:.1f} s, {table.shown} of {table.total} by {table.by}, most {table.sort} first; "
        "P50 and P99: delivery on this host"
    )


def draw_json(table: Table, _controls: Controls) -> None:
    """Print one object a line."""
    print(msgspec.json.encode(table).decode(), flush=True)


def draw_plain(table: Table, _controls: Controls) -> None:
    """Print a table as wide as it need be."""
    wanted = columns(table.by)
    cells = [[name for name, _ in wanted], *([look(line) for _, look in wanted] for line in table.rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(wanted))]
    texts = len(wanted) - len(_FIGURES)
    print(caption(table))
    for row in cells:
        padded = (
            cell.ljust(width) if at < texts else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join(padded).rstrip(), flush=True)
    print(flush=True)


def rich_table(table: Table, controls: Controls) -> RichTable:
    """Return a table for a terminal, the keys below it."""
    note = f"filter: {controls.text}_" if controls.typing else keys.HELP
    if controls.text and not controls.typing:
        note += f"   |   only rows with {controls.text!r}"
    made = RichTable(box=None, pad_edge=False, header_style="bold", title=caption(table), caption=note)
    wanted = columns(table.by)
    for at, (name, _) in enumerate(wanted):
        figure = at >= len(wanted) - len(_FIGURES)
        made.add_column(name, justify="right" if figure else "left", no_wrap=figure, overflow="fold")
    for line in table.rows:
        made.add_row(*(Text(look(line)) for _, look in wanted))
    return made


@contextmanager
def screen(*, json: bool, once: bool) -> Iterator[Screen]:
    """The screen that fits where standard output goes."""
    console = Console()
    if json or once or not console.is_terminal:
        yield Screen(draw_json if json else draw_plain, str, _end_json if json else _end)
        return
    with keys.pressed() as pressed, RichLive(console=console, auto_refresh=False) as live:

        def draw(table: Table, controls: Controls) -> None:
            live.update(rich_table(table, controls), refresh=True)

        def end(summary: Summary) -> None:
            live.stop()
            _end(summary)

        yield Screen(draw, pressed, end)


def _end(summary: Summary) -> None:
    sent = show.size(summary.sent_bytes)
    print(f"{summary.messages:,} messages, {sent} sent; {show.losses(summary.lost)}", flush=True)


def _end_json(summary: Summary) -> None:
    print(msgspec.json.encode(summary).decode(), flush=True)
