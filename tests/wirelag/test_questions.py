# SPDX-License-Identifier: Apache-2.0
"""What people and programs get to see of bounds, limits, turns, clocks and verdicts."""

import json
from pathlib import Path

import pytest

from support.rows import START, Write, agent, histogram, ledger, match, nothing_lost, rollup, unmatched
from tests.history.test_clocks import reading, solution, untold
from tests.history.test_verdict import story
from wirelag.cli import main

SPAN = ("--from", "2025-10-09T09:00", "--to", "2025-10-09T10:00")
EDGE = "client@alpha > server@beta:80"


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, str]:
    """Run the command and return standard output and standard error."""
    assert main(["query", *arguments]) == 0
    found = capsys.readouterr()
    return found.out, found.err


def head(out: str) -> list[str]:
    return out.splitlines()[0].split()


def test_a_bound_has_a_column_where_clocks_were_corrected(
    write: Write, lake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside what is exact a dash; in JSON null."""
    rows = [histogram([5_000], measure="receive-wait", clock="one_host")]
    write(histogram=rows, rollup=[rollup([38_000], clock_bound_ns=4_200, window_start_ns=START + 60 * 10**9)])
    out, err = ask(capsys, "latency", "--lake", str(lake), *SPAN)
    assert head(out) == ["EDGE", "KIND", "N", "P50", "P90", "P99", "BOUND", "MAX", "COMPLETE", "COVER"]
    delivery, wait = (line.split() for line in out.splitlines()[1:])
    assert (delivery[3], delivery[8]) == ("delivery", "±4.2us")
    assert (wait[3], wait[8]) == ("receive-wait", "-")
    assert err == ""
    told = [
        json.loads(line)
        for line in ask(capsys, "latency", "--lake", str(lake), *SPAN, "--json")[0].splitlines()
    ]
    assert [one["clock_bound_ns"] for one in told] == [4_200, None]


def test_what_was_sampled_has_limits_beside_it(
    write: Write, lake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And how many messages that stands for; where no limits can be given, that is said."""
    parts = [histogram([n] * 100, keep=0.5, topic_partition=n % 16) for n in range(30_000, 30_016)]
    few = [histogram([7], keep=0.5, measure="wire")]
    write(histogram=[*parts, *few], ledger=nothing_lost())
    out, err = ask(capsys, "latency", "--lake", str(lake), *SPAN)
    assert head(out)[2:8] == ["N", "MESSAGES", "P50", "95%", "P90", "95%"]
    line = out.splitlines()[1].split()
    assert line[4:8] == ["1,600", "3,200", "30us", "30us-30us"]
    assert "no limits of 1 lines: too few connections were kept" in err
    row = json.loads(ask(capsys, "latency", "--lake", str(lake), *SPAN, "--json")[0].splitlines()[0])
    assert row["p50_low_ns"] <= row["p50_ns"] <= row["p50_high_ns"]


def test_turns_that_mean_nothing_are_withheld_in_words(
    write: Write, lake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """How many edges, and why."""
    turn = {"measure": "server-turn", "clock": "one_host"}
    rows = [histogram([9] * 30, spoiled=3, edge="x", **turn), histogram([9] * 3, spoiled=0, edge="y", **turn)]
    write(histogram=rows)
    _, err = ask(capsys, "latency", "--lake", str(lake), *SPAN)
    assert (
        "withheld: turns of 2 edges: 1 in which requests and answers overlap, "
        "1 with fewer than 20 exchanges" in err
    )


def test_what_nobody_counted_is_said(write: Write, lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An agent that is gone, and messages whose reads it may have seen, leave figures that look well."""
    agents = [agent("alpha", START + at * 10**10) for at in range(60)] + [agent("beta", START)]
    write(
        histogram=[histogram([1_000], seen=3)],
        ledger=nothing_lost(),
        agent=agents,
        unmatched=[unmatched(1), unmatched(2)],
    )
    _, err = ask(capsys, "latency", "--lake", str(lake), *SPAN)
    behind, away, alone = err.splitlines()
    assert behind.startswith(
        "wirelag: no agent was heard of in the last 3010s of this time: none runs, or the "
    )
    assert away.startswith(
        "wirelag: hosts without an agent that traced: beta since 2025-10-09T09:00:00Z; what"
    )
    assert alone == "wirelag: of 2 messages no read is known (client@alpha > server@beta:80)"


def test_messages_that_lie_unread_are_told(
    write: Write, lake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The application hangs, and figures that are left look well."""
    write(
        histogram=[histogram([1_000], seen=3)], ledger=nothing_lost(), unmatched=[unmatched(1), unmatched(2)]
    )
    _, err = ask(capsys, "latency", "--lake", str(lake), *SPAN)
    assert err.startswith(
        "wirelag: 2 messages arrived and were not read in time (client@alpha > server@beta:80)"
    )


def test_where_little_is_missing_nothing_more_is_read(
    write: Write, lake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of 2,000 messages that was not read is no news."""
    write(histogram=[histogram([1_000] * 1_999, seen=2_000)], ledger=nothing_lost(), unmatched=[unmatched(1)])
    assert not ask(capsys, "latency", "--lake", str(lake), *SPAN)[1]


def test_what_an_answer_rests_on(write: Write, lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Lines for people, and the same with numbers for programs; no figures."""
    write(histogram=[histogram([5_000])], ledger=nothing_lost())
    asked = ("latency", "--lake", str(lake), *SPAN, "--explain")
    out, _ = ask(capsys, *asked)
    assert head(out)[0] == "ABOUT"
    assert any(
        line.startswith("host ") and "alpha: 1,000 events; lost: none" in line for line in out.splitlines()
    )
    told = [json.loads(line) for line in ask(capsys, *asked, "--json")[0].splitlines()]
    assert {"about", "text", "facts"} == set(told[0])
    (alpha,) = (one["facts"] for one in told if one["facts"].get("host") == "alpha")
    assert alpha["attempted"] == 1_000


def test_clocks(write: Write, lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pairs, then hosts; in words what is wrong with some."""
    rows = [
        solution(0),
        untold(1, "infeasible"),
        untold(0, "unsynced", second_host="gamma", second_boot="g1"),
    ]
    write(clock_solution=rows, reading=[reading("alpha", 3), reading("beta", 3, error_ns=900)])
    out, err = ask(capsys, "clocks", "--lake", str(lake), *SPAN)
    lines = [line.split() for line in out.splitlines()]
    assert lines[0][:5] == ["HOST", "AND", "STATUS", "APART", "BOUND"]
    assert lines[1][:7] == ["alpha", "beta", "infeasible", "5.0s", "±200ns", "±300ns", "1.500"]
    assert [line[:3] for line in lines[2:]] == [
        ["alpha", "gamma", "unsynced"],
        ["alpha", "-", "free"],
        ["beta", "-", "disciplined"],
    ]
    assert "alpha and beta: messages contradict one another" in err
    assert "alpha and gamma: too few messages both ways" in err
    row = json.loads(ask(capsys, "clocks", "--lake", str(lake), *SPAN, "--json")[0].splitlines()[0])
    assert (row["offset_ns"], row["bound_ns"], row["skew_ppm"]) == (5_000_000_000, 200, 1.5)


def test_clocks_that_are_known_most_of_the_time(
    write: Write, lake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Are not called unknown for a minute in which they are not."""
    write(clock_solution=[solution(0), solution(1), untold(2, "unsynced")])
    _, err = ask(capsys, "clocks", "--lake", str(lake), *SPAN)
    assert err == (
        "wirelag: alpha and beta: too few messages both ways in 1 of their minutes; "
        "delivery and wire of these are withheld\n"
    )


def test_network_or_application(write: Write, lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The verdict first, then figures before and after; as JSON the same in objects, as CSV the figures."""
    slow = {("there", "server-turn"): 3e6, ("there", "client-turn"): 3e6}
    write(histogram=story(slow), ledger=nothing_lost())
    asked = ("explain", "--lake", str(lake), "--from", "2025-10-09T09:40", "--to", "2025-10-09T10:20")
    edge = ("--edge", "client@alpha > server@beta")
    out, _ = ask(capsys, *asked, *edge)
    verdict, heading, *lines = out.splitlines()
    assert verdict.startswith("application: the server's turn (request read to response written) rose from ")
    assert verdict.endswith("at 2025-10-09T09:55:00Z, which is 100 % of how response time changed")
    assert heading.split()[:4] == ["WAY", "KIND", "BEFORE", "N"]
    assert any(line.split()[:2] == ["there", "server-turn"] and "09:55:00" in line for line in lines)
    first, *rest = (json.loads(line) for line in ask(capsys, *asked, *edge, "--json")[0].splitlines())
    assert (first["verdict"], first["kind"], first["since_ns"]) == (
        "application", "server-turn", START + 55 * 60 * 10**9,
    )  # fmt: skip
    assert {"before_p50_ns", "after_p50_ns", "clock_bound_ns", "before_complete"} <= set(rest[0])
    out, err = ask(capsys, *asked, *edge, "--csv")
    assert out.startswith("way,kind,changed_ns,")
    assert verdict in err


@pytest.mark.parametrize(
    ("question", "asked", "told"),
    [
        ("latency", ("--edge", "nobody", "--host", "gone"), "--edge 'nobody' --host 'gone'"),
        ("messages", ("--edge", "nobody"), "--edge 'nobody'"),
        ("connections", ("--port", "81"), "--port 81"),
        ("connects", ("--edge", "nobody"), "--edge 'nobody'"),
        ("retransmits", ("--host", "gone"), "--host 'gone'"),
        ("losses", ("--host", "gone"), "--host 'gone'"),
        ("losses", ("--host", "gone", "--by", "minute"), "--host 'gone'"),
        ("hosts", ("--host", "gone", "--silent"), "--host 'gone' --silent"),
        ("clocks", ("--host", "gone"), "--host 'gone'"),
    ],
)
def test_no_rows_of_what_was_asked_for(
    write: Write,
    lake: Path,
    capsys: pytest.CaptureFixture[str],
    question: str,
    asked: tuple[str, ...],
    told: str,
) -> None:
    """The line names the options that may have left all out."""
    write(ledger=[ledger("alpha", "kernel", "attempted", 1)], match=[match(1)], histogram=[histogram([1])])
    _, err = ask(capsys, question, "--lake", str(lake), *SPAN, *asked)
    assert err.startswith(f"wirelag: no {question} in this time of {told} (there may be some without): ")


def test_messages_between_clocks_are_not_passed_over_in_silence(
    write: Write, lake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(match=[match(n, clock="unsynced") for n in range(3)])
    _, err = ask(capsys, "messages", "--lake", str(lake), *SPAN)
    assert "between hosts of different clocks are told with --slowest (corrected, some) or --unsynced" in err
