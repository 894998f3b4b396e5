# SPDX-License-Identifier: Apache-2.0
"""Single messages: each once for every kind it has, in an order that never depends on how they are stored."""

from typing import Any

import numpy as np
import pytest

from history.connections import connections
from history.errors import QuestionError
from history.losses import losses
from history.messages import COLUMNS, messages
from history.span import Span
from support.rows import START, Write, ledger, match, nothing_lost

SPAN = Span(START, START + 10**9)


def test_one_row_a_message(write: Write) -> None:
    """A message says who sent it to whom, when, which bytes and how long it took."""
    source = write(match=[match(5, connection=-1, direction=1)])
    (found,) = messages(source, SPAN)
    assert tuple(found) == COLUMNS
    assert found == {
        "sent_at_ns": START + 5000,
        "edge": "client@alpha > server@beta:80",
        "kind": "delivery",
        "latency_ns": 38_005,
        "clock": "same_host",
        "clock_bound_ns": None,
        "sender_host": "alpha",
        "sender_process": "client",
        "sender_address": "10.0.0.1",
        "sender_port": 40_000,
        "receiver_host": "beta",
        "receiver_process": "server",
        "receiver_address": "10.0.0.2",
        "receiver_port": 80,
        "connection": "ffffffffffffffff",
        "direction": 1,
        "begin": 320,
        "end": 384,
        "last_piece": True,
    }


def test_order_does_not_depend_on_storage(write: Write) -> None:
    """Messages come by time, connection, direction and position, whatever files and commits they came in."""
    rows = [match(n % 4, begin=n, connection=n % 3, direction=n % 2) for n in range(60)]
    expected = sorted(
        (row["sent_at_ns"], f"{row['connection']:016x}", row["direction"], row["begin"]) for row in rows
    )
    rows = [rows[at] for at in np.random.default_rng(1).permutation(len(rows))]
    for part in (rows[:10], rows[10:40]):
        write(match=part)
    found = messages(write(match=rows[40:]), SPAN)
    assert [
        (one["sent_at_ns"], one["connection"], one["direction"], one["begin"]) for one in found
    ] == expected


def test_a_line_for_each_kind_that_a_message_has(write: Write) -> None:
    """Kinds come in the order asked; one without a value (no arrival was seen) has no line."""
    source = write(match=[match(0), match(1, wire_ns=None, receive_wait_ns=None)])
    found = [
        (one["begin"], one["kind"], one["latency_ns"], one["clock"])
        for one in messages(source, SPAN, kinds="send-block,wire,delivery,receive-wait")
    ]
    assert found == [
        (0, "send-block", 4_000, "one_host"),
        (0, "wire", 20_000, "same_host"),
        (0, "delivery", 38_000, "same_host"),
        (0, "receive-wait", 18_000, "one_host"),
        (64, "send-block", 4_000, "one_host"),
        (64, "delivery", 38_001, "same_host"),
    ]


def test_one_way_latencies_need_a_common_clock(write: Write) -> None:
    """Delivery and wire without one are left out unless asked for; receive wait needs one host only."""
    source = write(match=[match(0, clock="unsynced"), match(1)])

    def clocks(**asked: Any) -> list[str]:
        return [one["clock"] for one in messages(source, SPAN, **asked)]

    assert clocks() == ["same_host"]
    assert clocks(unsynced=True) == ["unsynced", "same_host"]
    assert clocks(kinds="receive-wait") == ["one_host", "one_host"]


def test_limit_and_slowest(write: Write) -> None:
    """The earliest so many, or the slowest so many; ties in the usual order."""
    source = write(match=[match(n, delivery_ns=[5, 9, 9, 1][n]) for n in range(4)])
    assert [one["begin"] for one in messages(source, SPAN, limit=2)] == [0, 64]
    assert [one["begin"] for one in messages(source, SPAN, limit=3, slowest=True)] == [64, 128, 0]
    with pytest.raises(QuestionError, match="--limit: found 0"):
        messages(source, SPAN, limit=0)


def test_span_edge_and_host(write: Write) -> None:
    """The end of a span is not in it; edge and host pick."""
    source = write(match=[match(0), match(1, edge="x@gamma > y@delta:1", sender_host="gamma"), match(2)])
    assert len(list(messages(source, Span(START, START + 2000)))) == 2
    assert [one["begin"] for one in messages(source, SPAN, edge="X@")] == [64]
    assert [one["begin"] for one in messages(source, SPAN, host="gamma")] == [64]


def test_rows_of_the_same_hour_out_of_the_span_are_not_shown(write: Write) -> None:
    """Files hold whole hours, answers hold the span."""
    source = write(match=[match(n * 1_000_000) for n in range(-3, 3)])
    assert [one["begin"] for one in messages(source, SPAN)] == [0]


def end(number: int, **changes: Any) -> dict[str, Any]:
    row = {
        "topic_partition": 0,
        "tick": 1,
        "connection": -2,
        "endpoint": 0,
        "host": "alpha",
        "boot": "b",
        "netns": 1,
        "role": 1,
        "family": 4,
        "local_address": "10.0.0.1",
        "local_port": 40_000,
        "remote_address": "10.0.0.2",
        "remote_port": 5432,
        "pid": 11,
        "process": "client",
        "label": "unit:client.service",
        "first_seen_ns": START + number,
    }
    return row | changes


def test_connections(write: Write) -> None:
    """Ends come in the order first heard, by host and port if asked, their role in words."""
    rows = [end(2, host="beta", role=2, owner="Team Web"), end(1)]
    rows.append(end(3, connection=-3, role=0, local_port=1, remote_port=2))
    source = write(connection=rows)
    found = list(connections(source, SPAN))
    assert [(one["host"], one["role"]) for one in found] == [
        ("alpha", "opened"),
        ("beta", "accepted"),
        ("alpha", "unknown"),
    ]
    assert found[0]["connection"] == "fffffffffffffffe"
    assert [(one["label"], one["owner"]) for one in found[:2]] == [
        ("unit:client.service", None),
        ("unit:client.service", "Team Web"),
    ]
    assert len(list(connections(source, SPAN, port=5432))) == 2
    assert [one["host"] for one in connections(source, SPAN, host="beta")] == ["beta"]


def test_losses_add_up(write: Write) -> None:
    """Rows of the ledger add up by host, stage and reason; what adds up to nothing is not shown."""
    rows = [ledger("alpha", "consumer", "gap", 7), ledger("alpha", "consumer", "gap", -7)]
    write(ledger=rows)
    source = write(
        ledger=[*nothing_lost(), ledger("beta", "queue", "full", 3), ledger("beta", "queue", "full", 4)]
    )
    assert [tuple(one.values()) for one in losses(source, SPAN, host="beta")] == [
        ("beta", "consumer", "stored", 1000),
        ("beta", "kafka", "delivered", 1000),
        ("beta", "kernel", "attempted", 1000),
        ("beta", "queue", "full", 7),
    ]
    assert "gap" not in {one["reason"] for one in losses(source, SPAN)}


def test_the_slowest_between_hosts_are_those_that_the_roll_up_kept(write: Write) -> None:
    """Corrected, with their bound, in one order with those of one clock; raw ones only where asked for."""
    names = ("edge", "sender_host", "receiver_host", "connection", "direction", "begin", "end", "sent_at_ns")
    slow = [match(number) for number in range(3)]
    kept = [
        {name: row[name] for name in names}
        | {"window_start_ns": START, "window_ns": 60 * 10**9, "clock": "bounded", "clock_bound_ns": 700}
        | {"delivery_ns": 50_000 + number, "wire_ns": None if number else 9, "receive_wait_ns": 5}
        for number, row in enumerate(slow)
    ]
    raw = [match(number, clock="unsynced", delivery_ns=10**15) for number in range(3)]
    source = write(match=[match(7, delivery_ns=50_001, connection=1), *raw], exemplar=kept)

    def asked(**more: Any) -> list[tuple[Any, ...]]:
        found = messages(source, SPAN, **more)
        return [(one["kind"], one["latency_ns"], one["clock"], one["clock_bound_ns"]) for one in found]

    bounded = ("bounded", 700)
    assert asked(slowest=True, limit=3) == [
        ("delivery", 50_002, *bounded),
        ("delivery", 50_001, *bounded),
        ("delivery", 50_001, "same_host", None),
    ]
    assert ("wire", 9, *bounded) in asked(slowest=True, kinds="wire")
    assert len(asked(slowest=True, kinds="receive-wait")) == 4
    assert asked() == [("delivery", 50_001, "same_host", None)]
    assert asked(slowest=True, unsynced=True, limit=1) == [("delivery", 10**15, "unsynced", None)]
