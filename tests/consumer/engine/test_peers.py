# SPDX-License-Identifier: Apache-2.0
"""Events wait for hosts that are behind, by their watermarks, and say why where they close."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.engine import EventEngine, Output, Peers, Record
from schemas.batch import encode
from schemas.event import Kind
from tests.consumer.engine.scene import BASE_MS, Host, Topic, arrival, ends, receive, send, v4
from tests.consumer.engine.traffic import SETTINGS, collect, exchange
from tests.consumer.engine.wild import Wild

Step = Record | Peers | None
"""What an engine is given: a record, what is known of hosts, or (None) a flush."""
HORIZON = SETTINGS.horizon_ms
HOSTS = ("alpha", "beta")


def told(steps: Sequence[Step], engine: EventEngine) -> list[Output]:
    """Give an engine steps in order."""
    outputs = []
    for step in steps:
        if isinstance(step, Peers):
            engine.hear(step)
        else:
            outputs.append(engine.flush() if step is None else engine.apply([step]))
    return outputs


def empty(offset: int, at_ms: int) -> Record:
    """A record of a host without events."""
    return Record(offset, BASE_MS + at_ms, encode(Host("clock", sequence=offset).batch([], {})))


def reasons(outputs: list[Output]) -> Counter[str]:
    return Counter(str(row["reason"]) for row in collect(outputs).get("unmatched", []))


def scene() -> list[Step]:
    """Alpha sends, beta (known from before) does not read."""
    topic, alpha, beta, pair = Topic(), Host("alpha"), Host("beta"), ends()
    topic.put(0, beta.batch([pair[1]], {Kind.SEND: [send(0, 5, 0)]}))
    topic.put(0, alpha.batch([pair[0]], {Kind.RECEIVE: [receive(0, 5, 9)], Kind.ARRIVAL: [arrival(5, 4)]}))
    topic.put(0, alpha.batch([pair[0]], {Kind.SEND: [send(0, 10, 0)]}))
    return list(topic.records)


@pytest.mark.parametrize(
    ("peers", "at_ms", "expected"),
    [
        (Peers(), HORIZON - 1, {}),
        (Peers(), HORIZON, {"unknown": 1}),
        (Peers({"beta": BASE_MS}), 100 * HORIZON, {}),
        (Peers({"beta": BASE_MS + HORIZON - 1}), 100 * HORIZON, {}),
        (Peers({"beta": BASE_MS + HORIZON}), 100 * HORIZON, {"unknown": 1}),
        (Peers({"alpha": BASE_MS}), HORIZON, {"unknown": 1}),
        (Peers({}, ("beta",)), HORIZON - 1, {}),
        (Peers({}, ("beta",)), HORIZON, {"peer_lost": 1}),
        (Peers({}, ("alpha",)), HORIZON, {"unknown": 1}),
    ],
)
def test_a_send_closes_by_the_watermark_of_the_host_it_waits_for(
    peers: Peers, at_ms: int, expected: dict[str, int]
) -> None:
    """A horizon after it, or a horizon of the broker's time where the host is in time or silent."""
    steps = [*scene(), peers, empty(3, at_ms), None]
    assert reasons(told(steps, EventEngine(0, SETTINGS))) == Counter(expected)


def test_a_read_that_comes_late_meets_what_waited_for_it() -> None:
    """Also with the arrival in a record behind it: the pair waits by the watermark too."""
    beta = Host("beta", sequence=1, cumulative=1)
    read = beta.batch([ends()[1]], {Kind.RECEIVE: [receive(0, 10, 8)]})
    come = beta.batch([ends()[1]], {Kind.ARRIVAL: [arrival(10, 3)]})
    late = [
        Record(4, BASE_MS + 60_000, encode(read)),
        empty(5, 62_000),
        Record(6, BASE_MS + 62_000, encode(come)),
    ]
    steps = [*scene(), Peers({"beta": BASE_MS}), empty(3, 50_000), *late, empty(7, 64_000), Peers()]
    rows = collect(told([*steps, empty(8, 200_000), None], EventEngine(0, SETTINGS)))
    assert [(row["begin"], row["end"], row["wire_ns"]) for row in rows["match"]] == [(0, 5, 4), (0, 10, 3)]
    assert "unmatched" not in rows


def test_an_end_not_heard_of_is_waited_for_by_its_address() -> None:
    """Its agent told of the address elsewhere; where that is unknown nothing is waited for."""
    topic, alpha = Topic(), Host("alpha")
    topic.put(0, Host("beta").batch([ends(7)[1]], {}))
    topic.put(0, alpha.batch([ends(1)[0]], {Kind.SEND: [send(0, 10, 0)]}))
    other = ends(2, addresses=(v4("10.0.0.1"), v4("10.9.9.9")))[0]
    topic.put(0, alpha.batch([other], {Kind.SEND: [send(0, 20, 0)]}))
    engine = EventEngine(0, SETTINGS)
    rows = collect(told([*topic.records, Peers({"beta": BASE_MS}), empty(3, 9 * HORIZON), None], engine))
    assert [(row["end"], row["reason"]) for row in rows["unmatched"]] == [(20, "no_peer_agent")]
    rows = collect(told([Peers({}, ("beta",)), empty(4, 10 * HORIZON), None], engine))
    assert [(row["end"], row["reason"]) for row in rows["unmatched"]] == [(10, "peer_lost")]


def test_reasons_say_what_is_known() -> None:
    """A missing batch of either end, bytes that arrived and were not read, and where nothing is known."""
    topic, alpha, beta, gamma, pair = Topic(), Host("alpha"), Host("beta"), Host("gamma"), ends()
    other = ends(2)
    topic.put(0, alpha.batch([pair[0]], {Kind.SEND: [send(0, 10, 0), send(10, 20, 1), send(20, 30, 2)]}))
    events = {Kind.RECEIVE: [receive(10, 20, 5)], Kind.ARRIVAL: [arrival(25, 4), arrival(30, 5)]}
    topic.put(0, beta.batch([pair[1]], events))
    gamma.batch([other[1]], {Kind.SEND: [send(0, 10, 0)]})
    topic.put(0, gamma.batch([other[1]], {Kind.SEND: [send(10, 20, 0)]}, epoch=BASE_MS * 2_000_000))
    topic.put(0, alpha.batch([other[0]], {Kind.SEND: [send(0, 7, 0)]}))
    rows = collect(told([*topic.records, empty(4, HORIZON), None], EventEngine(0, SETTINGS)))
    found = {(row["connection"], row["direction"], row["end"]): row["reason"] for row in rows["unmatched"]}
    assert found == {
        (1, 0, 10): "unknown",
        (1, 0, 30): "unread",
        (2, 1, 20): "own_lost_neighbour",
        (2, 0, 7): "own_lost_neighbour",
    }


@st.composite
def stories(draw: st.DrawFn) -> tuple[Wild, list[Step]]:
    """A wild topic with flushes, and between its records what is known of hosts, true or not."""
    wild = Wild(draw(st.integers(0, 2**32)))
    steps: list[Step] = []
    watermarks = st.dictionaries(st.sampled_from(["alpha", "beta", "x"]), st.integers(-9_000, 200_000))
    for record, flushed in zip(wild.records, wild.flushed, strict=True):
        if draw(st.booleans()):
            behind = {host: BASE_MS + at for host, at in draw(watermarks).items()}
            silent = draw(st.sets(st.sampled_from(["alpha", "beta"])))
            steps.append(Peers(behind, tuple(sorted(silent - set(behind)))))
        steps += [record, None] if flushed else [record]
    return wild, [*steps, None]


@settings(max_examples=40)
@given(stories(), st.data())
def test_rows_do_not_depend_on_how_steps_are_cut(story: tuple[Wild, list[Step]], data: st.DataObject) -> None:
    """One call for many records or for each, the same knowledge twice, saved and restored anywhere."""
    wild, steps = story
    plain = EventEngine(0, wild.settings)
    expected = collect(told(steps, plain))
    engine, outputs, waiting = EventEngine(0, wild.settings), [], list[Record]()
    for step in steps:
        if isinstance(step, Record):
            waiting.append(step)
            if data.draw(st.booleans()):
                continue
        outputs.append(engine.apply(waiting))
        waiting = []
        if isinstance(step, Peers):
            engine.hear(step)
            engine.hear(step)
        elif step is None:
            outputs.append(engine.flush())
        if data.draw(st.booleans()):
            engine = EventEngine.restore(engine.snapshot(), 0, wild.settings)
    assert collect(outputs) == expected
    assert engine.snapshot() == plain.snapshot()


@settings(max_examples=30)
@given(st.integers(0, 99), st.data())
def test_while_a_host_is_behind_nothing_that_waits_for_it_closes(seed: int, data: st.DataObject) -> None:
    """Whatever the gaps between records: all of a late host comes before its watermark, and is matched."""
    values = exchange(seed, 3, 10)
    late = data.draw(st.sets(st.sampled_from(HOSTS), min_size=1))
    in_time = [value for host, value in values if host.name not in late]
    first = [encode(Host(name, sequence=90 + at).batch([ends(1)[at]], {})) for at, name in enumerate(HOSTS)]
    peers = Peers(dict.fromkeys(sorted(late), BASE_MS))
    now, steps = BASE_MS, list[Step]([Record(0, BASE_MS, value) for value in first])
    steps.append(peers)
    for value in in_time:
        now += data.draw(st.sampled_from([0, 1_000, 30_000]))
        steps.append(Record(1, now, value))
    steps += [empty(1, now - BASE_MS + 90_000), empty(1, now - BASE_MS + 99_000)]
    steps += [Record(2, now + 100_000, value) for host, value in values if host.name in late]
    steps += [Peers(), empty(3, now - BASE_MS + 10**6), None]
    rows = collect(told(steps, EventEngine(0, SETTINGS)))
    assert len(rows["match"]) == 10
    assert "unmatched" not in rows
