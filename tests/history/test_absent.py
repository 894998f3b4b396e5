# SPDX-License-Identifier: Apache-2.0
"""An answer that rests on a host without an agent is never called complete, and says when that was."""

from typing import Any

import pytest

from history.absent import Absence, told
from history.explain import explained
from history.latency import Answer, latency
from history.span import Span
from history.verdict import verdict
from support.rows import START, Write, agent, histogram, nothing_lost

SECOND = 10**9
MINUTE = 60 * SECOND
SPAN = Span(START, START + 10 * MINUTE)
NEXT = {"boot": "b", "epoch": START + 100 * SECOND}
KINDS = ("delivery", "send-block", "server-turn")


def spoke(host: str, first: int, last: int, **changes: Any) -> list[dict[str, Any]]:
    """An agent that was heard of every 10 s, in seconds after START."""
    return [agent(host, START + at * SECOND, **changes) for at in range(first, last + 1, 10)]


def asked(write: Write, agents: list[dict[str, Any]], **options: Any) -> Answer:
    rows = [
        histogram([5] * 20, measure=kind, window_start_ns=START + at * MINUTE)
        for kind in KINDS
        for at in range(3)
    ]
    source = write(histogram=rows, ledger=nothing_lost(), agent=agents)
    return latency(source, SPAN, kinds=",".join(KINDS), **options)


def whole(answer: Answer) -> dict[tuple[str, str], bool]:
    return {(one.group, one.kind): one.complete == 1 for one in answer.figures}


def test_agents_that_went_on_leave_nothing_out(write: Write) -> None:
    answer = asked(write, spoke("alpha", 0, 600) + spoke("beta", 0, 600))
    assert (answer.absences.times, set(whole(answer).values())) == ([], {True})


def test_between_two_runs_nobody_traced(write: Write) -> None:
    """A restart, with a good-bye and nothing lost: what rests on that host alone, or too, is not whole."""
    before, after = spoke("beta", 0, 90), spoke("beta", 120, 600, **NEXT)
    before[-1] |= {"final": True, "agent_state": "stopped"}
    answer = asked(write, spoke("alpha", 0, 600) + before + after, by="measure")
    assert answer.absences.times == [Absence("beta", START + 90 * SECOND, START + 120 * SECOND)]
    assert whole(answer) == {("", "delivery"): False, ("", "send-block"): True, ("", "server-turn"): False}


def test_of_minutes_only_those_that_lack_something(write: Write) -> None:
    agents = spoke("alpha", 0, 600) + spoke("beta", 0, 90) + spoke("beta", 120, 600, **NEXT)
    answer = asked(write, agents, by="minute")
    assert [one.complete == 1 for one in answer.figures if one.kind == "delivery"] == [True, False, True]


def test_a_host_that_fell_silent(write: Write) -> None:
    """Until now only the host's next run told of it; the others of its edges went on as if complete."""
    answer = asked(write, spoke("alpha", 0, 600) + spoke("beta", 0, 90))
    assert answer.absences.times == [Absence("beta", START + 90 * SECOND, None)]
    assert not whole(answer)["client@alpha > server@beta:80", "delivery"]


def test_silence_of_all_may_be_the_consumers(write: Write) -> None:
    assert not asked(write, spoke("alpha", 0, 100) + spoke("beta", 0, 90)).absences.times


@pytest.mark.parametrize(("last", "seconds"), [(590, 0), (550, 0), (540, 60), (90, 510)])
def test_a_lake_that_is_behind(write: Write, last: int, seconds: int) -> None:
    """Nobody was heard of since: the newest figures are not of the end of the time asked for."""
    answer = asked(write, spoke("alpha", 0, last))
    assert answer.absences.behind_ns == seconds * SECOND
    assert not answer.absences.times


def test_a_lake_without_standings_is_not_known_to_be_behind(write: Write) -> None:
    assert asked(write, []).absences.behind_ns == 0


def test_a_stopped_agent_traces_nothing(write: Write) -> None:
    beta = spoke("beta", 0, 90) + spoke("beta", 100, 200, agent_state="stopped") + spoke("beta", 210, 600)
    answer = asked(write, spoke("alpha", 0, 600) + beta)
    assert answer.absences.times == [Absence("beta", START + 90 * SECOND, START + 210 * SECOND)]


def test_a_stopped_agent_that_ends_traced_nothing_either(write: Write) -> None:
    """Its good-bye is no sign that it traced until then."""
    beta = spoke("beta", 0, 90) + spoke("beta", 100, 200, agent_state="stopped")
    beta[-1]["final"] = True
    answer = asked(write, spoke("alpha", 0, 600) + beta + spoke("beta", 300, 600, **NEXT))
    assert answer.absences.times == [Absence("beta", START + 90 * SECOND, START + 300 * SECOND)]


def test_two_agents_of_one_host_stand_in_for_one_another(write: Write) -> None:
    beta = spoke("beta", 0, 90) + spoke("beta", 50, 600, **NEXT)
    assert not asked(write, spoke("alpha", 0, 600) + beta).absences.times


@pytest.mark.parametrize("edge", ["alpha -> beta", "nobody"])
def test_only_hosts_of_the_answer(write: Write, edge: str) -> None:
    agents = spoke("alpha", 0, 600) + spoke("beta", 0, 600) + spoke("gamma", 0, 90)
    assert not asked(write, agents, edge=edge).absences.times


def test_explained(write: Write) -> None:
    """The reader of --explain is told, too."""
    source = write(
        histogram=[histogram([5])],
        ledger=nothing_lost(),
        agent=spoke("alpha", 0, 600) + spoke("beta", 0, 90),
    )
    lines = explained(source, SPAN, latency(source, SPAN))
    assert any("without an agent that traced: beta since 2025-10-09T09:01:30Z" in one.text for one in lines)


def test_a_verdict_says_so_too(write: Write) -> None:
    """An agent that is gone makes a minute look calm."""
    rows = [histogram([5] * 20, window_start_ns=START + at * MINUTE) for at in range(10)]
    source = write(histogram=rows, ledger=nothing_lost(), agent=spoke("alpha", 0, 600) + spoke("beta", 0, 90))
    (note, *_) = verdict(source, SPAN, edge="client -> server").notes
    assert note.startswith(
        "hosts without an agent that traced: beta since 2025-10-09T09:01:30Z; what they did"
    )


def test_three_are_named() -> None:
    """Those that are still away first, then the longest."""
    times = [Absence(f"h{at}", START, START + at * MINUTE) for at in range(1, 5)] + [
        Absence("x", START, None)
    ]
    assert told(times) == (
        "x since 2025-10-09T09:00:00Z, h4 for 240s from 2025-10-09T09:00:00Z on, "
        "h3 for 180s from 2025-10-09T09:00:00Z on and 2 more"
    )
