# SPDX-License-Identifier: Apache-2.0
"""Turns and network time through the engine: what is known by construction is what the rows say."""

import random
from collections import Counter
from statistics import median
from typing import Any

import msgspec
import numpy as np
import pytest

from consumer.engine import EventEngine
from schemas.turns import MEASURES, PIPELINED, TOO_FEW, invalid
from support.exchanges import Style, batches, crossing, dice
from support.turn_sums import added
from tests.consumer.engine.spoken import CONNECTIONS, EVEN, SAME, SETTINGS, records, shuffled, told, world
from tests.consumer.engine.traffic import collect, run


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
    settings = msgspec.structs.replace(SETTINGS, window_ns=1_000_000)
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
    assert added(rows["histogram"])["server-turn"].total == sum(truth.think for truth in truths)
    assert added(rows["histogram"])["network"].seen == len(truths)


@pytest.mark.parametrize("style", [EVEN, Style(EVEN.think, request_parts=3, response_parts=2)])
def test_lost_events_cost_exchanges_and_bend_no_figure(style: Style) -> None:
    """A tenth at each end, clocks apart and of other rates: what is left has the truth's middle to 1 %."""
    events, truths = world(style, size=1_500)
    chance = random.Random(3)  # noqa: S311 - not for secrets
    found = told(records(events, kept=lambda _: chance.random() >= 0.1))
    server, true = found["server-turn"], median(truth.think for truth in truths)
    assert invalid(server.told, server.spoiled) is None
    assert 0.55 < server.told / len(truths) < 0.75
    assert abs(server.p50 / true - 1) < 0.01 + 0.0109, "and what a bucket's width may do"
    assert abs(server.total / server.n / np.mean([truth.think for truth in truths]) - 1) < 0.02
    assert 0.3 < found["network"].told / len(truths) < 0.6
    way = np.mean([truth.network for truth in truths])
    assert abs(found["network"].total / found["network"].n / way - 1) < 0.03


def test_pipelined_requests_would_bend_it_and_the_gate_says_so() -> None:
    """The control: with 20 % of them the middle is off, and the figures are invalid."""
    events, truths = world(Style(pipelined=0.2), size=1_500)
    found = told(records(events))
    server = found["server-turn"]
    assert invalid(server.told, server.spoiled) == PIPELINED
    everything = told(records(events, kept=lambda event: event.kind != 0))["server-turn"]
    assert everything.p50 / median(truth.think for truth in truths) < 0.97
    assert invalid(server.told, 0) is None, "it is the spoiled ones that say so"


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_5_per_cent_of_pipelined_requests_are_rejected(share: float) -> None:
    events, _ = world(Style(pipelined=share), size=600)
    for one in told(records(events)).values():
        assert invalid(one.told, one.spoiled) == PIPELINED


def test_protocols_that_do_not_wait_for_answers_are_invalid() -> None:
    """HTTP/2, Kafka, Redis in batches: at the server, and between both ends."""
    for events in (
        crossing(0, 500, dice(15), ordered=False),
        crossing(0, 500, dice(15), ordered=True),
        batches(0, 200, 4, dice(15)),
    ):
        found = told(records(events))
        assert invalid(found["server-turn"].told, found["server-turn"].spoiled) == PIPELINED
        assert invalid(found["network"].told, found["network"].spoiled) is not None


def test_few_exchanges_are_too_few() -> None:
    events, _ = world(count=1, size=12)
    assert {invalid(one.told, one.spoiled) for one in told(records(events)).values()} == {TOO_FEW}
