# SPDX-License-Identifier: Apache-2.0
from consumer.engine import EngineSettings, EventEngine
from schemas.batch import Process
from schemas.event import Kind
from tests.consumer.engine.scene import Host, Topic, arrival, ends, receive, send
from tests.consumer.engine.traffic import SETTINGS, collect, run


def test_the_oldest_events_are_evicted_and_counted() -> None:
    """Beyond the bound, sends and reads are given back as evicted, and the ledger says how many of whom."""
    topic, alpha, beta = Topic(), Host("alpha"), Host("beta")
    for step in range(6):
        begin = 100 * step
        topic.put(step * 1_000, alpha.batch([ends(1)[0]], {Kind.SEND: [send(begin, begin + 10, 0)]}))
        reads = {Kind.RECEIVE: [receive(begin, begin + 10, 0)], Kind.ARRIVAL: [arrival(begin + 10, 0)]}
        topic.put(step * 1_000, beta.batch([ends(2)[1]], reads))
    settings = EngineSettings(tick_ms=1_000, max_open_events=9)
    engine = EventEngine(0, settings)
    rows = collect([engine.apply(topic.records), engine.flush()])
    evicted = {(row["side"], row["begin"]) for row in rows["unmatched"] if row["reason"] == "evicted"}
    assert evicted == {(side, begin) for side in ("send", "receive") for begin in (0, 100, 200)}
    counts = {row["host"]: 0 for row in rows["ledger"]}
    for row in rows["ledger"]:
        counts[row["host"]] += int(str(row["events"])) if row["reason"] == "evicted" else 0
    assert counts == {"alpha": 3, "beta": 6}
    assert engine.waiting.sends.flow.size == 3


def test_flows_without_records_are_forgotten_and_heard_of_again() -> None:
    """After the horizon a connection leaves the state; when it speaks again it is new, and still matches."""
    topic, alpha, beta, pair = Topic(), Host("alpha"), Host("beta"), ends()
    for step, at in enumerate((0, 3_000, 60_000)):
        begin = 10 * step
        topic.put(at, alpha.batch([pair[0]], {Kind.SEND: [send(begin, begin + 10, step)]}))
        topic.put(at, beta.batch([pair[1]], {Kind.RECEIVE: [receive(begin, begin + 10, step + 5)]}))
        if step == 1:
            topic.put(10_000, Host("other").batch([], {}))
    engine = EventEngine(0, SETTINGS)
    rows = collect([engine.apply(topic.records), engine.flush()])
    assert [row["begin"] for row in rows["match"]] == [0, 10, 20]
    assert [row["host"] for row in rows["connection"]] == ["alpha", "beta", "alpha", "beta"]
    topic.put(200_000, Host("last").batch([], {}))
    engine.apply(topic.records[-1:])
    engine.flush()
    assert engine.flows.flows == 0
    assert engine.waiting.islands.flow.size == 0


def test_processes_that_nothing_names_are_forgotten() -> None:
    """Many short-lived processes on one connection do not stay in the state."""
    topic, pair = Topic(), ends()
    alpha = Host("alpha")
    for step in range(30):
        alpha.processes = (Process(0, "kernel"), *(Process(1_000 * step + i, "short") for i in range(1, 100)))
        topic.put(1_000 * step, alpha.batch([pair[0]], {Kind.SEND: [send(10 * step, 10 * step + 10, 0)]}))
    engine = EventEngine(0, SETTINGS)
    rows = collect([engine.apply(topic.records), engine.flush()])
    assert len(engine.flows.actors) < 1_200
    assert {row["edge"] for row in rows["unmatched"]} == {"short@alpha > 10.0.0.2:80"}


def test_many_connections_of_one_message_are_matched_in_one_tick() -> None:
    """Tens of thousands of flows, more than 16 bits can number, all find their partners."""
    topic, size = Topic(), 2_000
    hosts = (Host("alpha"), Host("beta"))
    for first in range(0, 40_000, size):
        pairs = [ends(number) for number in range(first, first + size)]
        sends = [send(0, 10, i, flow=i) for i in range(size)]
        reads = [receive(0, 10, i + 50, flow=i) for i in range(size)]
        topic.put(0, hosts[0].batch([pair[0] for pair in pairs], {Kind.SEND: sends}))
        topic.put(0, hosts[1].batch([pair[1] for pair in pairs], {Kind.RECEIVE: reads}))
    engine = EventEngine(0, SETTINGS)
    engine.apply(topic.records)
    tables = engine.flush().rows
    assert tables["match"].num_rows == 40_000
    assert set(tables["match"]["delivery_ns"].to_pylist()) == {50}
    assert tables["histogram"].num_rows == 4
    assert "unmatched" not in tables


def test_state_does_not_grow_with_a_matched_stream() -> None:
    """A long connection leaves one island and one arrival in the state."""
    topic, alpha, beta, pair = Topic(), Host("alpha"), Host("beta"), ends()
    for step in range(40):
        begin = 10 * step
        topic.put(step * 700, alpha.batch([pair[0]], {Kind.SEND: [send(begin, begin + 10, step)]}))
        events = {
            Kind.RECEIVE: [receive(begin, begin + 10, step + 9)],
            Kind.ARRIVAL: [arrival(begin + 10, step)],
        }
        topic.put(step * 700, beta.batch([pair[1]], events))
    engine = EventEngine(0, SETTINGS)
    rows = collect([engine.apply(topic.records), engine.flush()])
    assert len(rows["match"]) == 40
    assert [table.flow.size for table in engine.waiting] == [0, 0, 0, 1]
    assert "unmatched" not in run(topic.records)


def test_parts_of_what_was_evicted_and_of_what_matched_have_different_names() -> None:
    """An eviction takes a tick number of its own, and the next tick does not take it again."""
    topic, alpha, beta, pair = Topic(), Host("alpha"), Host("beta"), ends()
    for step in range(5):
        begin = 100 * step
        sends = [send(begin + 10 * i, begin + 10 * i + 10, i) for i in range(5)]
        topic.put(step * 1_000, alpha.batch([pair[0]], {Kind.SEND: sends}))
        topic.put(step * 1_000, beta.batch([pair[1]], {Kind.RECEIVE: [receive(begin, begin + 10, 9)]}))
    engine = EventEngine(0, EngineSettings(tick_ms=1_000, max_open_events=2))
    rows = collect([engine.apply(topic.records), engine.flush()])
    names = [(row["tick"], row["window_start_ns"], row["measure"]) for row in rows["histogram"]]
    assert len(names) == len(set(names))
    assert {row["reason"] for row in rows["unmatched"]} == {"evicted"}


def test_a_restarted_agent_speaks_for_its_end() -> None:
    """What is evicted from an end is counted for the agent run, and the boot, heard last."""
    topic, pair = Topic(), ends()
    topic.put(0, Host("alpha").batch([pair[0]], {Kind.SEND: [send(0, 10, 0)]}))
    topic.put(1, Host("alpha", epoch=8, boot="again").batch([pair[0]], {Kind.SEND: [send(10, 20, 0)]}))
    engine = EventEngine(0, EngineSettings(max_open_events=1))
    engine.apply(topic.records)
    rows = [row for row in collect([engine.flush()])["ledger"] if row["reason"] == "evicted"]
    assert [(row["boot"], row["epoch"], row["events"]) for row in rows] == [("again", 8, 1)]
