# SPDX-License-Identifier: Apache-2.0
"""Who is there and who has answered, from heartbeats in any order."""

import msgspec
import pytest

from schemas import control, example
from schemas.order import Order
from wirelag.agents import Agents, line, row

ORDER = Order(1, 50, ("web-*",), "stop", 50)


def beat(host, sequence, order=0, **more):
    given = {"host": host, "sequence": sequence, "order": order, **more}
    return control.encode(msgspec.structs.replace(example.heartbeat(), **given))


@pytest.fixture
def agents():
    agents = Agents()
    for host in ("web-2", "web-1", "db-1"):
        agents.learn(beat(host, 4))
    return agents


def test_nobody_has_answered_what_nobody_was_asked(agents):
    assert not Agents().answered(ORDER)
    assert not agents.answered(ORDER)


def test_all_whom_it_concerns_have_to_answer(agents):
    agents.learn(beat("web-1", 5, 50))
    assert not agents.answered(ORDER)
    agents.learn(beat("web-2", 5, 60))
    assert agents.answered(ORDER)


def test_the_newest_heartbeat_counts(agents):
    agents.learn(beat("web-1", 9, 50))
    agents.learn(beat("web-1", 8))
    agents.learn(beat("web-2", 5, 50))
    assert agents.answered(ORDER)


def test_who_said_goodbye_is_not_there(agents):
    agents.learn(beat("web-2", 5, final=True))
    assert [one.host for one in agents.there()] == ["db-1", "web-1"]
    assert [one.host for one in agents.there(ORDER)] == ["web-1"]


@pytest.mark.parametrize("value", [None, b"", b"{", b'{"type":"order"}'])
def test_what_is_no_heartbeat_is_passed_over(agents, value):
    agents.learn(value)
    assert len(agents.there()) == 3


def test_a_line_for_people(agents):
    (web,) = [one for one in agents.there() if one.host == "web-1"]
    assert line(web) == "web-1  tracing"
    assert line(web, ORDER) == "web-1  no answer, was tracing"
    stopped = msgspec.structs.replace(web, state="stopped", why="file /x", order=50)
    assert line(stopped, ORDER) == "web-1  stopped: file /x"
    thinned = msgspec.structs.replace(web, why="max-cpu-percent", connection_rate=655, block_rate=6_554)
    assert line(thinned) == "web-1  tracing: max-cpu-percent (1.00% of connections, 10.00% of blocks kept)"
    assert row(stopped)["order"] == 50
