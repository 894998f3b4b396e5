# SPDX-License-Identifier: Apache-2.0
"""What lost, late or missing arrivals do to wire and receive wait, and to what waits for them."""

from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.engine import EngineSettings, EventEngine
from schemas.event import Kind
from tests.consumer.engine.scene import Host, Topic, arrival, ends, receive, send
from tests.consumer.engine.traffic import SETTINGS, collect, run

STEPS = st.tuples(st.integers(1, 400), st.integers(0, 300), st.integers(0, 300))
"""One message: time since the one before, its way, and how long it lay there at least."""
FATES = st.sampled_from((None, 0, 0, 700, 2_500, 6_000))
"""Broker ms until an arrival is told, None = never."""


@settings(max_examples=60)
@given(st.lists(st.tuples(STEPS, FATES, st.booleans()), min_size=1, max_size=12))
def test_wire_is_never_too_short_and_too_long_by_no_more_than_the_wait(
    messages: list[tuple[tuple[int, int, int], int | None, bool]],
) -> None:
    """Whichever arrivals are lost or late: true wire <= wire <= delivery, and delivery is exact."""
    alpha, beta, pair = Host("alpha"), Host("beta"), ends()
    told: list[tuple[int, bytes | object]] = []
    now = arrived = unread = 0
    sent, came, read = [], [], []
    for number, ((pause, way, lay), fate, taken) in enumerate(messages):
        now += pause
        arrived = max(arrived, now + way)
        sent.append(now)
        came.append(arrived)
        told.append((0, alpha.batch([pair[0]], {Kind.SEND: [send(10 * number, 10 * number + 10, now)]})))
        if taken or number == len(messages) - 1:
            at = max(arrived + lay, read[-1] if read else 0)
            read += [at] * (number + 1 - unread)
            reads = {Kind.RECEIVE: [receive(10 * unread, 10 * number + 10, at)]}
            told.append((0, beta.batch([pair[1]], reads)))
            unread = number + 1
        if fate is not None:
            batch = beta.batch([pair[1]], {Kind.ARRIVAL: [arrival(10 * number + 10, arrived)]})
            told.append((fate, batch))
    topic = Topic()
    for at, batch in sorted(told, key=lambda one: one[0]):
        topic.put(at, batch)  # type: ignore[arg-type]
    rows = run(topic.records)["match"]
    assert [row["begin"] for row in sorted(rows, key=lambda row: int(str(row["begin"])))] == [
        10 * number for number in range(len(messages))
    ]
    for row in rows:
        number = int(str(row["begin"])) // 10
        assert row["delivery_ns"] == read[number] - sent[number]
        if row["wire_ns"] is not None:
            assert came[number] - sent[number] <= int(str(row["wire_ns"])) <= int(str(row["delivery_ns"]))


def without_arrivals(steps: int) -> Topic:
    topic, alpha, beta, pair = Topic(), Host("alpha"), Host("beta"), ends()
    for step in range(steps):
        begin = 10 * step
        topic.put(1_000 * step, alpha.batch([pair[0]], {Kind.SEND: [send(begin, begin + 10, step)]}))
        topic.put(1_000 * step, beta.batch([pair[1]], {Kind.RECEIVE: [receive(begin, begin + 10, step + 9)]}))
    return topic


def test_a_host_that_never_tells_arrivals_has_its_matches_at_the_horizon() -> None:
    """Pairs wait for an arrival as long as anything waits, and no longer."""
    engine = EventEngine(0, SETTINGS)
    rows = collect([engine.apply(without_arrivals(12).records)])
    assert [(row["delivery_ns"], row["wire_ns"]) for row in rows["match"]] == [(9, None)] * 7
    assert engine.waiting.sends.flow.size == 4
    assert len(collect([engine.flush()])["match"]) == 5


def test_pairs_that_wait_for_arrivals_are_closed_and_not_lost_where_too_many_wait() -> None:
    """What is evicted has found its partner, so it is a match like others."""
    engine = EventEngine(0, EngineSettings(tick_ms=1_000, max_open_events=4))
    rows = collect([engine.apply(without_arrivals(12).records), engine.flush()])
    assert [row["delivery_ns"] for row in rows["match"]] == [9] * 12
    assert "unmatched" not in rows
    assert {row["reason"] for row in rows["ledger"]} == {"stored"}
