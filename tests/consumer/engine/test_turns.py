# SPDX-License-Identifier: Apache-2.0
"""Turns and network time through the engine: what is known by construction is what the rows say."""

import random
from collections import Counter
from statistics import median
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest

from consumer.engine import EngineSettings, EventEngine, Record
from consumer.engine.settings import seal, unseal
from consumer.engine.snapshot import _State
from consumer.latency.histogram import bucket_of
from schemas.batch import FULL_RATE, decode, encode
from schemas.event import Flag, Kind
from schemas.histogram import Histogram, quantile
from schemas.turns import MEASURES, PIPELINED, TOO_FEW, invalid
from support.exchanges import Clock, Event, Style, Truth, batches, crossing, dice, talk
from tests.consumer.engine.scene import Host, Topic, connect, ends, receive, send
from tests.consumer.engine.spoken import hosts, records, shuffled
from tests.consumer.engine.traffic import Rows, collect, run

SETTINGS = EngineSettings(tick_ms=100, horizon_ms=4_000, window_ns=60_000_000_000)
SAME = (Clock(), Clock())
"""Both on the world's clock, so that values are those of the truth to the nanosecond."""
EVEN = Style(think=lambda chance: chance.randrange(300_000, 500_000))
CONNECTIONS, EXCHANGES = 4, 150


class Sum(NamedTuple):
    """All rows of a measure added up."""

    n: int
    seen: int
    spoiled: int
    total: int
    counts: Counter[int]

    @property
    def p50(self) -> float:
        buckets = sorted(self.counts)
        parts = Histogram(
            scale=5,
            buckets=np.array(buckets, dtype=np.int32),
            counts=np.array([self.counts[bucket] for bucket in buckets], dtype=np.int64),
            n=self.n,
            negative=0,
            total=self.total,
            least=0,
            greatest=2**62,
        )
        return quantile(parts, 0.5)


def added(rows: Rows) -> dict[str, Sum]:
    found = {}
    for measure in MEASURES:
        mine: list[Any] = [row for row in rows.get("histogram", []) if row["measure"] == measure]
        counts: Counter[int] = Counter()
        for row in mine:
            counts.update(dict(zip(row["buckets"], row["counts"], strict=True)))
        sums = (sum(row[name] for row in mine) for name in ("n", "seen", "spoiled", "sum_ns"))
        found[measure] = Sum(*sums, counts)
    return found


def world(
    style: Style = EVEN, count: int = CONNECTIONS, size: int = EXCHANGES
) -> tuple[list[Event], list[Truth]]:
    chance = dice(7)
    talks = [talk(number, size, style, chance) for number in range(count)]
    return [event for one, _ in talks for event in one], [truth for _, one in talks for truth in one]


def told(given: list[Record], settings: EngineSettings = SETTINGS) -> dict[str, Sum]:
    return added(run(given, settings))


@pytest.mark.parametrize("size", [3, 500, 10**6])
def test_every_exchange_of_connections_that_closed_is_told_with_its_think_time(size: int) -> None:
    """To the nanosecond, at both ends and between them, however it is cut into batches and ticks."""
    events, truths = world(Style(request_parts=3, response_parts=2))
    found = told(records(events, size=size, clocks=SAME, closed=True))
    assert {name: (one.seen, one.n) for name, one in found.items()} == dict.fromkeys(
        MEASURES, (len(truths),) * 2
    )
    assert found["server-turn"].total == sum(truth.think for truth in truths)
    assert found["network"].total == sum(truth.network for truth in truths)
    assert found["client-turn"].total == sum(truth.think + truth.network for truth in truths)
    assert all(one.spoiled == 0 for one in found.values())


def test_without_its_close_the_last_exchange_of_a_connection_waits() -> None:
    events, truths = world()
    found = told(records(events))
    assert {one.seen for one in found.values()} == {len(truths) - CONNECTIONS}


def test_rows_say_whose_they_are() -> None:
    """The edge begins with the client; a turn is of one host's clock, network time of both's."""
    events, _ = world(count=1)
    rows = [
        row for row in run(records(events, closed=True), SETTINGS)["histogram"] if row["spoiled"] is not None
    ]
    assert {row["edge"] for row in rows} == {"app@alpha > app@beta:80"}
    assert {(row["sender_host"], row["receiver_host"]) for row in rows} == {("alpha", "beta")}
    clocks = {(row["measure"], row["clock"]) for row in rows}
    assert clocks == {("server-turn", "one_host"), ("client-turn", "one_host"), ("network", "two_hosts")}
    others = {row["measure"] for row in run(records(events), SETTINGS)["histogram"] if row["spoiled"] is None}
    assert not others & set(MEASURES)


@pytest.mark.parametrize("side", [0, 1])
def test_one_agent_is_enough_for_its_own_turn(side: int) -> None:
    events, truths = world()
    given = records(events, sides=(side,), closed=True)
    found = told(given)
    measure = ("client-turn", "server-turn")[side]
    assert {name: one.seen for name, one in found.items() if one.seen} == {measure: len(truths)}
    (edge,) = {
        (row["edge"], row["sender_host"], row["receiver_host"])
        for row in run(given)["histogram"]
        if row["measure"] == measure
    }
    assert (
        edge == (("app@alpha > 10.0.0.2:80", "alpha", None), ("10.0.0.1 > app@beta:80", None, "beta"))[side]
    )


def test_a_window_is_that_of_the_begin_of_a_turn_by_its_own_clock() -> None:
    settings = msgspec.structs.replace(SETTINGS, window_ns=10_000_000)
    events, _ = world(count=1)
    rows: list[Any] = run(records(events, clocks=SAME, closed=True), settings)["histogram"]
    windows = {name: Counter[int]() for name in MEASURES}
    for row in rows:
        if row["measure"] in windows:
            windows[row["measure"]][row["window_start_ns"]] += row["seen"]
    assert len(windows["server-turn"]) > 5
    assert windows["network"] == windows["client-turn"] != windows["server-turn"]


@pytest.mark.parametrize("seed", range(3))
def test_cuts_snapshots_and_the_order_of_hosts_change_nothing(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    events, truths = world()
    given = shuffled(records(events, size=40, clocks=SAME, closed=True), seed)
    engine, outputs = EventEngine(0, SETTINGS), []
    at = 0
    while at < len(given):
        more = chance.randrange(1, 6)
        outputs.append(engine.apply(given[at : at + more]))
        engine = EventEngine.restore(engine.snapshot(), 0, SETTINGS)
        at += more
    rows = collect([*outputs, engine.flush()])
    assert rows == run(given, SETTINGS)
    assert added(rows)["server-turn"].total == sum(truth.think for truth in truths)
    assert added(rows)["network"].seen == len(truths)


@pytest.mark.parametrize("style", [EVEN, Style(EVEN.think, request_parts=3, response_parts=2)])
def test_lost_events_cost_exchanges_and_bend_no_figure(style: Style) -> None:
    """A tenth at each end, clocks apart and of other rates: what is left has the truth's middle to 1 %."""
    events, truths = world(style, size=1_500)
    chance = random.Random(3)  # noqa: S311 - not for secrets
    found = told(records(events, kept=lambda _: chance.random() >= 0.1))
    server, true = found["server-turn"], median(truth.think for truth in truths)
    assert invalid(server.seen, server.spoiled) is None
    assert 0.55 < server.seen / len(truths) < 0.75
    assert abs(server.p50 / true - 1) < 0.01 + 0.0109, "and what a bucket's width may do"
    assert abs(server.total / server.n / np.mean([truth.think for truth in truths]) - 1) < 0.02
    assert 0.3 < found["network"].seen / len(truths) < 0.6
    way = np.mean([truth.network for truth in truths])
    assert abs(found["network"].total / found["network"].n / way - 1) < 0.03


def test_pipelined_requests_would_bend_it_and_the_gate_says_so() -> None:
    """The control: with 10 % of them the middle is off, and the figures are invalid."""
    events, truths = world(Style(pipelined=0.1), size=1_500)
    found = told(records(events))
    server = found["server-turn"]
    assert invalid(server.seen, server.spoiled) == PIPELINED
    everything = told(records(events, kept=lambda event: event.kind != 0))["server-turn"]
    assert everything.p50 / median(truth.think for truth in truths) < 0.97
    assert invalid(server.seen, 0) is None, "it is the spoiled ones that say so"


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_5_per_cent_of_pipelined_requests_are_rejected(share: float) -> None:
    events, _ = world(Style(pipelined=share), size=600)
    for one in told(records(events)).values():
        assert invalid(one.seen, one.spoiled) == PIPELINED


def test_protocols_that_do_not_wait_for_answers_are_invalid() -> None:
    """HTTP/2, Kafka, Redis in batches: at the server, and between both ends."""
    for events in (
        crossing(0, 500, dice(15), ordered=False),
        crossing(0, 500, dice(15), ordered=True),
        batches(0, 200, 4, dice(15)),
    ):
        found = told(records(events))
        assert invalid(found["server-turn"].seen, found["server-turn"].spoiled) == PIPELINED
        assert invalid(found["network"].seen, found["network"].spoiled) is not None


def test_few_exchanges_are_too_few() -> None:
    events, _ = world(count=1, size=12)
    assert {invalid(one.seen, one.spoiled) for one in told(records(events)).values()} == {TOO_FEW}


def test_a_batch_that_comes_out_of_its_order_makes_no_false_exchange() -> None:
    events, truths = world()
    given = records(events, size=40, clocks=SAME)
    last = len(given) // 2
    late = [*given[:last], *given[last + 2 :], *given[last : last + 2]]
    found = told([Record(at, one.timestamp_ms, one.value) for at, one in enumerate(late)])
    server = found["server-turn"]
    thinks = Counter(told_bucket(truth.think) for truth in truths)
    assert len(truths) / 2 < server.n < len(truths)
    assert all(count <= thinks[bucket] for bucket, count in server.counts.items())


def told_bucket(value: int) -> int:
    return int(bucket_of(np.array([value]))[0])


def ask_and_answer(host: Host, exchanges: int, flags: int = 0, **flow: Any) -> list[bytes]:
    """A server's batches of one exchange each: read at 100 n, answered 10 later."""
    found = []
    for number in range(exchanges):
        at = 100 * number
        rows = {
            Kind.RECEIVE: [receive(5 * number, 5 * number + 5, at, flags=flags if number == 3 else 0)],
            Kind.SEND: [send(7 * number, 7 * number + 7, at + 10)],
        }
        found.append(encode(host.batch([ends(**flow)[1]], rows)))
    return found


def in_topic(values: list[bytes]) -> list[Record]:
    topic = Topic()
    for at, value in enumerate(values):
        topic.put(10 * at, value)
    return topic.records


def test_a_position_that_is_uncertain_proves_nothing() -> None:
    """Nor do the bytes next to it: an exchange and its two neighbours are missing of eight."""
    beta = Host("beta")
    whole = told(in_topic(ask_and_answer(beta, 9)))["server-turn"]
    doubtful = told(in_topic(ask_and_answer(Host("beta"), 9, int(Flag.UNCERTAIN))))["server-turn"]
    assert (whole.seen, whole.total, doubtful.seen, doubtful.total) == (8, 80, 6, 60)


def test_without_roles_ends_are_named_by_their_ports_and_not_joined() -> None:
    """Positions may be one off there, so names of two ends might differ for that reason alone."""
    events, truths = world()
    found = told(records(events, closed=True, flow={"roles": (0, 0)}))
    assert {name: one.seen for name, one in found.items() if one.seen} == {
        "server-turn": len(truths),
        "client-turn": len(truths),
    }


def test_of_ends_whose_blocks_are_sampled_nothing_is_told() -> None:
    events, _ = world()
    thinned = {"connection_rate": 30_000, "block_rate": 30_000}
    assert {one.seen for one in told(records(events, head=thinned)).values()} == {0}


def test_of_connections_kept_whole_exchanges_are_told_with_their_chance() -> None:
    """A connect that a thinned batch tells of was kept by the hash of its connection alone."""
    events, truths = world()
    alpha = hosts()[0]
    thinned = {"connection_rate": 30_000, "block_rate": 0}
    rows = {Kind.CONNECT: [connect(0, flow=number) for number in range(2)]}
    first = encode(alpha.batch([ends(number + 1)[0] for number in range(2)], rows, **thinned))
    given = [Record(-1, 0, first), *_continued(records(events, clocks=SAME, head=thinned), 1)]
    found = [row for row in run(given, SETTINGS)["histogram"] if row["measure"] in MEASURES]
    whole = [truth for truth in truths if truth.connection < 2]
    assert added({"histogram": found})["server-turn"].seen == len(whole) - 2
    assert {row["keep"] for row in found} == {30_000 / FULL_RATE}


def _continued(given: list[Record], sequences: int) -> list[Record]:
    return [Record(one.kafka_offset, one.timestamp_ms, _moved(one.value, sequences)) for one in given]


def _moved(value: bytes, sequences: int) -> bytes:
    batch = decode(value)
    if batch.host != "alpha":
        return value
    return encode(
        msgspec.structs.replace(batch, sequence=batch.sequence + sequences, cumulative=batch.cumulative + 2)
    )


def test_what_waits_for_exchanges_is_bounded_and_counted() -> None:
    """With room for little, exchanges are missing and none is false; the ledger says what had to go."""
    events, truths = world(count=6)
    given = records(events, size=30, clocks=SAME)
    settings = msgspec.structs.replace(SETTINGS, max_open_events=3)
    rows = run(given, settings)
    gone = [row for row in rows["ledger"] if row["reason"] == "turns_evicted"]
    assert {row["host"] for row in gone} == {"alpha", "beta"}
    found = added(rows)["server-turn"]
    thinks = Counter(told_bucket(truth.think) for truth in truths)
    assert 0 < found.n < len(truths)
    assert all(count <= thinks[bucket] for bucket, count in found.counts.items())


def test_turns_go_with_their_connection() -> None:
    engine = EventEngine(0, SETTINGS)
    events, _ = world()
    engine.apply(records(events))
    engine.flush()
    assert engine.turns.state.runs.end.size > 0
    topic = Topic()
    topic.put(10**6, Host("last").batch([], {}))
    engine.apply(topic.records)
    engine.flush()
    state = engine.turns.state
    assert (state.runs.end.size, state.done.size, engine.turns.waiting.end.size) == (0, 0, 0)


def test_a_connection_goes_on_when_others_before_it_are_forgotten() -> None:
    """Numbers of ends change under what is kept of them."""
    engine = EventEngine(0, SETTINGS)
    old, _ = world(count=3, size=30)
    chance = dice(9)
    new, truths = talk(9, 400, EVEN, chance)
    slow = [event._replace(time=60 * event.time, until=60 * event.until) for event in new]
    given = records([*old, *slow], size=30, clocks=SAME)
    outputs = [engine.apply(given), engine.flush()]
    assert engine.flows.flows == 2
    seen = added(collect(outputs))["network"].seen
    assert seen == 3 * 29 + len(truths) - 1


def test_a_state_of_the_version_before_turns_is_taken_over() -> None:
    """It knows of no runs, so the exchanges under way are not told, and all after them are."""
    events, truths = world(count=1)
    given = records(events, size=100, clocks=SAME)
    engine = EventEngine(0, SETTINGS)
    half = len(given) // 2
    before = [engine.apply(given[:half]), engine.flush()]
    state: list[Any] = msgspec.msgpack.decode(unseal(engine.snapshot()))
    names = ("tag", *_State.__struct_fields__)
    state[names.index("version")] = 2
    older = EventEngine.restore(seal(msgspec.msgpack.encode(state[: names.index("turns")])), 0, SETTINGS)
    after = [older.apply(given[half:]), older.flush()]
    seen = added(collect([*before, *after]))["server-turn"].seen
    assert len(truths) - 4 <= seen < len(truths)
