# SPDX-License-Identifier: Apache-2.0
"""The decoder that docs/wire-format.md shows: plain Python, slow, to be read and carried to other languages.

A test holds it equal to the real one (batch.py) on the golden record and on random ones.
"""

# ruff: noqa: B905 - zip stops at the shorter list on purpose: entries of later versions are ignored
# begin
from typing import Any

FIELDS = {
    "send": ["flow", "process", "time_ns", "position", "length", "duration_ns", "srtt_us", "thread", "flags"],
    "receive": ["flow", "process", "time_ns", "position", "length", "srtt_us", "thread", "flags"],
    "arrival": ["flow", "process", "time_ns", "position", "flags"],
    "connect": [
        *["flow", "process", "time_ns", "duration_ns", "error", "retransmits", "srtt_us", "thread", "flags"],
    ],
    "close": [
        *["flow", "process", "time_ns", "duration_ns", "sent_bytes", "received_bytes", "unread_bytes"],
        *["missing_sent", "missing_received", "retransmitted_bytes", "retransmits", "sent_segments"],
        *["received_segments", "min_rtt_us", "srtt_us", "audit", "flags"],
    ],
    "retransmit": ["flow", "process", "time_ns", "position", "length", "srtt_us", "flags"],
}
RUN = ["flow", "process"]
DIFFERING = ["time_ns", "position", "srtt_us", "thread"]
MAX_WIDTH = 8


def plain(column: bytes, count: int) -> list[int]:
    """Read a packed column."""
    width, planes = column[0], column[1:]
    if width > MAX_WIDTH or len(planes) != width * count:
        raise ValueError("not 1 + width * count bytes")
    return [sum(planes[k * count + i] << 8 * k for k in range(width)) for i in range(count)]


def rows(kind: str, section: list[Any]) -> list[dict[str, int]]:
    """Read one section of a batch."""
    events, runs, run_lengths, run_columns, first_values, event_columns = section[:6]
    if events == 0:
        return []
    lengths = plain(run_lengths, runs)
    run_of = [run for run, length in enumerate(lengths) for _ in range(length)]
    stored = [name for name in FIELDS[kind] if name not in RUN]
    firsts = dict(zip([name for name in stored if name in DIFFERING], first_values))
    packed = dict(zip(stored, event_columns))
    table = {name: plain(packed[name], events) for name in stored}
    for name in stored:
        if name in DIFFERING:
            follows = name == "position" and kind != "arrival"  # packing "continue"
            steps = table["length"] if follows else [0] * events
            table[name] = undo(table[name], plain(firsts[name], runs), run_of, steps)
    for name, column in zip(RUN, run_columns):
        values = plain(column, runs)
        table[name] = [values[run] for run in run_of]
    return [{name: table[name][i] for name in FIELDS[kind]} for i in range(events)]


def undo(packed: list[int], firsts: list[int], run_of: list[int], steps: list[int]) -> list[int]:
    """Undo the packings "delta" and "continue"."""
    values: list[int] = []
    for i, z in enumerate(packed):
        begins = i == 0 or run_of[i] != run_of[i - 1]
        before = firsts[run_of[i]] if begins else values[-1] + steps[i - 1]
        values.append((before + ((z >> 1) ^ -(z & 1))) % 2**64)
    return values


def batch(fields: list[Any]) -> list[tuple[str, dict[str, int]]]:
    """Read the events of a batch, given the array that is the record's value."""
    if fields[:2] != ["wirelag.events", 1]:
        raise ValueError("another kind of record, or another version")
    sections = zip(FIELDS, fields[15:21])  # the last three are missing in older records
    return [(kind, row) for kind, section in sections for row in rows(kind, section)]
