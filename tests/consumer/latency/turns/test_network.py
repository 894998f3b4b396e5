# SPDX-License-Identifier: Apache-2.0
"""Network time of exchanges by construction, with clocks that have nothing to do with each other."""

import numpy as np
import pytest

from consumer.latency.turns.network import bounded, meet, meet_sides, straight
from consumer.latency.turns.state import nothing, step
from consumer.latency.turns.tables import join, no_exchanges, take
from support.exchanges import Clock, Style, crossing, dice, seen, talk
from tests.consumer.latency.turns.oracle import LAST, ends, once

UNLIKE = (Clock(7), Clock(10**16))
STYLES = {
    "plain": Style(),
    "parts": Style(request_parts=3, response_parts=4),
    "greeting": Style(greeting=1),
    "one at a time": Style(eager=False),
}


def facts(joined):
    """(connection, request end, response begin) -> network time."""
    names = (joined.server.end >> 1, joined.server.request_end, joined.server.response_begin)
    keys = zip(*(column.tolist() for column in names), strict=True)
    return dict(zip(keys, joined.network.tolist(), strict=True))


def true(truths):
    return {(t.connection, t.request_end, t.response_begin): t.network for t in truths}


def world(style, seed=6, connections=3, exchanges=150):
    chance = dice(seed)
    parts = [talk(number, exchanges, style, chance) for number in range(connections)]
    return [e for events, _ in parts for e in events], [t for _, truths in parts for t in truths]


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
@pytest.mark.parametrize("lost", [0.0, 0.1])
def test_network_time_is_exact_whatever_the_clocks_and_the_losses(style, lost):
    """The stamps of one host differ by the host's own clock only, so nothing is left of its offset."""
    events, truths = world(style)
    told = once(seen(events, UNLIKE, lost, seed=7), 6).exchanges
    _, joined = meet(no_exchanges(), told, ends(6).client, LAST)
    found, expected = facts(joined), true(truths)
    assert found.items() <= expected.items()
    assert len(found) >= len(expected) * (1 - lost) ** 10 - 3
    assert joined.crossed.end.size == 0
    assert not joined.pipelined.any()


def test_the_rates_of_the_clocks_are_all_that_is_left_of_them():
    events, truths = world(Style())
    told = once(seen(events, (Clock(0, 40), Clock(10**15, -40))), 6).exchanges
    _, joined = meet(no_exchanges(), told, ends(6).client, LAST)
    expected = true(truths)
    for (name, network), turn in zip(facts(joined).items(), joined.client.turn.tolist(), strict=True):
        assert abs(network - expected[name]) <= turn * 100e-6 + 4


def test_joining_by_order_would_go_wrong_after_a_loss():
    """The control: after one lost exchange, the n-th of one end is not the n-th of the other."""
    events, truths = world(Style(), connections=1)
    told = once(seen(events, UNLIKE, lost=0.02, side=1), 2).exchanges
    _, joined = meet(no_exchanges(), told, ends(2).client, LAST)
    client, server = (take(told, told.end == end) for end in (0, 1))
    count = min(client.end.size, server.end.size)
    by_order = (client.turn[:count] - server.turn[:count]).tolist()
    expected = list(true(truths).values())
    assert server.end.size < client.end.size
    assert sum(a != b for a, b in zip(by_order, expected, strict=False)) > count / 2
    assert min(by_order) < 0 < min(expected)
    assert facts(joined).items() <= true(truths).items()


def test_it_is_joined_the_same_however_it_is_cut():
    events, _ = world(Style(pipelined=0.1), connections=4)
    table, client = seen(events, UNLIKE), ends(8).client
    told = once(table, 8).exchanges
    _, whole = meet(no_exchanges(), told, client, -1)
    dice = np.random.default_rng(8)
    for _ in range(5):
        order = dice.permutation(told.end.size)
        waiting, parts = no_exchanges(), []
        for part in np.array_split(order, 9):
            waiting, joined = meet(waiting, take(told, part), client, -1)
            parts.append(joined)
        pairs = {name: network for part in parts for name, network in facts(part).items()}
        assert pairs == facts(whole)
        crossed = join(no_exchanges(), *(part.crossed for part in parts))
        assert sorted(crossed.request_end.tolist()) == sorted(whole.crossed.request_end.tolist())


def test_what_the_other_end_does_not_tell_waits_and_then_stands_alone():
    events, _ = world(Style(), connections=1, exchanges=10)
    first = step(nothing(), seen(events, UNLIKE), ends(2))[1]
    servers = take(first.exchanges, first.exchanges.end == 1)._replace(born=np.arange(9))
    waiting, joined = meet(no_exchanges(), servers, ends(2).client, 3)
    assert joined.alone.born.tolist() == [0, 1, 2, 3]
    assert waiting.born.tolist() == [4, 5, 6, 7, 8]
    kept, gone = bounded(waiting, 2)
    assert (kept.born.tolist(), gone.born.tolist()) == ([7, 8], [4, 5, 6])
    assert bounded(kept, 5)[1].end.size == 0


def test_ends_that_disagree_prove_that_requests_crossed_on_the_way():
    told = once(seen(crossing(0, 400, dice(9), ordered=False), UNLIKE), 2).exchanges
    _, joined = meet(no_exchanges(), told, ends(2).client, LAST)
    assert joined.crossed.end.size > 50
    assert set(joined.crossed.end.tolist()) == {0}


@pytest.mark.parametrize("lost", [0.0, 0.1])
def test_joining_what_is_new_first_joins_the_same(lost):
    """And what is left of it meets what waits: crossed ones, those told at two times, those of one end."""
    events, _ = world(Style(request_parts=2))
    told = once(seen(events, UNLIKE, lost, seed=3), 6).exchanges
    told = told._replace(request_end=np.where(np.arange(told.end.size) % 50, told.request_end, 1))
    client, order = ends(6).client, dice(1).sample(range(told.end.size), told.end.size)
    earlier, later = (take(told, np.array(order[part::2])) for part in (0, 1))
    waiting, first = meet(no_exchanges(), earlier, client, -1)
    asks = client[later.end]
    now, *left = straight(take(later, asks), take(later, ~asks))
    still, then = meet_sides(waiting, ((left[0],), (left[1],)), client, -1)
    whole_still, whole = meet(waiting, later, client, -1)
    assert facts(now) | facts(then) == facts(whole)
    assert min(len(facts(part)) for part in (now, then)) > 0
    assert sorted(then.crossed.request_end.tolist()) == sorted(whole.crossed.request_end.tolist())
    assert sorted(still.request_end.tolist()) == sorted(whole_still.request_end.tolist())
    assert len(facts(first)) + len(facts(whole)) > 150
