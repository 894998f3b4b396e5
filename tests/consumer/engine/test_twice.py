# SPDX-License-Identifier: Apache-2.0
"""Two agents on one host that see the same calls: each message is matched, or unmatched, once."""

import pytest

from consumer.engine import EngineSettings, EventEngine
from schemas.event import Kind
from tests.consumer.engine.scene import BASE_MS, Host, Topic, arrival, ends, receive, send
from tests.consumer.engine.traffic import SETTINGS, Rows, collect, run

CALLS = [send(0, 10, 0), send(10, 30, 5), send(30, 31, 9)]
READS = {Kind.RECEIVE: [receive(0, 31, 50)], Kind.ARRIVAL: [arrival(31, 20)]}


def counts(rows: Rows, reason: str) -> dict[tuple[object, object], int]:
    found: dict[tuple[object, object], int] = {}
    for row in rows["ledger"]:
        if row["reason"] == reason:
            key = row["host"], row["epoch"]
            found[key] = found.get(key, 0) + int(str(row["events"]))
    return found


def told(*at_ms: int, calls: tuple[list[dict[str, int]], ...] = (CALLS, CALLS)) -> Topic:
    """Sends by two agents of alpha, then the reads by two of beta, at these moments."""
    topic, pair = Topic(), ends()
    for epoch, sends, at in zip((7, 8), calls, at_ms[:2], strict=True):
        topic.put(at, Host("alpha", epoch=epoch).batch([pair[0]], {Kind.SEND: sends}))
    for epoch, at in zip((7, 8), at_ms[2:], strict=True):
        topic.put(at, Host("beta", epoch=epoch).batch([pair[1]], READS))
    return topic


@pytest.mark.parametrize("at_ms", [(0, 0, 0, 0), (0, 1_000, 2_000, 3_000), (2_000, 3_000, 3_500, 3_900)])
def test_each_call_is_matched_once(at_ms: tuple[int, ...]) -> None:
    """Whether the second word comes in the same tick, while the first waits, or after it was matched."""
    rows = run(told(*at_ms).records)
    assert [(row["begin"], row["end"]) for row in rows["match"]] == [(0, 10), (10, 30), (30, 31)]
    assert sum(int(str(row["n"])) for row in rows["histogram"] if row["measure"] == "delivery") == 3
    assert counts(rows, "duplicate")["alpha", 8] == 3
    assert sum(counts(rows, "stored").values()) == 10


def test_a_repeat_after_the_match_is_known() -> None:
    """Its bytes are matched, so nothing waits for it and no row says that it is alone."""
    topic = told(0, 3_000, 100, 200)
    topic.records.sort(key=lambda record: record.timestamp_ms)
    topic.put(3_000 + SETTINGS.horizon_ms, Host("clock").batch([], {}))
    rows = run(topic.records)
    assert len(rows["match"]) == 3
    assert "unmatched" not in rows


def test_unmatched_calls_are_told_once() -> None:
    """Sends without reads, and reads without sends."""
    topic = Topic()
    for epoch in (7, 8):
        topic.put(0, Host("alpha", epoch=epoch).batch([ends(1)[0]], {Kind.SEND: CALLS}))
        topic.put(0, Host("beta", epoch=epoch).batch([ends(2)[1]], READS))
    topic.put(SETTINGS.horizon_ms + 1, Host("clock").batch([], {}))
    rows = run(topic.records)
    assert [row["side"] for row in rows["unmatched"]] == ["send"] * 3 + ["receive"]
    assert counts(rows, "duplicate") == {("alpha", 8): 3, ("beta", 8): 1}


def test_agents_with_other_filters_add_what_the_other_lacks() -> None:
    """Calls that only one of them saw stay."""
    rows = run(told(0, 0, 0, 0, calls=(CALLS[:2], CALLS[1:])).records)
    assert [(row["begin"], row["end"]) for row in rows["match"]] == [(0, 10), (10, 30), (30, 31)]
    assert counts(rows, "duplicate")["alpha", 8] == 1


def test_one_agent_is_never_corrected() -> None:
    """Nor are two hosts, or two ends of one: only runs of one host speak of one end twice."""
    topic, pair = Topic(), ends()
    same = [send(0, 10, 0), send(0, 10, 1)]
    topic.put(0, Host("alpha").batch([pair[0]], {Kind.SEND: same}))
    topic.put(0, Host("beta").batch([pair[1]], READS))
    rows = run(topic.records)
    assert len(rows["match"]) == 2
    assert counts(rows, "duplicate") == {}


def test_a_restarted_agent_loses_nothing() -> None:
    """Its calls are of other bytes."""
    rows = run(told(0, 0, 0, 0, calls=(CALLS[:1], CALLS[1:])).records)
    assert len(rows["match"]) == 3
    assert "duplicate" not in {row["reason"] for row in rows["ledger"] if row["host"] == "alpha"}


def test_a_restart_is_forgotten_after_a_horizon() -> None:
    """From then on the end is one of one agent, which is never corrected."""
    topic, pair = Topic(), ends()
    first, second = Host("alpha"), Host("alpha", epoch=8)
    topic.put(0, first.batch([pair[0]], {Kind.SEND: CALLS[:1]}))
    topic.put(1_000, second.batch([pair[0]], {Kind.SEND: CALLS[1:2]}))
    topic.put(3_000, second.batch([pair[0]], {Kind.SEND: CALLS[2:]}))
    topic.put(1_000 + SETTINGS.horizon_ms, second.batch([pair[0]], {Kind.SEND: [send(40, 41, 20)]}))
    engine = EventEngine(0, SETTINGS)
    engine.apply(topic.records)
    assert engine.flows.twice == {0: BASE_MS + 1_000}
    engine.flush()
    assert engine.flows.twice == {}
    assert EventEngine.restore(engine.snapshot(), 0, SETTINGS).flows.twice == {}


@pytest.mark.parametrize("idle", [False, True])
def test_a_restored_engine_knows_who_speaks_twice(idle: bool) -> None:  # noqa: FBT001 - drawn
    """Also after other connections were forgotten, so that its number is another one."""
    settings = EngineSettings(tick_ms=1_000, horizon_ms=4_000)
    topic = Topic()
    if idle:
        topic.put(0, Host("gone").batch([ends(99)[0]], {Kind.ARRIVAL: [arrival(1, 0)]}))
    for epoch, at in ((7, 2_000), (8, 3_000)):
        topic.put(at, Host("alpha", epoch=epoch).batch([ends()[0]], {Kind.ARRIVAL: [arrival(1, 0)]}))
    topic.put(5_500, Host("clock").batch([], {}))
    engine = EventEngine(0, settings)
    engine.apply(topic.records)
    engine.flush()
    engine = EventEngine.restore(engine.snapshot(), 0, settings)
    assert engine.flows.twice == {0: BASE_MS + 3_000}
    late = Topic()
    for sequence in (1, 2):
        host = Host("alpha", epoch=8, sequence=sequence, cumulative=sequence)
        late.put(5_600, host.batch([ends()[0]], {Kind.SEND: CALLS[:1]}))
    rows = collect([engine.apply(late.records), engine.flush()])
    assert counts(rows, "duplicate") == {("alpha", 8): 1}
