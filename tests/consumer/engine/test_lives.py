# SPDX-License-Identifier: Apache-2.0
"""Connects, closes and retransmits become rows at the tick that brought them, whatever else is known."""

from typing import Any

import msgspec
import pytest

from consumer.engine import EventEngine
from consumer.engine.settings import seal, unseal
from consumer.engine.snapshot import _State
from schemas.batch import Flow, Mark, Process
from schemas.event import Audit, Flag, Kind
from schemas.tables import KINDS
from tests.consumer.engine.scene import (
    BASE_MS,
    Host,
    Topic,
    close,
    connect,
    ends,
    receive,
    retransmit,
    send,
)
from tests.consumer.engine.traffic import SETTINGS, Rows, collect, run

AT = BASE_MS * 1_000_000
CLIENT = (Process(0, "kernel"), Process(100, "curl", label="shop"))
SERVER = (Process(0, "kernel"), Process(200, "nginx"))


def told(flows: list[Flow], events: dict[Kind, list[dict[str, int]]], host: Host | None = None) -> Rows:
    topic = Topic()
    topic.put(0, (host or Host("alpha", processes=CLIENT)).batch(flows, events))
    return run(topic.records)


def test_connect_is_a_row_of_its_opener() -> None:
    """Who, to where, how long; the other end, of which nothing is known, is its address."""
    rows = told([ends()[0]], {Kind.CONNECT: [connect(5, retransmits=2)]})
    assert rows["connect"] == [
        {
            "topic_partition": 0,
            "tick": BASE_MS // 1_000,
            "connection": 1,
            "endpoint": 0,
            "host": "alpha",
            "edge": "curl@alpha > 10.0.0.2:80",
            "pid": 100,
            "process": "curl",
            "remote_address": "10.0.0.2",
            "remote_port": 80,
            "at_ns": AT + 5,
            "duration_ns": 70,
            "error": 0,
            "failed": False,
            "retransmits": 2,
            "hour_index": AT // (3_600 * 10**9),
        }
    ]


def test_failed_connect_keeps_its_error() -> None:
    """A number beyond the column's is cut, 0 with the mark is an error the kernel does not tell."""
    failed = int(Flag.FAILED)
    events = [connect(at, error=error, flags=failed) for at, error in enumerate((111, 0, 2**32 - 1))]
    rows = told([ends()[0]], {Kind.CONNECT: events})["connect"]
    assert [(row["error"], row["failed"]) for row in rows] == [(111, True), (0, True), (2**31 - 1, True)]


def test_close_is_the_account_of_one_end() -> None:
    """Every number is carried over; audit is a word, marks are those of the connection."""
    numbers = {
        name: 1_000 + at
        for at, name in enumerate(field for field in KINDS["close"].names[7:18] if field != "duration_ns")
    }
    event = close(8, **numbers, srtt_us=9, audit=Audit.BLIND, flags=Flag.ABORTED)
    (row,) = told([ends(2**64 - 3, marks=int(Mark.ULP))[1]], {Kind.CLOSE: [event]})["close"]
    assert {name: row[name] for name in numbers} == numbers
    expected = {"connection": -3, "endpoint": 1, "at_ns": AT + 8, "duration_ns": 900, "srtt_us": 9}
    expected |= {"audit": "blind", "marks": int(Mark.ULP), "flags": int(Flag.ABORTED), "host": "alpha"}
    assert {name: row[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("audit", "word"), [(0, "complete"), (1, "partial"), (2, "blind"), (3, "sampled"), (9, "unknown")]
)
def test_audits_are_words(audit: int, word: str) -> None:
    """Also one that a later version adds."""
    (row,) = told([ends()[0]], {Kind.CLOSE: [close(0, audit=audit)]})["close"]
    assert row["audit"] == word


def test_retransmit_has_the_direction_of_the_sending_end() -> None:
    """Its edge begins with that end."""
    flow = ends(opener=200)[1]
    (row,) = told([flow], {Kind.RETRANSMIT: [retransmit(10, 30, 4)]}, Host("beta", processes=SERVER))[
        "retransmit"
    ]
    assert (row["direction"], row["begin"], row["end"], row["at_ns"]) == (1, 10, 30, AT + 4)
    assert row["edge"] == "nginx@beta:80 > 10.0.0.1"


def test_an_end_with_a_connect_or_a_close_alone_is_a_connection() -> None:
    """It is noted with its caller where there is one, and with who made the socket."""
    both = {Kind.CONNECT: [connect(0)], Kind.CLOSE: [close(0, flow=1)]}
    first, second = told([ends(1, opener=100)[0], ends(2, marks=1)[0]], both)["connection"]
    names = ("connection", "pid", "process", "opener_pid", "opener", "marks")
    assert [first[name] for name in names] == [1, 100, "curl", 100, "curl", 0]
    assert [second[name] for name in names] == [2, None, None, None, None, 1]


def two_ends(later_ms: int) -> Rows:
    """A connection told by both ends, the server's account ``later_ms`` after the client's."""
    topic, pair = Topic(), (ends(opener=100)[0], ends(opener=200)[1])
    alpha, beta = Host("alpha", processes=CLIENT), Host("beta", processes=SERVER)
    events = {Kind.CONNECT: [connect(0)], Kind.SEND: [send(0, 9, 1)], Kind.CLOSE: [close(9)]}
    topic.put(0, alpha.batch([pair[0]], events))
    topic.put(later_ms, beta.batch([pair[1]], {Kind.RECEIVE: [receive(0, 9, 2)], Kind.CLOSE: [close(9)]}))
    return run(topic.records)


def test_edges_are_those_of_messages_where_the_tick_knows_both_ends() -> None:
    """Connect and the client's close have the message's edge, the server's close the way back."""
    rows = two_ends(later_ms=100)
    assert rows["match"][0]["edge"] == "curl@alpha > nginx@beta:80"
    assert [row["edge"] for row in rows["connect"]] == ["curl@alpha > nginx@beta:80"]
    assert [row["edge"] for row in rows["close"]] == [
        "curl@alpha > nginx@beta:80",
        "nginx@beta:80 > curl@alpha",
    ]


def test_an_end_that_comes_a_tick_later_is_an_address_until_then() -> None:
    """Rows do not wait: each is named with what its tick knows."""
    rows = two_ends(later_ms=1_500)
    assert [row["edge"] for row in rows["connect"]] == ["curl@alpha > 10.0.0.2:80"]
    assert [row["edge"] for row in rows["close"]] == [
        "curl@alpha > 10.0.0.2:80",
        "nginx@beta:80 > curl@alpha",
    ]


def test_callers_of_messages_come_before_those_of_connects() -> None:
    """A connect, however late, does not rename an end that is known by its sends."""
    topic, flow = Topic(), ends()[0]
    host = Host("alpha", processes=(*CLIENT, Process(300, "proxy")))
    topic.put(0, host.batch([flow], {Kind.SEND: [send(0, 9, 0, process=2)]}))
    topic.put(1, host.batch([flow], {Kind.CONNECT: [connect(0)], Kind.CLOSE: [close(5)]}))
    rows = run(topic.records)
    assert [row["process"] for row in rows["connection"]] == ["proxy"]
    assert [row["edge"] for row in rows["close"]] == ["proxy@alpha > 10.0.0.2:80"]
    assert [row["edge"] for row in rows["connect"]] == ["curl@alpha > 10.0.0.2:80"]


def test_an_opener_that_is_told_late_names_the_end() -> None:
    """Also in an engine that was restored in between."""
    topic, host = Topic(), Host("beta", processes=SERVER)
    topic.put(0, host.batch([ends()[1]], {Kind.RETRANSMIT: [retransmit(0, 5, 0)]}))
    topic.put(1_500, host.batch([ends(opener=200)[1]], {Kind.RETRANSMIT: [retransmit(0, 5, 0)]}))
    topic.put(3_000, host.batch([ends()[1]], {Kind.RETRANSMIT: [retransmit(0, 5, 0)]}))
    engine, edges = EventEngine(0, SETTINGS), []
    for record in topic.records:
        outputs = [engine.apply([record]), engine.flush()]
        engine = EventEngine.restore(engine.snapshot(), 0, SETTINGS)
        edges += [row["edge"] for row in collect(outputs)["retransmit"]]
    assert edges == ["kernel@beta:80 > 10.0.0.1", *["nginx@beta:80 > 10.0.0.1"] * 2]


def test_a_state_from_before_openers_and_rates_is_taken_over() -> None:
    """What an older version saved has neither, and goes on."""
    topic = Topic()
    topic.put(0, Host("alpha").batch([ends()[0]], {Kind.SEND: [send(0, 9, 0)]}))
    engine = EventEngine(0, SETTINGS)
    engine.apply(topic.records)
    engine.flush()
    state: list[Any] = msgspec.msgpack.decode(unseal(engine.snapshot()))
    names = ("tag", *_State.__struct_fields__)
    assert state[names.index("thinned_hosts") : names.index("peers")] == [[], []]
    at = names.index("ends")
    state[at] = [one and [*one[:3], one[3][:9], one[4]] for one in state[at]]
    state[names.index("version")] = 1
    older = EventEngine.restore(
        seal(msgspec.msgpack.encode(state[: names.index("thinned_hosts")])), 0, SETTINGS
    )
    assert (older.flows.ends, older.flows.heard.tolist()) == (engine.flows.ends, engine.flows.heard.tolist())
    topic.put(0, Host("beta").batch([ends()[1]], {Kind.RECEIVE: [receive(0, 9, 0)]}))
    rows = [collect([one.apply(topic.records[1:]), one.flush()]) for one in (older, engine)]
    assert rows[0] == rows[1]
    assert len(rows[0]["match"]) == 1
