# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from typing import Any

import pytest

from schemas.batch import Flow, Process
from schemas.event import Kind
from tests.consumer.engine.scene import Host, Topic, arrival, ends, receive, send
from tests.consumer.engine.traffic import run

KERNEL = Process(0, "kernel")
V6 = (bytes.fromhex("fd00" + "00" * 13 + "01"), bytes.fromhex("fd00" + "00" * 13 + "02"))


def edges(pair: tuple[Flow, Flow], heard: tuple[bool, bool] = (True, True)) -> list[str]:
    """Edges of one message each way, of the ends that have an agent."""
    hosts = (
        Host("alpha", processes=(KERNEL, Process(1, "cli"))),
        Host("beta", processes=(KERNEL, Process(2, "srv"))),
    )
    topic = Topic()
    for way, host in enumerate(hosts):
        if heard[way]:
            topic.put(
                0, host.batch([pair[way]], {Kind.SEND: [send(0, 9, 0)], Kind.RECEIVE: [receive(0, 9, 5)]})
            )
    topic.put(60_000, Host("later").batch([], {}))
    rows = run(topic.records)
    return sorted({str(row["edge"]) for row in rows["histogram"]})


def test_the_side_that_accepted_carries_its_port() -> None:
    """Clients use a new port each time, so only the listening port names an edge."""
    assert edges(ends()) == ["cli@alpha > srv@beta:80", "srv@beta:80 > cli@alpha"]


@pytest.mark.parametrize(
    ("roles", "ports", "expected"),
    [
        ((0, 2), (40_000, 80), "cli@alpha > srv@beta:80"),
        ((1, 0), (40_000, 80), "cli@alpha > srv@beta:80"),
        ((2, 0), (40_000, 80), "cli@alpha:40000 > srv@beta"),
        ((0, 0), (40_000, 80), "cli@alpha > srv@beta:80"),
        ((0, 0), (25, 9_000), "cli@alpha:25 > srv@beta"),
        ((0, 0), (9_000, 9_000), "cli@alpha > srv@beta:9000"),
    ],
)
def test_an_unknown_role_is_the_other_ends_or_the_smaller_port(
    roles: tuple[int, int], ports: tuple[int, int], expected: str
) -> None:
    """What one end knows holds for both; else the smaller port listens; the two directions agree."""
    forth, back = edges(ends(roles=roles, ports=ports))
    assert expected in (forth, back)
    assert sorted(forth.split(" > ")) == sorted(back.split(" > "))


@pytest.mark.parametrize(
    ("heard", "more", "expected"),
    [
        ((True, False), {}, "cli@alpha > 10.0.0.2:80"),
        ((False, True), {}, "srv@beta:80 > 10.0.0.1"),
        ((True, False), {"addresses": V6, "family": 6}, "cli@alpha > [fd00::2]:80"),
        ((False, True), {"addresses": V6, "family": 6}, "srv@beta:80 > [fd00::1]"),
    ],
)
def test_a_side_without_an_agent_is_its_address(
    heard: tuple[bool, bool], more: dict[str, Any], expected: str
) -> None:
    """The address is what the other side sees; v6 stands in brackets."""
    assert edges(ends(**more), heard) == [expected]


def test_a_process_label_changes_no_name() -> None:
    """A container has another label each time it starts: rules may use it, and its end has a row with it."""
    topic, pair = Topic(), ends()
    alpha = Host("alpha", processes=(KERNEL, Process(1, "python3", 7, "container:0123456789ab")))
    topic.put(0, alpha.batch([pair[0]], {Kind.SEND: [send(0, 9, 0)]}))
    topic.put(1, Host("beta").batch([pair[1]], {Kind.RECEIVE: [receive(0, 9, 5)]}))
    rows = run(topic.records)
    (row,) = rows["match"]
    assert row["edge"] == "python3@alpha > app@beta:80"
    assert (row["sender_process"], row["sender_pid"]) == ("python3", 1)
    assert [(row["process"], row["label"]) for row in rows["connection"]] == [
        ("python3", "container:0123456789ab"),
        ("app", ""),
    ]


def test_the_process_of_the_event_names_its_side() -> None:
    """Two processes that read from one socket are two edges."""
    topic, pair = Topic(), ends()
    beta = Host("beta", processes=(KERNEL, Process(5, "front"), Process(6, "back")))
    topic.put(0, Host("alpha").batch([pair[0]], {Kind.SEND: [send(0, 9, 0), send(9, 18, 1)]}))
    topic.put(1, beta.batch([pair[1]], {Kind.RECEIVE: [receive(0, 9, 5), receive(9, 18, 6, process=2)]}))
    assert [row["edge"] for row in run(topic.records)["match"]] == [
        "app@alpha > front@beta:80",
        "app@alpha > back@beta:80",
    ]


def test_the_newest_process_names_an_end_whose_event_is_missing() -> None:
    """A send without its read is still between two processes: the last one heard at the other end."""
    topic, pair = Topic(), ends()
    beta = Host("beta", processes=(KERNEL, Process(5, "old"), Process(6, "new")))
    topic.put(0, Host("alpha").batch([pair[0]], {Kind.SEND: [send(0, 9, 0)]}))
    reads = [receive(20, 29, 5), receive(29, 30, 6, process=2)]
    topic.put(1, beta.batch([pair[1]], {Kind.RECEIVE: reads}))
    topic.put(60_000, Host("later").batch([], {}))
    rows = run(topic.records)["unmatched"]
    assert [row["edge"] for row in rows if row["side"] == "send"] == ["app@alpha > new@beta:80"]


def test_a_role_learnt_later_is_taken() -> None:
    """An end heard first without a role is named by the role it says later."""
    topic, alpha, pair = Topic(), Host("alpha"), ends(roles=(0, 0), ports=(25, 9_000))
    topic.put(0, alpha.batch([pair[0]], {Kind.SEND: [send(0, 9, 0)]}))
    reads = {
        Kind.RECEIVE: [receive(0, 9, 5), receive(9, 18, 9)],
        Kind.ARRIVAL: [arrival(9, 4), arrival(18, 8)],
    }
    topic.put(1, Host("beta").batch([pair[1]], reads))
    topic.put(2_000, alpha.batch([ends(roles=(1, 0), ports=(25, 9_000))[0]], {Kind.SEND: [send(9, 18, 6)]}))
    assert [row["edge"] for row in run(topic.records)["match"]] == [
        "app@alpha:25 > app@beta",
        "app@alpha > app@beta:9000",
    ]


def test_a_connection_row_for_each_end_when_first_heard_of() -> None:
    """It tells addresses, role and the process that was first seen, once."""
    topic, pair = Topic(), ends()
    alpha = Host("alpha")
    topic.put(0, alpha.batch([pair[0]], {Kind.SEND: [send(0, 9, 0)]}))
    topic.put(1_500, alpha.batch([pair[0]], {Kind.SEND: [send(9, 19, 0)]}))
    topic.put(2_500, replace(Host("beta")).batch([pair[1]], {}))
    rows = run(topic.records)["connection"]
    names = (
        "endpoint",
        "host",
        "role",
        "local_address",
        "local_port",
        "remote_address",
        "remote_port",
        "pid",
        "process",
    )
    assert [tuple(row[name] for name in names) for row in rows] == [
        (0, "alpha", 1, "10.0.0.1", 40_000, "10.0.0.2", 80, 100, "app"),
        (1, "beta", 2, "10.0.0.2", 80, "10.0.0.1", 40_000, None, None),
    ]


def test_names_of_matched_ends_are_on_the_row() -> None:
    """Each side's own address and port, and the connection as signed 64 bits."""
    topic, pair = Topic(), ends(2**64 - 2)
    topic.put(0, Host("alpha").batch([pair[0]], {Kind.SEND: [send(0, 9, 0)]}))
    topic.put(1, Host("beta").batch([pair[1]], {Kind.RECEIVE: [receive(0, 9, 5)]}))
    (row,) = run(topic.records)["match"]
    names = (
        "connection",
        "direction",
        "sender_host",
        "sender_address",
        "sender_port",
        "receiver_address",
        "receiver_port",
    )
    assert tuple(row[name] for name in names) == (-2, 0, "alpha", "10.0.0.1", 40_000, "10.0.0.2", 80)
