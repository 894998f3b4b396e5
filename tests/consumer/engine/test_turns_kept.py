# SPDX-License-Identifier: Apache-2.0
"""What turns leave out, forget and take over; none of it makes a false exchange."""

from collections import Counter
from typing import Any

import msgspec
import numpy as np

from consumer.engine import EventEngine, Record
from consumer.engine.settings import seal, unseal
from consumer.engine.snapshot import _State
from consumer.latency.histogram import bucket_of
from schemas.batch import FULL_RATE, decode, encode
from schemas.event import Flag, Kind
from schemas.turns import MEASURES
from support.exchanges import dice, talk
from support.turn_sums import added
from tests.consumer.engine.scene import Host, Topic, connect, ends, receive, send
from tests.consumer.engine.spoken import EVEN, SAME, SETTINGS, hosts, records, told, world
from tests.consumer.engine.traffic import collect, run


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
    """Nor do the bytes next to it: two exchanges are missing of eight, and are counted."""
    beta = Host("beta")
    whole = told(in_topic(ask_and_answer(beta, 9)))["server-turn"]
    doubtful = told(in_topic(ask_and_answer(Host("beta"), 9, int(Flag.UNCERTAIN))))["server-turn"]
    assert (whole.told, whole.total, doubtful.told, doubtful.total) == (8, 80, 6, 60)
    assert (whole.missing, doubtful.missing) == (0, 2)


def test_without_roles_ends_are_named_by_their_ports_and_not_joined() -> None:
    """Positions may be one off there, so names of two ends might differ for that reason alone: counted."""
    events, truths = world()
    found = told(records(events, closed=True, flow={"roles": (0, 0)}))
    assert {name: (one.told, one.missing) for name, one in found.items()} == {
        "server-turn": (len(truths), 0),
        "client-turn": (len(truths), 0),
        "network": (0, len(truths)),
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
    assert added(found)["server-turn"].seen == len(whole) - 2
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
    found = added(rows["histogram"])["server-turn"]
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
    found = added(collect(outputs)["histogram"])["network"]
    assert (found.told, found.missing) == (3 * 29 + len(truths) - 1, 3), "the last ones of those forgotten"


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
    found = added(collect([*before, *after])["histogram"])["server-turn"]
    assert len(truths) - 4 <= found.told < len(truths)
    assert found.missing == 1, "the first response of which it is not known what was before it"


def in_parts(exchanges: int, *, client_is_heard: bool) -> list[bytes]:
    """Requests of one send each, which the server reads in two parts far apart and answers at once."""
    alpha, beta, pair, found = Host("alpha"), Host("beta"), ends(), []
    for number in range(exchanges):
        at, asked, answered = 1_000 * number, 10 * number, 5 * number
        client = {
            Kind.SEND: [send(asked, asked + 10, at)],
            Kind.RECEIVE: [receive(answered, answered + 5, at + 500)],
        }
        server = {
            Kind.RECEIVE: [receive(asked, asked + 5, at + 50), receive(asked + 5, asked + 10, at + 250)],
            Kind.SEND: [send(answered, answered + 5, at + 260)],
        }
        found += [encode(alpha.batch([pair[0]], client))] if client_is_heard else []
        found.append(encode(beta.batch([pair[1]], server)))
    return found


def test_a_request_in_parts_is_one_where_its_sender_says_so() -> None:
    """At the server alone it may be two, and is not believed."""
    both = told(in_topic(in_parts(9, client_is_heard=True)))
    assert {name: (one.seen, one.n, one.spoiled) for name, one in both.items()} == {
        "server-turn": (8, 8, 0),
        "client-turn": (8, 8, 0),
        "network": (8, 8, 0),
    }
    assert both["server-turn"].total == 80
    alone = told(in_topic(in_parts(9, client_is_heard=False)))["server-turn"]
    assert (alone.seen, alone.n, alone.spoiled) == (8, 0, 8)
