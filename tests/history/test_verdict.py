# SPDX-License-Identifier: Apache-2.0
"""What was planted into two hours of a conversation is the verdict, with its minute; else it says why not."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from history.errors import QuestionError
from history.span import Span
from history.verdict import APPLICATION, NETWORK, NOTHING, UNKNOWN, Verdict, verdict
from support.rows import START, Write, connect, histogram, nothing_lost, retransmit, rollup

MINUTE = 60 * 10**9
MINUTES = 80
ASKED = Span(START + 40 * MINUTE, START + MINUTES * MINUTE)
AT = 55
CLIENT, SERVER = "client@alpha", "server@beta:80"
THERE = {"edge": f"{CLIENT} > {SERVER}", "sender_host": "alpha", "receiver_host": "beta"}
BACK = {"edge": f"{SERVER} > {CLIENT}", "sender_host": "beta", "receiver_host": "alpha"}
WAYS = {"there": THERE, "back": BACK}
USUAL = {
    ("there", "server-turn"): 900_000,
    ("there", "network"): 300_000,
    ("there", "client-turn"): 1_200_000,
    ("there", "delivery"): 150_000,
    ("back", "delivery"): 150_000,
    ("there", "wire"): 100_000,
    ("back", "wire"): 100_000,
    ("there", "receive-wait"): 50_000,
    ("back", "receive-wait"): 50_000,
    ("there", "send-block"): 5_000,
    ("back", "send-block"): 5_000,
    ("there", "rtt"): 120_000,
}
Plant = dict[tuple[str, str], float]

ON_THE_WAY: Plant = {
    **dict.fromkeys([("there", kind) for kind in ("network", "client-turn", "rtt")], 8e6),
    **dict.fromkeys([(way, kind) for way in ("there", "back") for kind in ("delivery", "wire")], 4e6),
}
READS_LATE: Plant = {
    **dict.fromkeys([("back", "receive-wait"), ("back", "delivery"), ("there", "client-turn")], 5e6),
    ("there", "network"): 5.3e6,
}


def story(plant: Plant, at: int = AT, leave_out: tuple[str, ...] = (), n: int = 30) -> list[dict[str, Any]]:
    """Histogram rows of each minute; from ``at`` on, what is planted is longer by so many ns."""
    random = np.random.default_rng(4)
    rows = []
    for minute in range(MINUTES):
        for (way, kind), usual in USUAL.items():
            if kind in leave_out:
                continue
            middle = usual + (plant.get((way, kind), 0) if minute >= at else 0)
            values = (middle * np.exp(random.normal(0, 0.2, n))).astype(int).tolist()
            turn = kind in {"server-turn", "client-turn", "network"}
            more = {"window_start_ns": START + minute * MINUTE, "spoiled": 0 if turn else None}
            rows.append(histogram(values, measure=kind, **more, **WAYS[way]))
    return rows


def asked(write: Write, rows: list[dict[str, Any]], edge: str = "client -> server", **more: Any) -> Verdict:
    return verdict(write(histogram=rows, ledger=nothing_lost(), **more), ASKED, edge=edge)


def minute_of(found: Verdict) -> int | None:
    return None if found.since_ns is None else (found.since_ns - START) // MINUTE


@pytest.mark.parametrize(
    ("plant", "where", "kind"),
    [
        ({("there", "server-turn"): 3e6, ("there", "client-turn"): 3e6}, APPLICATION, "server-turn"),
        (ON_THE_WAY, NETWORK, "network"),
        (READS_LATE, APPLICATION, "receive-wait"),
        ({("there", "send-block"): 2e6}, APPLICATION, "send-block"),
    ],
    ids=["server", "network", "client reads late", "send block"],
)
def test_what_was_planted_is_the_verdict(write: Write, plant: Plant, where: str, kind: str) -> None:
    """At its minute or the one beside it, with figures before and after."""
    found = asked(write, story(plant))
    assert (found.where, found.kind) == (where, kind)
    assert minute_of(found) in {AT - 1, AT, AT + 1}
    assert found.text.startswith(f"{where}: ")
    (own,) = (one for one in found.told if one.kind == kind and one.changed_ns and one.shift_ns > 10**6)
    assert own.before is not None
    assert own.after is not None
    assert (own.after.p50_ns or 0) > 2 * (own.before.p50_ns or 0)
    assert own.before.n + own.after.n == 30 * MINUTES


def test_a_server_that_became_faster_is_told_too(write: Write) -> None:
    """A change of the response time to the better, by what became better."""
    found = asked(write, story({("there", "server-turn"): -6e5, ("there", "client-turn"): -6e5}))
    assert (found.where, found.kind) == (APPLICATION, "server-turn")
    assert " fell from " in found.text
    share = re.search(r"which is (\d+) % of how response time changed", found.text)
    assert share is not None
    assert int(share[1]) == pytest.approx(100, abs=10)


@pytest.mark.parametrize("seed", [11, 25])
def test_the_share_of_the_response_time_is_of_one_percentile(write: Write, seed: int) -> None:
    """A server twice as slow: its median is the surest sign of that, and of the response time its p90."""
    random = np.random.default_rng(seed)
    rows = []
    for minute in range(MINUTES):
        n = 60
        think = random.gamma(2, 300_000, n) * (2 if minute >= AT else 1)
        between = random.normal(500_000, 40_000, n)
        for kind, values in (("server-turn", think), ("network", between), ("client-turn", think + between)):
            more = {"window_start_ns": START + minute * MINUTE, "spoiled": 0}
            rows.append(histogram(values.astype(int).tolist(), measure=kind, **more, **THERE))
    found = asked(write, rows)
    assert (found.where, found.kind) == (APPLICATION, "server-turn")
    (share,) = re.findall(r"which is (\d+) % of how response time changed", found.text)
    assert int(share) > 85


def test_nothing_changed(write: Write) -> None:
    """And so it says."""
    found = asked(write, story({}))
    assert (found.where, found.kind, found.since_ns) == (NOTHING, "", None)
    assert {one.changed_ns for one in found.told} == {None}


def test_the_request_is_found_whichever_side_is_named_first(write: Write) -> None:
    """The client is who asks; also by the arrow of edges as they are written, in any case."""
    rows = story({("there", "server-turn"): 3e6, ("there", "client-turn"): 3e6})
    source = write(histogram=rows)
    for edge in ("server -> client", "Server > CLIENT", "client@ -> :80"):
        found = verdict(source, ASKED, edge=edge)
        assert (found.where, found.kind) == (APPLICATION, "server-turn")


def test_without_turns_and_clocks_it_says_what_it_lacks(write: Write) -> None:
    """No guess: the delivery changed, and what it is made of is not known."""
    rows = story({("there", "delivery"): 5e6}, leave_out=("server-turn", "network", "client-turn", "wire"))
    withheld = [rollup([], seen=7, measure="wire", window_start_ns=ASKED.from_ns - 1_000 * MINUTE)]
    found = asked(write, rows, rollup=withheld)
    assert (found.where, minute_of(found)) == (UNKNOWN, AT)
    assert "none of its parts is known to" in found.text
    assert any("server-turn and network not known" in note for note in found.notes)


@pytest.mark.parametrize("n", [1, 4])
def test_too_little_says_nothing(write: Write, n: int) -> None:
    """A few messages a minute are no level."""
    found = asked(write, story({("there", "server-turn"): 3e6}, n=n))
    assert found.where == UNKNOWN
    assert "0 minutes have 5 messages or more" in found.text


def test_what_is_withheld_is_said(write: Write) -> None:
    """Clocks that are not related, exchanges that cross."""
    crossed = [row | {"spoiled": 15} if row["spoiled"] == 0 else row for row in story({})]
    unrelated = [rollup([], seen=9, window_start_ns=START + 41 * MINUTE)]
    found = asked(write, crossed, rollup=unrelated)
    assert any("delivery and wire of 9 messages are withheld" in note for note in found.notes)
    assert any("1 pipelined" in note for note in found.notes)


@pytest.mark.parametrize(
    ("kind", "plant"),
    [
        ("retransmits", lambda minute: [retransmit(minute * 60 * 10**6 + n) for n in range(25)]),
        ("connect", lambda minute: [connect(minute * 60 * 10**6, duration_ns=9_000_000)] * 5),
    ],
)
def test_the_network_shows_in_other_rows_too(
    write: Write, kind: str, plant: Callable[[int], list[dict[str, Any]]]
) -> None:
    """Segments sent again, and connecting: with latencies as they were, these are the verdict."""
    table = {"retransmits": "retransmit", "connect": "connect"}[kind]
    rows = [row for minute in range(AT, MINUTES) for row in plant(minute)]
    if kind == "connect":
        rows += [connect(minute * 60 * 10**6) for minute in range(AT)]
    found = asked(write, story({}), **{table: rows})
    assert (found.where, found.kind, minute_of(found)) == (NETWORK, kind, AT)


def test_incomplete_minutes_are_mentioned(write: Write) -> None:
    """The share of the worst."""
    rows = story({})
    rows[0] |= {"seen": 60}
    assert any("not complete" in note for note in asked(write, rows).notes)


def test_what_is_not_complete_is_not_called_so(write: Write) -> None:
    """One message of very many."""
    rows = [*story({}), histogram([5_000] * 40_000, seen=40_001, window_start_ns=START, **BACK)]
    assert "not complete: in the worst minute 99.99 % of what was sent" in asked(write, rows).notes


@pytest.mark.parametrize("edge", ["client", "-> server", ""])
def test_an_edge_has_two_sides(write: Write, edge: str) -> None:
    """Which is said."""
    with pytest.raises(QuestionError, match="needed are two sides"):
        asked(write, [], edge=edge)
