# SPDX-License-Identifier: Apache-2.0
"""Whatever bytes arrive: a value within its limits or RecordError, in bounded memory. Never anything else."""

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import batch as codec
from schemas import control, example
from schemas.batch import EventBatch
from schemas.errors import RecordError
from schemas.section import MAX_EVENTS, Section

VALID = codec.encode(example.batch())
HEARTBEAT = control.encode(example.heartbeat())
DEEP = 1_000_000
MEGABYTE = 1_000_000
fields = EventBatch.__struct_fields__


def read(value: bytes) -> None:
    """Decode all of a record, down to its columns."""
    codec.columns(codec.decode(value))


def forged(**changes: Any) -> bytes:
    """Return the example with fields of its head replaced by anything."""
    head = {name: getattr(example.batch(), name) for name in fields}
    return msgspec.msgpack.encode([codec.TAG, *(head | changes).values()])


def section(**changes: Any) -> list[Any]:
    """Return the example's sends with some of its fields replaced by anything."""
    sends = example.batch().sends
    return list(({name: getattr(sends, name) for name in sends.__struct_fields__} | changes).values())


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """Hold what the block allocates below ``size`` bytes."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < size
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=400))
def test_random_bytes(value: bytes) -> None:
    """Random bytes are no record."""
    with pytest.raises(RecordError):
        read(value)
    with pytest.raises(RecordError):
        control.decode(value)


def test_every_truncation() -> None:
    """A record cut anywhere is refused."""
    for end in range(len(VALID)):
        with pytest.raises(RecordError):
            codec.decode(VALID[:end])
    for end in range(len(HEARTBEAT)):
        with pytest.raises(RecordError):
            control.decode(HEARTBEAT[:end])


def test_every_bit_flip() -> None:
    """A record with any one bit flipped is read or refused, never more."""
    for original, reader in ((VALID, read), (HEARTBEAT, control.decode)):
        for bit in range(len(original) * 8):
            flipped = bytearray(original)
            flipped[bit // 8] ^= 1 << bit % 8
            with suppress(RecordError):
                reader(bytes(flipped))


@given(st.data())
def test_any_field_replaced_by_anything(data: st.DataObject) -> None:
    """A head whose field is of another type or size is read or refused."""
    anything = st.recursive(
        st.one_of(
            st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(), st.binary(), st.text()
        ),
        lambda inner: st.lists(inner, max_size=5),
        max_leaves=10,
    )
    with suppress(RecordError):
        read(forged(**{data.draw(st.sampled_from(fields)): data.draw(anything)}))


@pytest.mark.parametrize("name", [name for name in fields if isinstance(getattr(example.batch(), name), int)])
@pytest.mark.parametrize("number", [-1, -(2**63), 2**64 - 1])
def test_numbers_out_of_range(name: str, number: int) -> None:
    """Every number of the head has limits within 64 signed bits."""
    if (name, number) == ("realtime_offset_ns", -1):
        assert codec.decode(forged(**{name: number})).realtime_offset_ns == -1
        return
    with pytest.raises(RecordError) as raised:
        codec.decode(forged(**{name: number}))
    assert raised.value.reason in {"limits", "version"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"events": 2**31}, "limits"),
        ({"events": -1}, "limits"),
        ({"events": 5}, "limits"),
        ({"runs": 0}, "column"),
        ({"runs": 5}, "limits"),
        ({"run_lengths": b""}, "column"),
        ({"run_lengths": b"\xff"}, "column"),
        ({"run_lengths": b"\x01\x04\x00"}, "limits"),
        ({"run_lengths": b"\x01\xff\xff"}, "limits"),
        ({"run_lengths": b"\x04" + b"\xff" * 8}, "limits"),
        ({"run_columns": [b"\0"]}, "column"),
        ({"run_columns": [b"\x01\x02\x00", b"\0"]}, "column"),
        ({"run_columns": [b"\0", b"\x01\x02\x00"]}, "column"),
        ({"first_values": []}, "column"),
        ({"event_columns": [b"\0"] * 6}, "column"),
        ({"event_columns": [b"\x09" + b"\0" * 36] * 7}, "column"),
        ({"event_columns": [b"\x08" + b"\xff" * 32] * 7}, "column"),
        ({"event_columns": [b""] * 5000}, "limits"),
    ],
)
def test_forged_sections(changes: dict[str, Any], reason: str) -> None:
    """Counts, widths and lists that do not agree are refused with the reason that the counters show."""
    events = changes.get("events", example.batch().sends.events)
    total = example.batch().events - example.batch().sends.events + events
    with pytest.raises(RecordError) as raised:
        read(forged(sends=section(**changes), events=total))
    assert raised.value.reason == reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": 2}, "version"),
        ({"version": "1"}, "not-msgpack"),
        ({"shard": 4}, "limits"),
        ({"shards": 1}, "limits"),
        ({"events": 8}, "limits"),
        ({"host": ""}, "limits"),
        ({"host": "x" * 256}, "limits"),
        ({"boot": "x" * 65}, "limits"),
        ({"processes": []}, "limits"),
        ({"flows": []}, "column"),
        ({"flows": [[3, 0, 5, 0, bytes(16), 1, bytes(16), 1, 1]] * 2}, "limits"),
        ({"flows": [[3, 0, 4, 0, bytes(4), 1, bytes(16), 1, 1]] * 2}, "limits"),
        ({"flows": [[3, 0, 4, 0, bytes(16), 65_536, bytes(16), 1, 1]] * 2}, "limits"),
    ],
)
def test_forged_heads(changes: dict[str, Any], reason: str) -> None:
    """A head that contradicts itself or its sections is refused with its reason."""
    with pytest.raises(RecordError) as raised:
        read(forged(**changes))
    assert raised.value.reason == reason


@pytest.mark.parametrize("place", range(1, len(fields) + 2))
def test_deep_nesting(place: int) -> None:
    """A million arrays within one another are refused, wherever they stand."""
    parts = [
        msgspec.msgpack.encode(part) for part in [codec.TAG, *(getattr(example.batch(), n) for n in fields)]
    ]
    parts.append(b"\xc0")
    parts[place] = b"\x91" * DEEP + b"\xc0"
    value = b"\xdc" + len(parts).to_bytes(2, "big") + b"".join(parts)
    with at_most(5 * MEGABYTE), pytest.raises(RecordError):
        read(value)


def test_deep_nesting_of_json() -> None:
    """A million brackets in a heartbeat are refused: too large as they are, too deep when fewer."""
    with pytest.raises(RecordError, match="allowed are 262144"):
        control.decode(b"[" * DEEP)
    with pytest.raises(RecordError, match="not a heartbeat"):
        control.decode(b'{"type":"heartbeat","x":' + b"[" * 200_000)


def test_too_large() -> None:
    """Size is checked first."""
    with pytest.raises(RecordError) as raised:
        codec.decode(VALID + bytes(codec.MAX_RECORD_BYTES))
    assert raised.value.reason == "too-large"


@pytest.mark.parametrize(
    "header", [b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff"]
)
def test_forged_lengths_allocate_nothing(header: bytes) -> None:
    """An array, bytes or text that claims four billion entries is refused before memory is taken for it."""
    for at in range(1, len(VALID)):
        with at_most(MEGABYTE), pytest.raises(RecordError):
            codec.decode(VALID[:at] + header)


def test_many_tiny_flows_are_refused_before_they_are_made() -> None:
    """A record full of the smallest flows there are is refused by their number."""
    flow = [3, 0, 4, 0, b"", 0, b"", 0, 0]
    value = forged(flows=[flow] * 600_000)
    with at_most(MEGABYTE), pytest.raises(RecordError, match="length <= 65536"):
        codec.decode(value)


def test_columns_of_width_zero_cost_the_head_not_the_wire() -> None:
    """The most that a few bytes can unfold to is MAX_EVENTS zeros a column: about 40 MB in all."""
    zeros = Section(MAX_EVENTS, 1, b"\x03\x00\x00\x01", (b"\0", b"\0"), (b"\0",) * 4, (b"\0",) * 7)
    empty = Section(0, 0)
    others = dict.fromkeys(("receives", "arrivals", "connects", "closes", "retransmits"), empty)
    value = forged(sends=zeros, events=MAX_EVENTS, **others)
    assert len(value) < 400
    with at_most(40 * MEGABYTE):
        read(value)


@pytest.mark.parametrize(
    "text",
    [
        b"null",
        b"[]",
        b"{}",
        b'{"type":"other"}',
        HEARTBEAT.replace(b'"sequence":20', b'"sequence":1e400'),
        HEARTBEAT.replace(b'"sequence":20', b'"sequence":' + b"9" * 5000),
        HEARTBEAT.replace(b'"sequence":20', b'"sequence":-1'),
        HEARTBEAT.replace(b'"sequence":20', b'"sequence":9223372036854775808'),
        HEARTBEAT.replace(b'{"3":41}', b'{"3":9223372036854775808}'),
        HEARTBEAT.replace(b'{"3":41}', b'{"x":1}'),
        HEARTBEAT.replace(b'{"3":41}', b'{"65536":1}'),
        HEARTBEAT.replace(b'"host":"shop-1"', b'"host":""'),
        HEARTBEAT.replace(b"shop-1", b"\xff\xfe"),
        HEARTBEAT.replace(b'"version":1', b'"version":2'),
    ],
)
def test_forged_heartbeats(text: bytes) -> None:
    """Numbers that fit no 64 bits, wrong keys and other versions are refused."""
    with pytest.raises(RecordError):
        control.decode(text)
