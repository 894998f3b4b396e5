# SPDX-License-Identifier: Apache-2.0
"""Orders to agents: whom they concern, which one counts, and what is no order."""

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import control, example, order
from schemas.errors import RecordError
from schemas.order import Order, newest

NOW = 10**18
VALUE = order.encode(example.order())


def told(number: int, *hosts: str, action: order.Action = "stop", until_ns: int = 0) -> Order:
    """Return an order."""
    return Order(1, number, hosts or ("*",), action, number, until_ns=until_ns)


@pytest.mark.parametrize(
    ("pattern", "host", "meant"),
    [
        ("web-1", "web-1", True),
        ("web-*", "web-17", True),
        ("web-?", "web-17", False),
        ("web-[12]", "web-2", True),
        ("WEB-1", "web-1", False),
        ("*", "anything", True),
        ("web", "web-1", False),
    ],
)
def test_a_pattern_is_of_the_whole_name(pattern: str, host: str, meant: bool) -> None:  # noqa: FBT001
    """As shells match file names."""
    assert told(1, "other", pattern).concerns(host) is meant


def test_the_highest_number_counts_whatever_came_last() -> None:
    """Partitions are compacted and clocks differ: the order of arrival says nothing."""
    stop, start = told(5, "a*"), told(7, action="start")
    assert newest([start, stop], "alpha", NOW) == newest([stop, start], "alpha", NOW) == start
    assert newest([told(9, "beta"), stop], "alpha", NOW) == stop
    assert newest([told(9, "beta")], "alpha", NOW) is None


def test_an_order_whose_time_is_over_counts_no_more() -> None:
    """What was ordered before it counts again."""
    before, passing = told(5, action="start"), told(7, until_ns=NOW)
    assert newest([before, passing], "alpha", NOW - 1) == passing
    assert newest([before, passing], "alpha", NOW) == before


def test_the_key_is_the_list_of_patterns() -> None:
    """So the last order of a list is the one that compaction keeps."""
    assert told(1, "a", "b*").key() == told(2, "a", "b*", action="start").key() == b"a,b*"


@given(st.binary(max_size=300))
def test_random_bytes_are_no_order(value: bytes) -> None:
    """And raise nothing else."""
    with pytest.raises(RecordError):
        order.decode(value)


def test_every_truncation_is_refused_and_every_flip_is_read_or_refused() -> None:
    """Never anything else."""
    for end in range(len(VALUE)):
        with pytest.raises(RecordError):
            order.decode(VALUE[:end])
    for bit in range(len(VALUE) * 8):
        flipped = bytearray(VALUE)
        flipped[bit // 8] ^= 1 << bit % 8
        with suppress(RecordError):
            order.decode(bytes(flipped))


@pytest.mark.parametrize(
    "changes",
    [
        {"hosts": []},
        {"hosts": [""]},
        {"hosts": ["x" * 256]},
        {"hosts": ["x"] * 513},
        {"hosts": "all"},
        {"action": "reboot"},
        {"number": -1},
        {"number": 2**63},
        {"why": "x" * 201},
        {"by": "x" * 65},
        {"version": 2},
        {"version": "1"},
        {"type": "heartbeat"},
    ],
)
def test_what_is_outside_of_its_limits_is_refused(changes: dict[str, object]) -> None:
    """Whatever field it is."""
    fields = msgspec.json.decode(VALUE) | changes
    with pytest.raises(RecordError):
        order.decode(msgspec.json.encode(fields))


def test_too_large_or_too_deep_is_refused() -> None:
    """Before memory is taken for it."""
    with pytest.raises(RecordError, match="allowed are 262144"):
        order.decode(b"[" * 10**6)
    with pytest.raises(RecordError, match="not an order"):
        order.decode(b'{"type":"order","x":' + b"[" * 200_000)


def test_orders_and_heartbeats_are_told_apart() -> None:
    """Each decoder refuses the other's records."""
    with pytest.raises(RecordError):
        control.decode(VALUE)
    with pytest.raises(RecordError):
        order.decode(control.encode(example.heartbeat()))
