# SPDX-License-Identifier: Apache-2.0
"""Rules that name ends, through the engine: exact edges, exact rows, the same after a snapshot."""

from typing import Any

import pytest

from common.config import load
from common.errors import ConfigError
from consumer.engine import EngineSettings, EventEngine
from consumer.engine.names import EdgeName, Names, Owner, Who
from consumer.publish.latency import record_id
from consumer.settings import ConsumerSettings
from schemas.batch import Process
from schemas.event import Kind
from tests.consumer.engine.scene import Host, Topic, arrival, ends, receive, send
from tests.consumer.engine.traffic import Rows, collect, run

KERNEL = Process(0, "kernel")
LABEL = "pod:2d7b1f0e-7a3c-4a55-9c1d-0a1b2c3d4e5f/container:0123456789ab"
V6 = (bytes.fromhex("fd00" + "00" * 13 + "01"), bytes.fromhex("fd00" + "00" * 13 + "02"))


def settings(*rules: EdgeName, owners: tuple[Owner, ...] = ()) -> EngineSettings:
    return EngineSettings(
        tick_ms=1_000, horizon_ms=4_000, window_ns=1_000_000_000, edge_names=rules, owners=owners
    )


def hosts() -> tuple[Host, Host]:
    return (
        Host("web-1", processes=(KERNEL, Process(1, "nginx: worker", 7, "unit:nginx.service"))),
        Host("db-1", processes=(KERNEL, Process(2, "postgres", 8, LABEL))),
    )


def rows_of(tuned: EngineSettings, heard: tuple[bool, bool] = (True, True), **more: Any) -> Rows:
    """Rows of one message each way between web-1 and db-1:5432, of the ends that have an agent."""
    topic, pair = Topic(), ends(ports=(40_000, 5_432), **more)
    for way, host in enumerate(hosts()):
        if heard[way]:
            events = {Kind.SEND: [send(0, 9, 0)], Kind.RECEIVE: [receive(0, 9, 5)]}
            topic.put(0, host.batch([pair[way]], events))
    topic.put(60_000, Host("later").batch([], {}))
    return run(topic.records, tuned)


def edges(*rules: EdgeName, heard: tuple[bool, bool] = (True, True), **more: Any) -> list[str]:
    return sorted({str(row["edge"]) for row in rows_of(settings(*rules), heard, **more)["histogram"]})


def both(client: str, server: str) -> list[str]:
    return sorted([f"{client} > {server}", f"{server} > {client}"])


CLIENT, SERVER = "nginx: worker@web-1", "postgres@db-1:5432"


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([], both(CLIENT, SERVER)),
        ([EdgeName(process="apache*", name="x")], both(CLIENT, SERVER)),
        ([EdgeName(process="nginx*", name="front")], both("front", SERVER)),
        ([EdgeName(process="nginx", name="x")], both(CLIENT, SERVER)),
        ([EdgeName(process="NGINX*", name="x")], both(CLIENT, SERVER)),
        ([EdgeName(host="db-[0-9]", name="{process}")], both(CLIENT, "postgres")),
        ([EdgeName(label="unit:*", name="{label}@{host}:{port}")], both("unit:nginx.service@web-1", SERVER)),
        ([EdgeName(label="pod:*", name="{label}@{host}:{port}")], both(CLIENT, f"{LABEL}@db-1:5432")),
        ([EdgeName(port=5_432, name="pg:{port}")], both(CLIENT, "pg:5432")),
        ([EdgeName(port=40_000, name="x")], both(CLIENT, SERVER)),
        ([EdgeName(process="post*", host="web-*", name="x")], both(CLIENT, SERVER)),
        ([EdgeName(name="{host}")], ["db-1 > web-1", "web-1 > db-1"]),
        ([EdgeName(name="{{{process}}}{port}")], both("{nginx: worker}", "{postgres}5432")),
    ],
)
def test_the_end_that_a_rule_matches_is_called_by_it(rules: list[EdgeName], expected: list[str]) -> None:
    """In both directions; an end that no rule is about keeps its name."""
    assert edges(*rules) == expected


def test_the_first_rule_that_matches_wins() -> None:
    first, second = EdgeName(process="nginx*", name="first"), EdgeName(host="web-*", name="second")
    assert edges(first, second) == both("first", SERVER)
    assert edges(second, first) == both("second", SERVER)


def test_a_name_that_comes_out_empty_is_no_match() -> None:
    """The next rule is tried, and at last the name is as without rules."""
    empty = EdgeName(host="*", name="{label}")
    assert edges(empty, EdgeName(name="next"), heard=(True, False)) == ["unit:nginx.service > next"]
    assert edges(empty, heard=(True, False)) == ["unit:nginx.service > 10.0.0.2:5432"]


def test_an_end_without_an_agent_is_matched_by_its_address_and_port() -> None:
    rule = EdgeName(host="10.0.0.2", port=5_432, name="orders-db")
    assert edges(rule, heard=(True, False)) == [f"{CLIENT} > orders-db"]
    six = EdgeName(host="fd00::*", name="six {host}:{port}")
    more = {"addresses": V6, "family": 6, "heard": (True, False)}
    assert edges(six, **more) == [f"{CLIENT} > six [fd00::2]:5432"]


def test_every_row_says_the_same_name() -> None:
    """Matches, histograms, what is unmatched; the columns of the process stay what they are."""
    rows = rows_of(settings(EdgeName(process="nginx*", name="front")))
    assert {row["edge"] for kind in ("match", "histogram") for row in rows[kind]} == {*both("front", SERVER)}
    assert {row["sender_process"] for row in rows["match"]} == {"nginx: worker", "postgres"}
    rows = rows_of(settings(EdgeName(process="nginx*", name="front")), (True, False))
    assert {row["edge"] for row in rows["unmatched"]} == {
        "front > 10.0.0.2:5432",
        "10.0.0.2:5432 > front",
    }


def test_ends_of_one_name_on_many_hosts_share_an_edge_and_not_a_row() -> None:
    """Rows by host are what answers by host, and how complete they are, rest on; their ids differ."""
    topic = Topic()
    for number, name in enumerate(("web-1", "web-2"), start=1):
        client = Host(name, processes=(KERNEL, Process(1, "nginx")))
        server = Host("db-1", processes=(KERNEL, Process(2, "postgres")), epoch=number)
        pair = ends(number)
        topic.put(0, client.batch([pair[0]], {Kind.SEND: [send(0, 9, 0)]}))
        reads = {Kind.RECEIVE: [receive(0, 9, 5)], Kind.ARRIVAL: [arrival(9, 3)]}
        topic.put(0, server.batch([pair[1]], reads))
    topic.put(60_000, Host("later").batch([], {}))
    rows = run(topic.records, settings(EdgeName(process="nginx", name="front")))["histogram"]
    found = sorted(
        (row["measure"], row["edge"], row["sender_host"], row["receiver_host"], row["n"]) for row in rows
    )
    assert found == [
        (measure, "front > postgres@db-1:80", host, "db-1", 1)
        for measure in ("delivery", "receive-wait", "send-block", "wire")
        for host in ("web-1", "web-2")
    ]
    assert len({record_id("id", row) for row in rows}) == len(rows)


def test_changed_rules_name_the_rows_from_the_next_tick_on() -> None:
    """A snapshot holds no names: what waits in it is named by the rules of the engine that goes on."""
    topic, (alpha, beta), pair = Topic(), hosts(), ends()
    topic.put(0, alpha.batch([pair[0]], {Kind.SEND: [send(0, 9, 0)]}))
    reads = {Kind.RECEIVE: [receive(0, 9, 5)], Kind.ARRIVAL: [arrival(9, 3)]}
    topic.put(1, beta.batch([pair[1]], reads))
    topic.put(2_000, alpha.batch([pair[0]], {Kind.SEND: [send(9, 18, 6)]}))
    first = EventEngine(0, settings(EdgeName(process="nginx*", name="old")))
    told = [first.apply(topic.records)]
    new = EventEngine.restore(first.snapshot(), 0, settings(EdgeName(process="nginx*", name="new")))
    topic.put(2_001, beta.batch([pair[1]], {Kind.RECEIVE: [receive(9, 18, 9)]}))
    told += [new.apply(topic.records[-1:]), new.flush()]
    assert [row["edge"] for row in collect(told)["match"]] == [
        "old > postgres@db-1:80",
        "new > postgres@db-1:80",
    ]


def test_the_owner_of_an_end_is_on_its_connection_row() -> None:
    """By the name that the end has in edges, or by its label; none where no line matches."""

    def owned(*owners: Owner) -> list[tuple[object, ...]]:
        rows = rows_of(settings(EdgeName(process="nginx*", name="front"), owners=owners))["connection"]
        return [(row["host"], row["label"], row["owner"]) for row in rows]

    assert owned(Owner("front", "Team Web"), Owner("postgres@db-1:5432", "#dba")) == [
        ("web-1", "unit:nginx.service", "Team Web"),
        ("db-1", LABEL, "#dba"),
    ]
    assert [row[2] for row in owned(Owner("pod:*", "pods"))] == [None, "pods"]
    assert [row[2] for row in owned()] == [None, None]


def test_answers_that_are_remembered_are_bounded() -> None:
    names = Names((EdgeName(name="{process}"),))
    for number in range(70_000):
        assert names.of(Who(f"p{number}", "", "h", None)) == f"p{number}"
    assert len(names._given) <= 65_536


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (
            '{process = "a*"}',
            "consumer.edge-name[0]: name: found ''; allowed is a text of 1 to 200 characters",
        ),
        ('{name = "{pid}"}', "allowed placeholders are {process}, {label}, {host}, {port}"),
        ('{name = "{process!r}"}', "allowed placeholders are"),
        ('{name = "{port:x}"}', "allowed placeholders are"),
        ('{name = "{process.text}"}', "allowed placeholders are"),
        ('{name = "{}"}', "allowed placeholders are"),
        ('{name = "a{"}', "a brace itself is {{ or }}"),
        ('{name = "a > b"}', "allowed is text without ' > ' and control characters"),
        ('{name = "a\\nb"}', "allowed is text without ' > ' and control characters"),
        ('{name = "x", port = 70000}', "consumer.edge-name[0].port: found 70000; allowed is a whole number"),
        (
            '{name = "x", host = ""}',
            "consumer.edge-name[0].host: found ''; allowed is text that is not empty",
        ),
        (
            '{name = "x", proces = "a"}',
            "consumer.edge-name[0]: there is no 'proces' (did you mean 'process'?)",
        ),
    ],
)
def test_a_rule_that_cannot_work_is_refused_with_its_place(rule: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(ConsumerSettings, overrides=[f"consumer.edge-name=[{rule}]"])
    assert message in str(error.value)
    assert error.value.exit_code == 2
