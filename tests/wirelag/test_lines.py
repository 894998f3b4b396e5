# SPDX-License-Identifier: Apache-2.0
"""``wirelag cat`` says what any record is, and never fails on one."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import batch, control, example, latency, order
from schemas.latency import LatencyRecord
from wirelag.lines import lines

EVENTS = batch.encode(example.batch())
KINDS = {"send", "receive", "arrival", "connect", "close", "retransmit"}
HEARTBEAT = control.encode(example.heartbeat())


def only(
    value: bytes | None, headers: dict[str, str] | None = None, *, heads: bool = False
) -> dict[str, Any]:
    (line,) = lines(value, headers or {}, heads=heads)
    return line


def test_event_for_people() -> None:
    """An event is one flat object with names, addresses, times and the flags' names."""
    first = next(line for line in lines(EVENTS, {}) if line["kind"] == "send")
    assert first == {
        "kind": "send",
        "time": "2025-10-09T09:00:00.000000000Z",
        "host": "shop-1",
        "process": "checkout",
        "pid": 4711,
        "label": "checkout.service",
        "connection": "0000000000b71b27",
        "direction": 0,
        "local": "10.0.0.7:40312",
        "remote": "10.0.0.9:5432",
        "opener_pid": 4711,
        "opener": "checkout",
        "position": 1000,
        "length": 64,
        "duration_ns": 4100,
        "srtt_us": 180,
        "thread": 4711,
        "flags": ["LAST_PIECE", "FIRST_PIECE"],
        "time_ns": 1_760_000_400_000_000_000,
        "monotonic_ns": 86_400_000_000_000,
    }


def test_close_for_people() -> None:
    """Audit and marks are words."""
    (close,) = (line for line in lines(EVENTS, {}) if line.get("audit") == "partial")
    assert (close["kind"], close["marks"], close["flags"]) == ("close", ["OLDER"], ["OLDER", "ABORTED"])
    assert (close["sent_bytes"], close["missing_received"]) == (2**40 + 512, 20)
    assert not {"direction", "position", "opener"} & close.keys()


def test_events_of_a_record_are_in_order_of_time() -> None:
    """Sends, receives and arrivals of one record come in the order in which they happened."""
    found = [(line["kind"], line["monotonic_ns"]) for line in lines(EVENTS, {})]
    assert [time for _, time in found] == sorted(time for _, time in found)
    assert {kind for kind, _ in found} == KINDS
    assert {line["local"] for line in lines(EVENTS, {})} == {"10.0.0.7:40312", "[2001:db8::7]:443"}


def test_head_of_a_batch() -> None:
    """``--batches`` shows numbers and sizes instead of events."""
    head = only(EVENTS, heads=True)
    assert head["kind"] == "batch"
    assert (head["sequence"], head["events"], head["sends"], head["bytes"]) == (41, 11, 4, len(EVENTS))
    assert (head["connects"], head["closes"], head["retransmits"]) == (1, 2, 1)
    assert (head["connection_rate"], head["block_rate"]) == (65_536, 65_536)


def test_heartbeat_and_latency() -> None:
    """JSON records are shown as they are, under the kind they are of."""
    found = only(HEARTBEAT)
    assert found["kind"] == "heartbeat"
    assert found["acknowledged"] == {"3": 41}
    fields: dict[str, Any] = dict.fromkeys(LatencyRecord.__struct_fields__, 7) | {
        "buckets": [1],
        "counts": [1],
    }
    record = latency.encode(LatencyRecord(**(fields | {"edge": "a > b"})))
    assert only(record) == {"kind": "latency", **json.loads(record)}


def test_poison_tells_where_it_came_from() -> None:
    """A poison record shows its headers and how its value begins, also where that can be read by now."""
    headers = {"reason": "column", "topic": "t", "partition": "3", "kafka_offset": "17", "message": "m"}
    assert only(b"\x00\xff", headers) == {
        "kind": "poison",
        **headers,
        "value_bytes": 2,
        "value_begins": "00 ff",
    }
    assert only(EVENTS, headers)["kind"] == "poison"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "not-msgpack"),
        (b"hello", "not-msgpack"),
        (b"{", "not-json"),
        (b"[1, 2]", "not-json"),
        (b'{"a":' * 100_000, "not-json"),
        (HEARTBEAT.replace(b'"version":1', b'"version":9'), "version"),
        (EVENTS[:100], "not-msgpack"),
        (EVENTS + bytes(9 * 1024 * 1024), "too-large"),
    ],
)
def test_unknown_records_say_why(value: bytes, reason: str) -> None:
    """What cannot be read is shown with the reason, its size and its first bytes."""
    found = only(value)
    assert (found["kind"], found["reason"], found["value_bytes"]) == ("unknown", reason, len(value))
    assert len(found["value_begins"]) < 200


def test_other_records() -> None:
    """A deleted key and somebody else's JSON are shown as such."""
    assert only(None) == {"kind": "deleted"}
    assert only(b'{"hello": 1}') == {"kind": "json", "hello": 1}


@given(st.binary(max_size=200), st.dictionaries(st.text(), st.text(), max_size=2), st.booleans())
def test_any_bytes_are_shown(value: bytes, headers: dict[str, str], heads: bool) -> None:  # noqa: FBT001 - drawn
    """Any value gives lines that can be written as JSON."""
    for line in lines(value, headers, heads=heads):
        json.dumps(line)


def test_every_bit_flip_is_shown() -> None:
    """A damaged record gives its events or one line that says why not."""
    for bit in range(0, len(EVENTS) * 8, 3):
        flipped = bytearray(EVENTS)
        flipped[bit // 8] ^= 1 << bit % 8
        assert all(line["kind"] for line in lines(bytes(flipped), {}))


def test_order() -> None:
    """An order is shown with all it says; one outside of its limits is unknown, with the reason."""
    found = only(order.encode(example.order()))
    assert (found["kind"], found["action"], found["hosts"]) == ("order", "stop", ("shop-1", "web-*"))
    assert only(b'{"type":"order","version":1}')["kind"] == "unknown"
