# SPDX-License-Identifier: Apache-2.0
"""What is known to be missing of exchanges: answers never claim more than what was told of what there was."""

import random

import pytest

from consumer.engine import EventEngine, Record
from schemas.batch import encode
from schemas.event import Kind
from schemas.turns import MEASURES
from support.exchanges import Event, Style
from support.turn_sums import Sum, added
from tests.consumer.engine.scene import Host, Topic, close, ends, receive, send
from tests.consumer.engine.spoken import EVEN, SETTINGS, Kept, records, told, world
from tests.consumer.engine.traffic import collect

STYLES = {
    "single": EVEN,
    "parts": Style(EVEN.think, request_parts=3, response_parts=2),
    "mixed": Style(EVEN.think, response_parts=4),
}
STEP_MS, STEPS = 1_000, 10


def ended(given: list[Record]) -> list[Record]:
    """The same, and then so much time that nothing waits any more."""
    other, last = Host("other"), given[-1].timestamp_ms
    return [
        *given,
        *(Record(10**6 + at, last + STEP_MS * (at + 1), encode(other.batch([], {}))) for at in range(STEPS)),
    ]


def bursts(events: list[Event], sides: tuple[int, ...], share: float, length: int, seed: int) -> Kept:
    """Lose about a share of what some ends saw, so many events in a row."""
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    lost: set[int] = set()
    for side in sides:
        mine = sorted((event for event in events if event.end % 2 == side), key=lambda event: event.until)
        at = 0
        while at < len(mine):
            if chance.random() < share / length:
                lost.update(map(id, mine[at : at + length]))
                at += length
            at += 1
    return lambda event: id(event) not in lost


def claimed(one: Sum, shares: list[float]) -> float:
    """What an answer calls complete, of sums and of the ledgers of the hosts that it rests on."""
    found = one.n / max(one.seen - one.spoiled, 1)
    for share in shares:
        found *= share
    return found


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("sides", [(0, 1), (0,), (1,)])
@pytest.mark.parametrize("share", [0.002, 0.01, 0.05, 0.2])
def test_what_is_called_complete_is_never_more_than_what_is_told(
    style: str, sides: tuple[int, ...], share: float
) -> None:
    """Against the truth: single events and bursts of them lost at the client, the server, at both."""
    events, truths = world(STYLES[style], count=4, size=250)
    for length in (1, 10, 150):
        kept = bursts(events, sides, share, length, seed=length)
        found = told(ended(records(events, kept=kept, closed=True)))
        ledger = [_share(events, side, kept) for side in (0, 1)]
        for measure, hosts in zip(MEASURES, ([1], [0], [0, 1]), strict=True):
            one = found[measure]
            says = claimed(one, [ledger[host] for host in hosts])
            true = one.n / len(truths)
            assert says <= true + 1e-12, (measure, length)
            assert says > true - 7 * share * len(sides), (measure, length)
            assert (says == 1) == (true == 1), (measure, length)


def _share(events: list[Event], side: int, kept: Kept) -> float:
    mine = [kept(event) for event in events if event.end % 2 == side]
    return sum(mine) / len(mine)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("size", [25])
def test_batches_that_come_out_of_their_order_are_missing_too(style: str, size: int) -> None:
    """No ledger tells of them, as their events are stored: what is claimed rests on what was counted."""
    events, truths = world(STYLES[style], count=4, size=60)
    given = records(events, size=size, closed=True)
    chance = random.Random(size)  # noqa: S311 - not for secrets
    order = sorted(range(len(given)), key=lambda at: at + 6 * (chance.random() < 0.1))
    ticks = [given[0].timestamp_ms + SETTINGS.tick_ms * at for at in range(len(given))]
    moved = [Record(at, ticks[at], given[one].value) for at, one in enumerate(order)]
    found = told(ended(moved))
    for measure in MEASURES:
        assert claimed(found[measure], []) <= found[measure].n / len(truths) <= 1, measure
    assert found["network"].missing > 0


def test_what_the_server_lost_is_missing_of_network_time_one_by_one() -> None:
    """The client told all, so of each it is known whether the server's word is there."""
    events, truths = world()
    found = told(ended(records(events, kept=bursts(events, (1,), 0.05, 1, 5), closed=True)))
    client, network = found["client-turn"], found["network"]
    assert (client.n, client.missing) == (len(truths), 0)
    assert (network.told, network.missing) == (network.n, len(truths) - network.n)
    assert 0 < network.n <= found["server-turn"].n


def test_an_end_without_an_agent_is_no_loss() -> None:
    """There is no network time, and nothing is missing of it."""
    events, truths = world()
    for side in (0, 1):
        found = told(ended(records(events, sides=(side,), closed=True)))
        assert found["network"].seen == 0
        assert {one.missing for one in found.values()} == {0}
        assert {one.told for one in found.values()} == {0, len(truths)}


def test_what_a_server_sampled_out_is_no_loss() -> None:
    """The client's words find no server's, and that is not called missing."""
    events, truths = world()
    thinned = {"connection_rate": 30_000, "block_rate": 30_000}
    both = {side: records(events, closed=True, sides=(side,)) for side in (0,)}
    both[1] = records(events, closed=True, sides=(1,), head=thinned)
    given = sorted((one for side in both.values() for one in side), key=lambda one: one.timestamp_ms)
    found = told(ended([Record(at, one.timestamp_ms, one.value) for at, one in enumerate(given)]))
    assert (found["client-turn"].told, found["network"].seen) == (len(truths), 0)


def test_the_words_of_a_new_connection_wait_for_a_host_that_is_known_by_its_address() -> None:
    """Short connections, the server's events a tick behind."""
    topic, alpha, beta = Topic(), Host("alpha"), Host("beta")
    for number in range(3):
        client, server = ends(number + 1)
        at = 1_000 * number
        asked = {
            Kind.SEND: [send(0, 10, at)],
            Kind.RECEIVE: [receive(0, 5, at + 500)],
            Kind.CLOSE: [close(at + 600, sent_bytes=10, received_bytes=5)],
        }
        answered = {
            Kind.RECEIVE: [receive(0, 10, at + 100)],
            Kind.SEND: [send(0, 5, at + 300)],
            Kind.CLOSE: [close(at + 700, sent_bytes=5, received_bytes=10)],
        }
        topic.put(1_000 * number, alpha.batch([client], asked))
        topic.put(1_000 * number + 500, beta.batch([server], answered))
    found = told(ended(topic.records))
    # Of the first connection nobody had heard of the server's address when the client's word came.
    assert {name: (one.n, one.missing) for name, one in found.items()} == {
        "server-turn": (3, 0),
        "client-turn": (3, 0),
        "network": (2, 0),
    }
    assert found["network"].total == 2 * 300


def test_a_connection_that_falls_silent_leaves_its_last_exchange_and_that_is_counted() -> None:
    """Nothing comes that proves it; the first one after a silence is not proved either."""
    topic, beta, other, pair = Topic(), Host("beta"), Host("other"), ends()
    for number in range(4):
        rows = {
            Kind.RECEIVE: [receive(5 * number, 5 * number + 5, 100 * number)],
            Kind.SEND: [send(7 * number, 7 * number + 7, 100 * number + 10)],
        }
        topic.put(20_000 * (number // 2) + 10 * number, beta.batch([pair[1]], rows))
        if number == 1:
            for step in range(STEPS):
                topic.put(STEP_MS * (step + 1), other.batch([], {}))
    one = told(ended(topic.records))["server-turn"]
    assert (one.told, one.seen) == (1, 4), "the second, the third and the last are not told"


@pytest.mark.parametrize("seed", range(3))
def test_cuts_and_snapshots_change_nothing_of_what_is_missing(seed: int) -> None:
    events, _ = world()
    given = ended(records(events, size=40, kept=bursts(events, (0, 1), 0.05, 3, seed), closed=seed > 0))
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    engine, outputs, at = EventEngine(0, SETTINGS), [], 0
    while at < len(given):
        more = chance.randrange(1, 6)
        outputs.append(engine.apply(given[at : at + more]))
        engine = EventEngine.restore(engine.snapshot(), 0, SETTINGS)
        at += more
    found = added(collect([*outputs, engine.flush()])["histogram"])
    assert found == told(given)
    assert all(one.missing > 0 for one in found.values())
