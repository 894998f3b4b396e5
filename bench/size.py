# SPDX-License-Identifier: Apache-2.0
"""Bytes of one event in Kafka: our columns against rows, Arrow, Parquet (formats.py) and the values' entropy.

    python -m bench.size [RECORD …]

RECORD is a file with one record's value as captured; without one, made-up traffic is used (trace.py). Then
whole records: what compressing inside the value costs against leaving it to the Kafka client.
"""

import sys
from pathlib import Path

import msgspec
import numpy as np
import zstandard

from bench import trace
from bench.formats import FORMATS, LEVEL, Tables, squeezed
from bench.report import report
from schemas import batch as codec

FLOWS = {32: 4, 256: 8, 4096: 24}
"""Events in a record, and connections they are spread over."""
ROUNDS = 7
GOALS = {"msgpack rows": 0.55, "arrow": 0.60, "parquet": 0.60, "entropy": 2.0}
"""Greatest ratio of our size to theirs, at 4,096 events."""
_BATCH_HEAD = 61
_SEVEN_BITS = 0x7F


def measured(samples: list[Tables]) -> dict[str, float]:
    """Return bytes per event of each format, the median over samples."""
    return {
        name: float(np.median([size(tables) / _events(tables) for tables in samples]))
        for name, size in FORMATS.items()
    }


def show(label: str, samples: list[Tables]) -> dict[str, float]:
    """Print the figures of some events; return our size as a ratio of each that a goal names."""
    found = measured(samples)
    print(f"{label} events")
    for name, value in found.items():
        print(f"    {name:14} {value:7.2f} B/event   ours / it {found['ours'] / value:.2f}")
    return {name: found["ours"] / found[name] for name in GOALS}


def show_records(size: int, flows: int) -> None:
    """Print what whole records cost, and where compressing them is cheaper."""
    print("whole records, with heads and dictionaries")
    made = [trace.batch(trace.tables(size, flows, seed), flows) for seed in range(4)]
    values = [codec.encode(one) for one in made]
    sections = [made[0].sends, made[0].receives, made[0].arrivals]
    head = len(values[0]) - len(msgspec.msgpack.encode(sections))
    print(f"{size} events a record, head and dictionaries {head} B before compression")
    for count in (1, 2, 4):
        events = sum(one.events for one in made[:count])
        inside, client = (record_batch(values[:count], inside=where) / events for where in (True, False))
        print(
            f"    {count} in a record batch: zstd inside {inside:6.2f} B/event, by the client {client:6.2f}, "
            f"client / inside {client / inside:.3f}"
        )


def record_batch(values: list[bytes], *, inside: bool) -> int:
    """Return the bytes of one Kafka record batch (format v2): each value compressed, or all by the client."""
    if not inside:
        return _BATCH_HEAD + squeezed(_framed(values))
    return _BATCH_HEAD + len(_framed([zstandard.ZstdCompressor(level=LEVEL).compress(one) for one in values]))


def _framed(values: list[bytes]) -> bytes:
    """Return records as a record batch holds them: no key, no headers."""
    records = []
    for number, value in enumerate(values):
        body = b"\x00" + _varint(0) + _varint(number) + _varint(-1) + _varint(len(value)) + value + _varint(0)
        records.append(_varint(len(body)) + body)
    return b"".join(records)


def _varint(number: int) -> bytes:
    left = (number << 1) ^ (number >> 63)
    found = bytearray()
    while left > _SEVEN_BITS:
        found.append(left & _SEVEN_BITS | 0x80)
        left >>= 7
    return bytes([*found, left])


def _events(tables: Tables) -> int:
    return sum(columns["flow"].size for columns in tables.values())


def main(paths: list[str]) -> None:
    """Measure captured records, or made-up traffic in three sizes and whole records of it."""
    print(f"zstd level {LEVEL}; heads and dictionaries left out")
    ratios = {}
    made = () if paths else FLOWS.items()
    for path in paths:
        tables = codec.columns(codec.decode(Path(path).read_bytes()))
        kept = {kind: columns for kind, columns in tables.items() if columns["flow"].size}
        ratios[Path(path).name] = show(f"{Path(path).name}: {_events(kept)}", [kept])
    for size, flows in made:
        ratios[str(size)] = show(str(size), [trace.tables(size, flows, seed) for seed in range(ROUNDS)])
    for size, flows in made:
        show_records(size, flows)
    for label, against in ratios.items():
        for name, ratio in against.items():
            report(f"bytes-per-event-{label}-against-{name.replace(' ', '-')}", ratio, GOALS[name])


if __name__ == "__main__":
    main(sys.argv[1:])
