# SPDX-License-Identifier: Apache-2.0
"""An agent that names more edges than anybody reads has the rest as one, and loses no message by it."""

import pytest

from consumer.engine import EventEngine, crowd
from schemas.event import Kind
from tests.consumer.engine.scene import Host, Topic, ends, send, v4
from tests.consumer.engine.traffic import SETTINGS, collect

MOST = 5


@pytest.mark.parametrize("clients", [MOST, MOST + 7])
def test_edges_beyond_the_bound_are_one(monkeypatch: pytest.MonkeyPatch, clients: int) -> None:
    """Of each host by itself, in each tick anew; the sum of messages is that of all."""
    monkeypatch.setattr(crowd, "MAX_EDGES", MOST)
    topic, liar, other = Topic(), Host("liar"), Host("beta")
    for number in range(clients):
        pair = ends(number + 1, addresses=(v4("10.0.0.1"), v4(f"10.1.0.{number}")))
        topic.put(number, liar.batch([pair[0]], {Kind.SEND: [send(0, 10, number * 1_000)]}))
    topic.put(clients, other.batch([ends(99)[0]], {Kind.SEND: [send(0, 10, 0)]}))
    topic.put(60_000, other.batch([ends(99)[0]], {Kind.SEND: [send(10, 20, 0)]}))
    engine = EventEngine(0, SETTINGS)
    rows = collect([engine.apply(topic.records), engine.flush()])["unmatched"]
    mine = [str(row["edge"]) for row in rows if row["host"] == "liar"]
    assert len(mine) == clients
    assert mine.count("other@liar > other") == clients - MOST
    assert len(set(mine)) == min(clients, MOST + 1)
    assert {row["edge"] for row in rows if row["host"] == "beta"} == {"app@beta > 10.0.0.2:80"}
