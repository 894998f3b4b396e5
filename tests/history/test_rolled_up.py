# SPDX-License-Identifier: Apache-2.0
"""Answers are the same from histograms and from what the roll-up made of them, and none counts twice."""

import math
import random
from pathlib import Path
from typing import Any

import pytest

from common.units import DAY_NS, HOUR_NS, MINUTE_NS
from consumer.rollup.sums import summed, widened
from history import windows as windows_of
from history.latency import Answer, latency
from history.source import Source
from history.span import Span
from history.windows import choose
from support.rows import START, Write, histogram, ledger, match, rollup, table
from tests.consumer.rollup.made import BEGIN, HOUR, MINUTE, Lake, part_row, some_rows

EDGE = "client@alpha > server@beta:80"
CLOCK_FREE = "receive-wait,send-block,network,rtt"
SPAN = Span(START, START + 10 * MINUTE_NS)


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - not for secrets


def figures(answer: Answer) -> dict[Any, Any]:
    return {(one.group, one.kind): one for one in answer.figures}


def parts(rng: random.Random, begin: int, end: int, count: int) -> list[dict[str, Any]]:
    """Histogram rows of the kinds that no clock is needed for."""
    return [
        part_row(rng, rng.randrange(begin, end), measure=measure, clock="one_host", keep=None, spoiled=None)
        for _ in range(count)
        for measure in ("receive-wait", "send-block")
    ]


@pytest.fixture
def made(tmp_path: Path) -> Lake:
    """A lake that its job can roll up."""
    found = Lake(tmp_path / "made")
    assert found.facts
    return found


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Source, Source]:
    """Twenty-six hours of a lake before and after they were rolled up."""
    lake = Lake(tmp_path_factory.mktemp("lake") / "lake", BEGIN + 26 * HOUR)
    lake.put({"histogram": parts(seeded(3), BEGIN, lake.now_ns, 300)}, lake.now_ns)
    before = Source(str(lake.path))
    assert before.settled_to() == 0
    assert lake.job().round().days == 1
    return before, Source(str(lake.path))


@pytest.mark.parametrize("by", ["edge", "host", "minute"])
@pytest.mark.parametrize(("first", "last"), [(0, 26 * 60), (0, 24 * 60), (30, 25 * 60 + 7), (61, 119)])
def test_what_was_rolled_up_answers_like_what_it_was_made_of(
    versions: tuple[Source, Source], by: str, first: int, last: int
) -> None:
    """Days, hours, minutes and the last minutes, that are not rolled up, in any span."""
    span = Span(BEGIN + first * MINUTE, BEGIN + last * MINUTE)
    before, after = (latency(source, span, by=by, kinds=CLOCK_FREE) for source in versions)
    assert before.chosen.windows == ()
    assert before.figures
    assert figures(after) == figures(before)
    lengths = {length for length, _ in after.chosen.windows}
    if by == "minute":
        assert lengths == {MINUTE_NS}
    elif (first, last) == (0, 24 * 60):
        assert lengths == {DAY_NS}
    elif (first, last) == (0, 26 * 60):
        assert lengths == {DAY_NS, HOUR_NS, MINUTE_NS}
        assert after.chosen.rest
    assert lengths


def test_rows_that_come_after_the_roll_up_are_not_lost(made: Lake) -> None:
    """In windows that were not rolled up at once, in the others after the next round; never twice."""
    rng = seeded(5)
    end = BEGIN + HOUR + 10 * MINUTE
    made.now_ns = end
    made.put({"histogram": parts(rng, BEGIN, end, 60)}, end)
    made.job().round()
    made.put({"histogram": parts(rng, BEGIN, end, 30)}, end)
    span = Span(BEGIN, end)
    source = Source(str(made.path))
    new_windows = latency(source, span, by="measure", kinds=CLOCK_FREE)
    made.job().round()
    everything = latency(Source(str(made.path)), span, by="measure", kinds=CLOCK_FREE)
    assert {one.kind: one.n for one in everything.figures} == {"receive-wait": 270, "send-block": 270}
    assert all(180 <= one.n <= 270 for one in new_windows.figures)


def test_hours_that_are_not_over_are_answered_by_minutes(made: Lake) -> None:
    """The hour has a window of its settled minutes only: that is not all of it."""
    rng = seeded(7)
    end = BEGIN + HOUR
    made.now_ns = end
    made.put({"histogram": parts(rng, BEGIN, end, 200)}, end - MINUTE)
    made.job().round()
    answer = latency(Source(str(made.path)), Span(BEGIN, end), by="measure", kinds=CLOCK_FREE)
    assert {length for length, _ in answer.chosen.windows} == {MINUTE_NS}
    assert answer.chosen.rest == (Span(end - 3 * MINUTE, end),)
    assert {one.n for one in answer.figures} == {600}


def test_messages_between_hosts_are_counted_once_wherever_they_are(made: Lake) -> None:
    """As withheld while their clocks are not solved, as figures with a bound afterwards, never as both."""
    rng = seeded(11)
    end = BEGIN + HOUR
    rows = some_rows(rng, BEGIN, end, 60)
    made.now_ns = end
    made.put(rows, end)
    cross = [row for row in rows["match"] if row["clock"] == "unsynced" and row["last_piece"]]
    span, asked = Span(BEGIN, end), {"by": "measure", "kinds": "delivery,receive-wait"}
    before = latency(Source(str(made.path)), span, **asked)
    assert before.withheld == len(cross)
    assert figures(before)["", "delivery"].clock_bound_ns is None
    told = made.job().round()
    after = latency(Source(str(made.path)), span, **asked)
    unsettled = [row for row in cross if row["sent_at_ns"] >= end - 2 * MINUTE]
    assert after.withheld == told.withheld + len(unsettled)
    delivery = figures(after)["", "delivery"]
    assert delivery.seen == figures(before)["", "delivery"].seen + told.messages
    assert (delivery.clock_bound_ns or 0) > 1_000
    assert figures(after)["", "receive-wait"] == figures(before)["", "receive-wait"]


def test_the_bound_is_the_loosest_of_the_group_and_only_where_clocks_were_corrected(write: Write) -> None:
    """Of one clock it is null: the figures are exact."""
    rows = [
        rollup([100], clock_bound_ns=400),
        rollup([200], clock_bound_ns=700, window_start_ns=START + MINUTE_NS),
        rollup([300], clock="same_host", clock_bound_ns=None, edge="near"),
        rollup([], seen=7),
        rollup([], seen=7, measure="wire"),
    ]
    answer = latency(write(rollup=rows), SPAN, kinds="delivery,wire")
    assert {key: (one.n, one.clock_bound_ns) for key, one in figures(answer).items()} == {
        (EDGE, "delivery"): (2, 700),
        ("near", "delivery"): (1, None),
    }
    assert answer.withheld == 7
    assert latency(write(), SPAN, kinds="wire").withheld == 7
    assert latency(write(), SPAN, kinds="receive-wait").withheld == 0


def test_messages_of_windows_without_roll_up_are_withheld_beside_it(write: Write) -> None:
    """Of the rolled minute what its rows say, of the next one what its matches are."""
    minute = MINUTE_NS // 1000
    cross = [match(number, clock="unsynced") for number in (5, 6, minute, minute + 1, minute + 2)]
    answer = latency(write(rollup=[rollup([], seen=2)], match=cross), SPAN)
    assert answer.withheld == 5


def test_turns_are_withheld_of_edges_where_requests_cross(write: Write) -> None:
    """By the sums of each edge over the time asked for, whatever the group; the others are answered."""

    def turns(edge: str, seen: int, spoiled: int, **more: Any) -> dict[str, Any]:
        values = [1_000] * (seen - spoiled)
        return histogram(values, seen=seen, spoiled=spoiled, edge=edge, measure="server-turn",
                         clock="one_host", **more)  # fmt: skip

    rows = [
        turns("good", 15, 0),
        turns("good", 15, 0, window_start_ns=START + MINUTE_NS),
        turns("few", 19, 0),
        turns("crossed", 200, 1),
        turns("nearly", 201, 1),
    ]
    source = write(histogram=rows)
    for by, groups in (
        ("edge", {("good", 30), ("nearly", 200)}),
        ("measure", {("", 230)}),
        ("minute", {("2025-10-09T09:00:00Z", 215), ("2025-10-09T09:01:00Z", 15)}),
    ):
        answer = latency(source, SPAN, by=by)
        assert {(one.group, one.n) for one in answer.figures} == groups
        assert answer.invalid == {"pipelined": 1, "too few": 1}
    assert {one.spoiled for one in latency(source, SPAN).figures} == {0, 1}
    assert latency(source, SPAN, kinds="delivery").invalid == {}


@pytest.mark.parametrize("shown", ["server-turn", "client-turn", "network"])
def test_where_one_measure_shows_that_requests_cross_no_turn_is_answered(write: Write, shown: str) -> None:
    """Also of a measure asked for alone; an edge beside it, and what is no turn, are answered."""
    turns = ("server-turn", "client-turn", "network")
    rows = [
        histogram([1_000] * 50, seen=50, spoiled=0, edge=edge, measure=kind, clock="one_host")
        for edge in ("crossed", "good")
        for kind in turns
        if (edge, kind) != ("crossed", shown)
    ]
    few = {"seen": 30, "spoiled": 3, "edge": "crossed", "clock": "one_host"}
    rows += [histogram([1_000] * 27, measure=shown, **few), histogram([1_000] * 9, edge="crossed")]
    source = write(histogram=rows)
    for kinds in (turns, *((kind,) for kind in turns)):
        answer = latency(source, SPAN, kinds=",".join((*kinds, "delivery")))
        told = {(one.group, one.kind) for one in answer.figures}
        assert told == {("crossed", "delivery"), *(("good", kind) for kind in kinds)}
        assert answer.invalid == {"pipelined": 1}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("by", ["edge", "measure", "minute"])
def test_complete_of_exchanges_is_that_of_their_parts_rolled_up_or_not(
    write: Write, by: str, seed: int
) -> None:
    """By brute force over the parts: those with a value, of all that could have one, by both ledgers."""
    chance, hosts = (
        seeded(seed),
        {"server-turn": ["beta"], "client-turn": ["alpha"], "network": ["alpha", "beta"]},
    )
    share = {"alpha": 0.9, "beta": 0.75}
    rows, want = [], dict[tuple[str, str], list[float]]()
    for number in range(60):
        measure, minute = chance.choice(list(hosts)), chance.randrange(3)
        n, late = chance.randrange(20, 40), chance.randrange(3) == 0
        missing, edge = -2 * late + chance.randrange(4), chance.choice("ab")
        sign = {
            "window_start_ns": START + minute * MINUTE_NS,
            "measure": measure,
            "spoiled": 0,
            "tick": number,
        }
        rows.append(histogram([5_000] * n, seen=n + missing, edge=edge, clock="one_host", **sign))
        group = {"edge": edge, "measure": "", "minute": f"2025-10-09T09:0{minute}:00Z"}[by]
        known = want.setdefault((group, measure), [0, 0])
        known[0] += n * math.prod(share[host] for host in hosts[measure])
        known[1] += n + missing
    told = [
        ledger(host, *what)
        for host, kept in share.items()
        for what in (
            ("kernel", "attempted", 1_000),
            ("perf-buffer", "full", round(1_000 * (1 - kept))),
            ("consumer", "stored", round(1_000 * kept)),
        )
    ]
    rolled = summed(widened(table("histogram", rows), MINUTE_NS)).to_pylist()
    for kinds in ({"histogram": rows, "ledger": told}, {"rollup": rolled}):
        source = write(**kinds)
        answer = latency(source, SPAN, by=by, kinds=",".join(hosts))
        found = {(one.group, one.kind): one.complete for one in answer.figures}
        assert found == pytest.approx({key: good / all_of for key, (good, all_of) in want.items()})


def test_windows_are_the_coarsest_that_fit() -> None:
    """Days over hours over minutes, each minute once, whatever is missing."""
    day = 20_000 * DAY_NS
    hours = {(HOUR_NS, day + n * HOUR_NS) for n in range(25)}
    minutes = {(MINUTE_NS, day + n * MINUTE_NS) for n in range(26 * 60) if n != 25 * 60 + 3}
    chosen = choose(Span(day, day + 26 * HOUR_NS), {(DAY_NS, day)} | hours | minutes)
    hole = day + 25 * HOUR_NS + 3 * MINUTE_NS
    assert chosen.rest == (Span(hole, hole + MINUTE_NS),)
    assert chosen.rolled == (Span(day, hole), Span(hole + MINUTE_NS, day + 26 * HOUR_NS))
    assert chosen.windows[0] == (MINUTE_NS, day + 25 * HOUR_NS)
    assert len(chosen.windows) == 59 + 1 + 1
    assert choose(Span(day, day + HOUR_NS), set()).rest == (Span(day, day + HOUR_NS),)


@pytest.mark.parametrize("by", ["measure", "minute"])
def test_windows_of_another_length_are_read_beside_minutes(write: Write, by: str) -> None:
    """A consumer with windows of five minutes: what needed clocks was corrected by minutes."""
    wide = {
        "window_ns": 5 * MINUTE_NS,
        "measure": "receive-wait",
        "clock": "one_host",
        "clock_bound_ns": None,
    }
    rows = [rollup([7] * 5, **wide), rollup([100], window_start_ns=START + MINUTE_NS), rollup([100])]
    late = [histogram([9], measure="receive-wait", window_start_ns=START + n * MINUTE_NS) for n in (4, 5)]
    answer = latency(write(rollup=rows, histogram=late), SPAN, by=by, kinds="delivery,receive-wait")
    assert sum(one.n for one in answer.figures if one.kind == "delivery") == 2
    assert sum(one.n for one in answer.figures if one.kind == "receive-wait") == 5 + 1
    assert answer.chosen.rolled == (Span(START, START + 5 * MINUTE_NS),)


def test_of_a_long_time_all_days_are_looked_for(made: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether or not only the first hours of days are opened."""
    rng = seeded(13)
    end = BEGIN + 25 * HOUR
    made.now_ns = end
    made.put({"histogram": parts(rng, BEGIN, end, 20)}, end)
    made.job().round()
    span = Span(BEGIN - 3 * DAY_NS, end)
    few = latency(Source(str(made.path)), span, kinds=CLOCK_FREE)
    monkeypatch.setattr(windows_of, "MOST_DAYS", 0)
    every = latency(Source(str(made.path)), span, kinds=CLOCK_FREE)
    assert few.chosen == every.chosen
    assert (DAY_NS, BEGIN) in few.chosen.windows
