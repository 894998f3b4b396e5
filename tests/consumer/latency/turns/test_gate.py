# SPDX-License-Identifier: Apache-2.0
"""Where the gate passes, turns are right; where requests overtake responses, it does not pass."""

import numpy as np
import pytest

from consumer.latency.turns.gate import Verdict, judge
from consumer.latency.turns.network import meet
from consumer.latency.turns.tables import no_exchanges
from support.exchanges import SERVER, Clock, Style, batches, crossing, dice, seen, talk
from tests.consumer.latency.turns.oracle import LAST, ends, once

CLOCKS = (Clock(0, 20), Clock(10**15, -20))
PASSES = {
    "plain": Style(),
    "parts": Style(request_parts=4, response_parts=3),
    "a few overtake": Style(pipelined=0.004),
    "a few overtake a slow reader": Style(pipelined=0.004, eager=False),
}
MIXED = {
    "HTTP/2": lambda chance: crossing(0, 2000, chance, ordered=False),
    "Kafka": lambda chance: crossing(0, 2000, chance, ordered=True),
    "Redis, 2 at a time": lambda chance: batches(0, 500, 2, chance),
    "Redis, 16 at a time": lambda chance: batches(0, 100, 16, chance),
}


def verdict(exchanges, marked):
    return Verdict(int(judge(np.array([exchanges]), np.array([marked]))[0]))


def of(told, end):
    """The gate's verdict on one end of connection 0."""
    mine = told.end == end
    return verdict(int(mine.sum()), int((mine & told.pipelined).sum()))


def p50_error(told, truths, picked):
    mine = (told.end == SERVER) & picked
    return np.median(told.turn[mine]) / np.median([truth.think for truth in truths]) - 1


def test_figures_need_20_exchanges_and_less_than_one_spoiled_in_100():
    assert verdict(19, 0) is Verdict.TOO_FEW
    assert verdict(19, 19) is Verdict.TOO_FEW
    assert verdict(20, 0) is Verdict.VALID
    assert verdict(20, 1) is Verdict.PIPELINED
    assert verdict(201, 1) is Verdict.VALID
    assert verdict(200, 1) is Verdict.PIPELINED, "a marked exchange spoils two"


@pytest.mark.parametrize("style", PASSES.values(), ids=PASSES)
def test_where_it_passes_the_think_time_is_right_to_1_per_cent(style):
    events, truths = talk(0, 6_000, style, dice(10))
    told = once(seen(events, CLOCKS), 2).exchanges
    assert of(told, 0) is of(told, 1) is Verdict.VALID
    assert abs(p50_error(told, truths, ~told.pipelined)) < 0.01


@pytest.mark.parametrize("lost", [0.1])
@pytest.mark.parametrize("style", [PASSES["plain"], PASSES["parts"]], ids=["plain", "parts"])
def test_lost_events_make_the_answer_smaller_and_not_wrong(style, lost):
    """Exchanges are lost by chance, whatever they took: the rest has the same middle."""
    events, truths = talk(0, 6_000, style, dice(11))
    told = once(seen(events, CLOCKS, lost, seed=12), 2).exchanges
    assert of(told, 0) is of(told, 1) is Verdict.VALID
    server = told.end == SERVER
    true = {(truth.request_end, truth.response_begin): truth.think for truth in truths}
    names = zip(told.request_end[server].tolist(), told.response_begin[server].tolist(), strict=True)
    thinks = np.array([true[name] for name in names])
    assert np.abs(told.turn[server] - thinks).max() <= 1 + thinks.max() * 21e-6
    assert 0.6 < server.sum() / len(truths) < 0.7
    below = np.mean(thinks < np.median(list(true.values())))
    chance = 0.5 * np.sqrt(1 / thinks.size - 1 / len(truths))
    assert abs(below - 0.5) < 4.5 * chance, "as many below the middle as above it, but for chance"


@pytest.mark.parametrize("share", [0.05, 0.1, 0.3])
@pytest.mark.parametrize("eager", [True, False])
def test_it_rejects_5_per_cent_of_pipelined_requests_at_either_end(share, eager):
    events, _ = talk(0, 4_000, Style(pipelined=share, eager=eager), dice(13))
    told = once(seen(events, CLOCKS), 2).exchanges
    assert of(told, 0) is of(told, 1) is Verdict.PIPELINED


def test_without_the_gate_pipelined_requests_would_make_the_server_look_fast():
    """The control: 10 % of them, to a server that reads at once, take some 10 % off the think time."""
    events, truths = talk(0, 6_000, Style(pipelined=0.1), dice(14))
    told = once(seen(events, CLOCKS), 2).exchanges
    assert p50_error(told, truths, np.ones(told.end.size, dtype=bool)) < -0.05
    assert of(told, 1) is Verdict.PIPELINED


@pytest.mark.parametrize("make", MIXED.values(), ids=MIXED)
@pytest.mark.parametrize("lost", [0.0, 0.1])
def test_protocols_that_do_not_wait_for_answers_are_invalid(make, lost):
    """At the server by itself, and between the two ends; a client's batch looks to it like one request."""
    told = once(seen(make(dice(15)), CLOCKS, lost), 2).exchanges
    _, joined = meet(no_exchanges(), told, ends(2).client, LAST)
    assert of(told, SERVER) is Verdict.PIPELINED
    marked = int(joined.pipelined.sum()) + joined.crossed.end.size
    assert verdict(joined.client.end.size + joined.crossed.end.size, marked) is Verdict.PIPELINED
