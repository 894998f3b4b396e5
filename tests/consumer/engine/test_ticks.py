# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.engine import EngineSettings, EventEngine, Record
from schemas.event import Kind
from tests.consumer.engine.scene import Host, Topic, arrival, ends, receive, send
from tests.consumer.engine.traffic import SETTINGS, collect, run, topics


@settings(max_examples=50)
@given(topics(), st.data())
def test_rows_do_not_depend_on_how_records_are_cut(records: list[Record], data: st.DataObject) -> None:
    """Any cutting into calls, with snapshots and restores between them, gives the same rows in order."""
    engine, outputs, rest = EventEngine(0, SETTINGS), [], records
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        outputs.append(engine.apply(rest[:size]))
        rest = rest[size:]
        if data.draw(st.booleans()):
            engine = EventEngine.restore(engine.snapshot(), 0, SETTINGS)
    outputs.append(engine.flush())
    assert collect(outputs) == run(records)
    whole = EventEngine(0, SETTINGS).apply(records)
    assert [poison for output in outputs for poison in output.poison] == whole.poison


@settings(max_examples=25)
@given(topics(), st.data())
def test_a_flush_at_the_same_record_gives_the_same_rows(records: list[Record], data: st.DataObject) -> None:
    """Where a forced tick happens matters, how the records around it are cut does not."""
    at = data.draw(st.integers(0, len(records)))
    one, other = EventEngine(0, SETTINGS), EventEngine(0, SETTINGS)
    first = [one.apply(records[:at]), one.flush(), one.apply(records[at:]), one.flush()]
    second = [other.apply([record]) for record in records[:at]] + [other.flush()]
    other = EventEngine.restore(other.snapshot(), 0, SETTINGS)
    second += [other.apply([record]) for record in records[at:]] + [other.flush()]
    assert collect(first) == collect(second)


@settings(max_examples=25)
@given(topics(), st.data())
def test_no_two_parts_of_a_histogram_have_one_name(records: list[Record], data: st.DataObject) -> None:
    """(tick, window, edge, measure, clock) tells every part from every other, evictions included."""
    engine = EventEngine(0, EngineSettings(tick_ms=1_000, horizon_ms=4_000, max_open_events=6))
    outputs = []
    for record in records:
        outputs.append(engine.apply([record]))
        if data.draw(st.integers(0, 5)) == 0:
            outputs.append(engine.flush())
    names = [
        tuple(row[name] for name in ("tick", "window_start_ns", "edge", "measure", "clock"))
        for row in collect(outputs).get("histogram", [])
    ]
    assert len(names) == len(set(names))


def test_nothing_is_given_before_the_tick_is_over() -> None:
    """Records of one tick are collected; the first record of the next one lets them out."""
    alpha, beta, pair, topic = Host("alpha"), Host("beta"), ends(), Topic()
    topic.put(0, alpha.batch([pair[0]], {Kind.SEND: [send(0, 10, 0)]}))
    topic.put(999, beta.batch([pair[1]], {Kind.RECEIVE: [receive(0, 10, 5)], Kind.ARRIVAL: [arrival(10, 3)]}))
    topic.put(1_000, alpha.batch([pair[0]], {Kind.SEND: [send(10, 20, 9)]}))
    engine = EventEngine(0, SETTINGS)
    assert engine.apply(topic.records[:2]).rows == {}
    rows = engine.apply(topic.records[2:]).rows
    assert rows["match"].num_rows == 1
    assert engine.flush().rows["ledger"].num_rows == 1


def test_a_full_tick_is_made_early() -> None:
    """A broker's time that stands still cannot fill the memory."""
    alpha, pair, topic = Host("alpha"), ends(), Topic()
    for step in range(6):
        topic.put(0, alpha.batch([pair[0]], {Kind.SEND: [send(10 * step, 10 * step + 10, step)]}))
    engine = EventEngine(0, EngineSettings(max_tick_events=2))
    outputs = []
    for record in topic.records:
        outputs.append(engine.apply([record]))
        engine = EventEngine.restore(engine.snapshot(), 0, engine.settings)
    ticks = collect(outputs)["ledger"]
    assert [row["events"] for row in ticks] == [2, 2]
    assert ticks[0]["tick"] < ticks[1]["tick"]  # type: ignore[operator]


def test_an_engine_that_heard_nothing_has_nothing_to_say() -> None:
    """Neither flush nor an empty call gives rows."""
    engine = EventEngine(3, SETTINGS)
    assert engine.flush().rows == {}
    assert engine.apply([]).rows == {}


def test_a_brokers_time_that_goes_back_makes_no_tick() -> None:
    """The broker's time is the largest so far, so an older timestamp belongs to the same tick."""
    alpha, pair, topic = Host("alpha"), ends(), Topic()
    for step, at in enumerate((0, 1_500, 400, 1_600, 3_000)):
        topic.put(at, alpha.batch([pair[0]], {Kind.SEND: [send(10 * step, 10 * step + 10, step)]}))
    ticks = collect([EventEngine(0, SETTINGS).apply(topic.records)])["ledger"]
    assert [row["events"] for row in ticks] == [1, 3]
