# SPDX-License-Identifier: Apache-2.0
"""``wirelag.decode``: rows and Arrow say the same, and importing the package costs nothing."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wirelag
from schemas import batch, example
from schemas.errors import RecordError
from support.batches import Fleet
from wirelag.arrow import SCHEMA

EXAMPLE = batch.encode(example.batch())
HEAVY = {"pyarrow", "duckdb", "confluent_kafka", "deltalake"}


def without_nulls(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def test_row_says_who_when_and_which_bytes() -> None:
    """A row is complete in itself: names, addresses, time of day, position."""
    assert wirelag.decode(EXAMPLE)[0] == {
        "kind": "send",
        "host": "shop-1",
        "boot": "6f1ed002-ab5d-4a1c-8e1a-0d8f2f4f9c11",
        "connection": 12_000_039,
        "end": 0,
        "role": 1,
        "local_address": "10.0.0.7",
        "local_port": 40_312,
        "remote_address": "10.0.0.9",
        "remote_port": 5_432,
        "netns": 4_026_531_840,
        "marks": 0,
        "opener_pid": 4_711,
        "opener": "checkout",
        "pid": 4_711,
        "process": "checkout",
        "cgroup": 8_123,
        "label": "checkout.service",
        "time_ns": 1_760_000_400_000_000_000,
        "monotonic_ns": 86_400_000_000_000,
        "direction": 0,
        "position": 1_000,
        "length": 64,
        "duration_ns": 4_100,
        "srtt_us": 180,
        "thread": 4_711,
        "flags": 3,
    }


def test_life_of_a_connection() -> None:
    """Connects and closes are of no bytes; a close carries the kernel's totals."""
    connect, _, close, retransmit = wirelag.decode(EXAMPLE)[7:]
    assert (connect["duration_ns"], connect["error"], connect["retransmits"]) == (410_000, 0, 0)
    assert (close["sent_bytes"], close["missing_received"], close["audit"]) == (2**40 + 512, 20, 1)
    assert (close["min_rtt_us"], close["marks"], close["received_segments"]) == (20_900, 1, 14)
    assert "opener" not in close
    assert "position" not in close
    assert (retransmit["position"], retransmit["length"]) == (34_000, 1_448)


def test_arrow_from_before_connects() -> None:
    """A record of an earlier agent has the same schema, openers that nobody told are null."""
    earlier = (Path(__file__).parents[1] / "schemas" / "golden" / "events-v1.bin").read_bytes()
    table = wirelag.decode(earlier, "arrow")
    assert table.schema == SCHEMA
    assert table["opener"].null_count == table.num_rows == 7
    assert without_nulls(table.to_pylist()) == wirelag.decode(earlier)


def test_direction_is_the_sending_end() -> None:
    """Bytes that are received have the direction of the peer; IPv6 addresses are written as such."""
    rows = wirelag.decode(EXAMPLE)
    assert [(row["kind"], row["end"], row.get("direction")) for row in rows] == [
        ("send", 0, 0),
        ("send", 0, 0),
        ("send", 0, 0),
        ("send", 1, 1),
        ("receive", 0, 1),
        ("receive", 1, 0),
        ("arrival", 0, 1),
        ("connect", 0, None),
        ("close", 0, None),
        ("close", 1, None),
        ("retransmit", 0, 0),
    ]
    assert rows[3]["local_address"] == "2001:db8::7"
    assert "length" not in rows[6]


@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_rows_and_arrow_say_the_same(seed: int, messages: int) -> None:
    """The table has the rows' values, null where a kind has no such field, and always the same schema."""
    for _, value in Fleet(shards=2, connections=2, seed=seed).talk(messages):
        table = wirelag.decode(value, as_="arrow")
        assert table.schema == SCHEMA
        assert without_nulls(table.to_pylist()) == wirelag.decode(value, "rows")


def test_record_without_events() -> None:
    """A batch of no events is an empty list, and an empty table with all columns."""
    head = {name: getattr(example.batch(), name) for name in batch.EventBatch.__struct_fields__[:14]}
    value = batch.encode(batch.EventBatch(**(head | {"events": 0, "flows": ()})))
    assert wirelag.decode(value) == []
    assert wirelag.decode(value, "arrow").schema == SCHEMA
    assert wirelag.decode(value, "arrow").num_rows == 0


@pytest.mark.parametrize("as_", ["rows", "arrow"])
@pytest.mark.parametrize("value", [b"", b"{}", EXAMPLE[:-1], EXAMPLE.replace(b"\xaewirelag", b"\xaewirelax")])
def test_what_is_no_record_is_one_error(as_: Any, value: bytes) -> None:
    """Bytes that are no event batch raise RecordError, a ValueError, and nothing else."""
    with pytest.raises(RecordError, match="not an event batch"):
        wirelag.decode(value, as_)


def test_unknown_form() -> None:
    """There are two forms."""
    with pytest.raises(ValueError, match="allowed are 'rows' and 'arrow'"):
        wirelag.decode(EXAMPLE, "pandas")  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("program", "absent"),
    [
        ("import wirelag", {*HEAVY, "numpy", "msgspec", "cyclopts", "schemas"}),
        ("import wirelag; wirelag.decode(bytes.fromhex('{example}'))", HEAVY),
        ("import wirelag.cli", {*HEAVY, "numpy", "history"}),
    ],
)
def test_imports_are_lazy(program: str, absent: set[str]) -> None:
    """Importing the package, decoding rows and starting the command load no library they do not need."""
    shown = f"{program.format(example=EXAMPLE.hex())}\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True)
    assert absent & set(done.stdout.split()) == set()
