# SPDX-License-Identifier: Apache-2.0
"""Where agents sample events out, what stays without a partner says so, and only there and then."""

from typing import Any

import pytest

from consumer.engine import EventEngine
from consumer.engine.thinned import Thinned
from schemas.batch import FULL_RATE, EventBatch
from schemas.event import Kind
from tests.consumer.engine.scene import BASE_MS, Host, Topic, arrival, ends, receive, send, v4
from tests.consumer.engine.traffic import SETTINGS, Rows, collect, run

HALF = FULL_RATE // 2
HORIZON = SETTINGS.horizon_ms


def lone_send(*others: EventBatch, after_ms: int = 0) -> Rows:
    """A send without a receive, the other batches, and its horizon."""
    topic = Topic()
    topic.put(0, Host("alpha").batch([ends()[0]], {Kind.SEND: [send(0, 9, 0)]}))
    for other in others:
        topic.put(after_ms, other)
    topic.put(HORIZON + 1, Host("clock", epoch=9).batch([], {}))
    return run(topic.records)


def reasons(rows: Rows) -> list[Any]:
    return [row["reason"] for row in rows.get("unmatched", [])]


def thin(host: str, number: int, connection: int = 5, **rates: int) -> EventBatch:
    """A batch of a host at 10.0.0.1 or .2 about another connection, of an agent that samples."""
    given = {"connection_rate": HALF, "block_rate": 100} | rates
    return Host(host, epoch=11).batch([ends(connection)[number]], {Kind.ARRIVAL: [arrival(1, 0)]}, **given)


def test_nothing_is_sampled_out_where_all_is_kept() -> None:
    """Full rates, either of them, keep every event."""
    assert reasons(lone_send()) == ["no_peer_agent"]
    assert reasons(lone_send(thin("beta", 1, connection_rate=FULL_RATE))) == ["no_peer_agent"]
    assert reasons(lone_send(thin("beta", 1, block_rate=FULL_RATE))) == ["no_peer_agent"]


def test_the_other_end_is_known_by_its_host() -> None:
    """Its connection was heard of: only that host's rates count, whatever its address."""
    known = Host("beta").batch([ends()[1]], {Kind.ARRIVAL: [arrival(3, 0)]})
    assert reasons(lone_send(known)) == ["unknown"]
    assert reasons(lone_send(known, thin("beta", 0))) == ["sampled_out"]
    assert reasons(lone_send(known, thin("gamma", 1))) == ["unknown"]


def test_an_end_all_of_whose_events_are_sampled_out_is_known_by_its_address() -> None:
    """Nothing was ever heard of it, and that is why."""
    assert reasons(lone_send(thin("beta", 1))) == ["sampled_out"]
    assert reasons(lone_send(thin("gamma", 0))) == ["no_peer_agent"]


def test_own_sampling_explains_a_read_without_its_send() -> None:
    """The reading host keeps what touches a block, the sender what ends in it."""
    topic = Topic()
    beta = Host("beta")
    reads = {Kind.RECEIVE: [receive(0, 9, 0)]}
    topic.put(0, beta.batch([ends()[1]], reads, connection_rate=0, block_rate=HALF))
    topic.put(HORIZON + 1, beta.batch([], {}))
    assert reasons(run(topic.records)) == ["sampled_out"]


@pytest.mark.parametrize(("before_ms", "reason"), [(0, "sampled_out"), (HORIZON + 1, "no_peer_agent")])
def test_sampling_is_forgotten_with_what_it_could_explain(before_ms: int, reason: str) -> None:
    """A thinned batch explains events within a horizon of it, no later ones."""
    topic = Topic()
    topic.put(0, thin("beta", 1))
    topic.put(before_ms, Host("alpha").batch([ends()[0]], {Kind.SEND: [send(0, 9, 0)]}))
    topic.put(before_ms + HORIZON, Host("clock").batch([], {}))
    engine = EventEngine(0, SETTINGS)
    found = [engine.apply(topic.records), engine.flush()]
    assert reasons(collect(found))[-1:] == [reason]


@pytest.mark.parametrize("known", [True, False])
def test_a_restored_engine_knows_who_sampled(known: bool) -> None:  # noqa: FBT001 - drawn
    """By host and by address, in a tick after the snapshot."""
    topic = Topic()
    topic.put(0, Host("alpha").batch([ends()[0]], {Kind.SEND: [send(0, 9, 0)]}))
    if known:
        topic.put(0, Host("beta").batch([ends()[1]], {Kind.ARRIVAL: [arrival(3, 0)]}))
    topic.put(0, thin("beta", 1))
    engine = EventEngine(0, SETTINGS)
    engine.apply(topic.records)
    engine.flush()
    engine = EventEngine.restore(engine.snapshot(), 0, SETTINGS)
    late = Topic()
    late.put(HORIZON + 1, Host("clock").batch([], {}))
    assert reasons(collect([engine.apply(late.records), engine.flush()])) == ["sampled_out"]


def test_messages_sampled_out_are_not_seen_without_a_latency() -> None:
    """``seen`` of one-way kinds leaves them out; send-block, which has a value, does not."""

    def seen(*more: EventBatch) -> dict[Any, Any]:
        known = Host("beta").batch([ends()[1]], {Kind.ARRIVAL: [arrival(3, 0)]})
        return {row["measure"]: (row["n"], row["seen"]) for row in lone_send(known, *more)["histogram"]}

    assert seen() == {"delivery": (0, 1), "wire": (0, 1), "receive-wait": (0, 1), "send-block": (1, 1)}
    assert seen(thin("beta", 1)) == {"send-block": (1, 1)}


def test_what_is_kept_is_matched_as_ever() -> None:
    """Kept events of both ends meet, with their latencies."""
    topic, pair = Topic(), ends()
    rates = {"connection_rate": 0, "block_rate": HALF}
    topic.put(0, Host("alpha").batch([pair[0]], {Kind.SEND: [send(70_000, 70_009, 0)]}, **rates))
    reads = {Kind.RECEIVE: [receive(66_000, 70_009, 50)], Kind.ARRIVAL: [arrival(70_009, 20)]}
    topic.put(0, Host("beta").batch([pair[1]], reads, **rates))
    rows = run(topic.records)
    assert [row["delivery_ns"] for row in rows["match"]] == [50]
    assert {(row["n"], row["seen"]) for row in rows["histogram"]} == {(1, 1)}


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hosts that were heard longest ago are forgotten first."""
    monkeypatch.setattr("consumer.engine.thinned.MOST", 3)
    thinned = Thinned()
    for name in ("a", "b", "c", "a", "d"):
        thinned.note(thin(name, 1), BASE_MS)
    assert list(thinned.hosts) == ["c", "a", "d"]
    assert list(thinned.addresses) == [v4("10.0.0.2")]
