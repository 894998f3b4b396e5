# SPDX-License-Identifier: Apache-2.0
"""Clocks of pairs and hosts over a span, and what an answer says of what it rests on."""

from typing import Any

import pytest

from history.clocks import clocks
from history.explain import Line, explained
from history.latency import latency
from history.span import Span
from support.rows import START, Write, close, histogram, ledger, match, nothing_lost, rollup

MINUTE = 60 * 10**9
SPAN = Span(START, START + 10 * MINUTE)
LATER = START + MINUTE


def solution(minute: int, **changes: Any) -> dict[str, Any]:
    """The second clock 5 s ahead, within 300 ns at first and 200 ns at last."""
    row: dict[str, Any] = {"window_start_ns": START + minute * MINUTE, "window_ns": MINUTE}
    row |= {"first_host": "alpha", "first_boot": "a1", "second_host": "beta", "second_boot": "b1"}
    row |= {
        "status": "bounded",
        "messages_there": 30,
        "messages_back": 20,
        "times": [1, 2],
        "skew_ppb": 1_500,
    }
    ahead = 5_000_000_000 + minute
    row |= {"low_offsets": [ahead - 300, ahead - 200], "offsets": [ahead, ahead]}
    row |= {"high_offsets": [ahead + 250, ahead + 150], "steps": 0, "largest_step_ns": 0}
    return row | changes


def untold(minute: int, status: str, **changes: Any) -> dict[str, Any]:
    """A window of which no offset is known."""
    nothing: dict[str, Any] = {name: [] for name in ("times", "low_offsets", "offsets", "high_offsets")}
    return solution(minute, status=status, skew_ppb=None, messages_back=0, **nothing) | changes


def reading(host: str, second: int, **changes: Any) -> dict[str, Any]:
    row = {"topic_partition": 0, "tick": 1, "host": host, "boot": f"{host[0]}1", "epoch": 1}
    row |= {"at_ns": START + second * 10**9, "monotonic_ns": second, "raw_offset_ns": 0, "width_ns": 9}
    return row | {"realtime_offset_ns": 1_000, "error_ns": None} | changes


def test_a_pair_is_as_its_newest_window_and_as_loose_as_its_loosest(write: Write) -> None:
    """Offset, bound and skew of the last minute solved; steps and messages of all."""
    rows = [
        solution(0),
        solution(3, low_offsets=[4_999_999_000] * 2, steps=1, largest_step_ns=-7_000),
        solution(1, steps=1, largest_step_ns=100),
        untold(4, "unsynced"),
    ]
    readings = [
        reading("alpha", 1),
        reading("beta", 1, realtime_offset_ns=7),
        reading("beta", 5, error_ns=44),
    ]
    found = clocks(write(clock_solution=rows, reading=readings), SPAN)
    pair, alpha, beta = found
    assert (pair["first_host"], pair["second_host"], pair["status"]) == ("alpha", "beta", "unsynced")
    assert (pair["offset_ns"], pair["bound_ns"], pair["worst_ns"]) == (5_000_000_003, 1_003, 1_003)
    assert pair["wall_ns"] == 5_000_000_003 + 1_000 - 1_000
    assert (pair["skew_ppm"], pair["steps"], pair["largest_step_ns"]) == (1.5, 2, -7_000)
    assert (pair["messages"], pair["windows"], pair["bounded"], pair["unsynced"]) == (180, 4, 3, 1)
    assert pair["seen_ns"] == START + 5 * MINUTE
    assert (alpha["first_host"], alpha["status"], alpha["error_ns"]) == ("alpha", "free", None)
    assert (beta["status"], beta["error_ns"], beta["windows"]) == ("disciplined", 44, 2)


def test_minutes_after_the_last_message_say_nothing_of_a_pair(write: Write) -> None:
    """But where the clocks are known by others, or by what is said of the time of day."""
    silent = {"messages_there": 0, "messages_back": 0}
    rows = [solution(0), untold(1, "unsynced", **silent), untold(2, "infeasible", **silent)]
    (pair,) = clocks(write(clock_solution=rows), SPAN)
    assert (pair["status"], pair["windows"], pair["seen_ns"]) == ("bounded", 1, START + MINUTE)
    assert (pair["unsynced"], pair["infeasible"]) == (0, 0)
    (pair,) = clocks(write(clock_solution=[solution(3, **silent)]), SPAN)
    assert (pair["windows"], pair["bounded"]) == (2, 2)


def test_clocks_of_one_host(write: Write) -> None:
    """In whichever place of the pair."""
    other = solution(0, second_host="gamma", second_boot="g1")
    source = write(clock_solution=[solution(0), other], reading=[reading("alpha", 1)])
    assert [row["second_host"] for row in clocks(source, SPAN)] == ["beta", "gamma", None]
    assert [row["second_host"] for row in clocks(source, SPAN, host="gamma")] == ["gamma"]
    assert clocks(source, Span(START + MINUTE, START + 2 * MINUTE)) == []


def lines(write: Write, **rows: Any) -> dict[str, list[Line]]:
    source = write(**rows)
    found: dict[str, list[Line]] = {}
    for line in explained(source, SPAN, latency(source, SPAN)):
        found.setdefault(line.about, []).append(line)
    return found


def test_an_answer_says_what_it_rests_on(write: Write) -> None:
    """Which windows, hosts, losses, clocks, bytes; what was sampled and withheld; all told."""
    found = lines(
        write,
        histogram=[
            histogram([5], window_start_ns=LATER, measure="receive-wait", clock="one_host", keep=0.5),
            histogram([5] * 9, measure="server-turn", clock="one_host", spoiled=0, edge="few",
                      window_start_ns=LATER),
        ],
        rollup=[rollup([100], clock_bound_ns=4_200), rollup([], seen=3)],
        match=[match(2 * MINUTE // 1000, clock="unsynced")],
        ledger=[*nothing_lost(), ledger("alpha", "perf-buffer", "full", 12),
                ledger("beta", "kernel", "sampled", 400)],
        clock_solution=[solution(0), untold(1, "infeasible")],
        close=[close(1, missing_sent=100, audit="partial"), close(2, audit="blind", marks=4)],
    )  # fmt: skip
    text = {about: " | ".join(line.text for line in own) for about, own in found.items()}
    assert "rolled up: 1 minutes (table rollup); 9 minutes are not" in text["windows"]
    assert found["windows"][0].facts["not_rolled_up_minutes"] == 9
    assert "alpha: 1,000 events; lost: perf-buffer/full 12" in text["host"]
    assert "beta: 1,000 events, 400 of them left out on purpose (sampling); lost: none" in text["host"]
    assert "alpha and beta: 1 of 2 minutes solved, within ±300ns or better" in text["clocks"]
    assert "in 1 minutes messages contradict one another" in text["clocks"]
    assert "within ±4.2us for want of one clock" in text["bound"]
    assert "80 % of events were kept" in text["sampling"]
    assert "no byte of 1 connections is in events: multipath TCP" in text["coverage"]
    assert "100 bytes of 1 connections are in no event" in text["coverage"]
    assert "delivery and wire of 4 messages" in text["withheld"]
    assert "turns of 1 edges: too few" in text["withheld"]


def test_what_is_not_known_is_said(write: Write) -> None:
    """Without ledger, accounts, clocks or anything rolled up."""
    found = lines(write, histogram=[histogram([5])])
    text = {about: " | ".join(line.text for line in own) for about, own in found.items()}
    assert "nothing is rolled up; 10 minutes are not" in text["windows"]
    assert "alpha: no ledger in this time" in text["host"]
    assert "hosts share one clock, or nothing is rolled up yet" in text["clocks"]
    assert "not known of any line" in text["complete"]
    assert "coverage is not known" in text["coverage"]
    assert "withheld" not in text


@pytest.mark.parametrize("seed", range(2))
def test_an_empty_lake_is_explained_too(write: Write, seed: int) -> None:
    """No figures, no error."""
    found = lines(write, ledger=nothing_lost() if seed else [ledger("gamma", "kernel", "attempted", 1)])
    assert set(found) == {"windows", "bound", "coverage"}
