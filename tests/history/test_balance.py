# SPDX-License-Identifier: Apache-2.0
"""The loss equation of each host and minute, and the agents behind it."""

from typing import Any

import pytest

from history.balance import balance
from history.completeness import whole
from history.errors import QuestionError
from history.hosts import HostRow, hosts
from history.latency import latency
from history.losses import losses
from history.span import Span
from support.rows import HOUR_NS, START, Write, agent, histogram, ledger

SECOND, MINUTE = 10**9, 60 * 10**9
SPAN = Span(START, START + 10 * MINUTE)
Rows = list[dict[str, Any]]


def run(host: str, at_ns: int, attempted: int, stored: int, epoch: int = START, **lost: int) -> Rows:
    """Ledger rows of one moment; losses as ``stage__reason=events``."""
    rows = [ledger(host, "kernel", "attempted", attempted, at_ns, epoch)]
    rows += [ledger(host, "consumer", "stored", stored, at_ns, epoch)]
    names = {name: name.replace("_", "-").split("--") for name in lost}
    return rows + [ledger(host, *names[name], events, at_ns, epoch) for name, events in lost.items()]


def holds(row: dict[str, Any]) -> bool:
    """Whether the equation holds."""
    names = ("sampled", "earlier", "stored", "lost", "unaccounted", "in_flight")
    return row["attempted"] == sum(row[name] for name in names) - row["ahead"]


def by_host(write: Write, rows: Rows, agents: Rows = [], span: Span = SPAN) -> dict[str, dict[str, Any]]:  # noqa: B006
    found = balance(write(ledger=rows, agent=agents), span)
    assert all(map(holds, found))
    return {row["host"]: row for row in found}


def test_what_a_speaking_run_has_not_delivered_is_in_flight(write: Write) -> None:
    """Not lost: the share stays whole; where it is told later than stored, it is ahead."""
    end = SPAN.to_ns - SECOND
    found = by_host(write, run("alpha", end, 100, 90) + run("beta", end, 90, 100))
    assert (found["alpha"]["in_flight"], found["alpha"]["unaccounted"], found["alpha"]["complete"]) == (
        10,
        0,
        1,
    )
    assert (found["beta"]["in_flight"], found["beta"]["ahead"]) == (0, 10)


def test_what_a_run_that_ended_did_not_account_for_is_the_balance(write: Write) -> None:
    """Silent, or followed by another."""
    later = START + MINUTE
    rows = run("alpha", START, 100, 90) + run("alpha", later, 50, 50, epoch=later)
    found = by_host(write, rows + run("beta", START, 100, 80, kernel__nested=15))
    assert [found[name]["unaccounted"] for name in ("alpha", "beta")] == [10, 5]
    assert [found[name]["complete"] for name in ("alpha", "beta")] == [140 / 150, 0.8]


def test_what_waits_on_the_disk_of_a_host_is_in_flight(write: Write) -> None:
    """Its last words told of records in the spool, so it may come yet; once they are gone, it is missing."""
    rows = run("alpha", START, 100, 60) + run("beta", START, 100, 60)
    waits = agent("alpha", START, spool_records=3)
    drained = [agent("beta", START, spool_records=3), agent("beta", START + SECOND)]
    found = by_host(write, rows, [waits, *drained])
    assert {name: (row["in_flight"], row["unaccounted"]) for name, row in found.items()} == {
        "alpha": (40, 0),
        "beta": (0, 40),
    }
    told = [row["host"] for row in losses(write(), SPAN) if row["reason"] == "unaccounted"]
    assert told == ["beta"]


def test_what_a_later_run_lost_of_it_accounts_for_a_run(write: Write) -> None:
    """Told hours later, under the run that packed it, and with the gap that the consumer saw counted once."""
    told = START + 2 * HOUR_NS
    rows = run("alpha", START, 100, 70, consumer__gap=30)
    rows += [ledger("alpha", "left-in-spool", "quota", 30, told), *run("alpha", told, 5, 5, epoch=told - 1)]
    found = by_host(write, rows)
    assert (found["alpha"]["lost"], found["alpha"]["unaccounted"]) == (30, 0)
    rows = [ledger("gamma", "left-in-spool", "quota", 30, told), *run("gamma", START, 100, 70)]
    assert by_host(write, rows + run("gamma", told, 5, 5, epoch=told - 1))["gamma"]["unaccounted"] == 0


@pytest.mark.parametrize("cut", [SECOND, 90 * SECOND, 5 * MINUTE])
def test_a_span_may_cut_a_run_anywhere(write: Write, cut: int) -> None:
    """Nothing is called lost for being stored in another span; parts add up to the whole."""
    rows = [row for n in range(20) for row in run("alpha", START + n * 30 * SECOND, 10, 10)]
    rows += run("alpha", SPAN.to_ns + SECOND, 10, 10)
    source = write(ledger=rows)
    parts = [balance(source, Span(START, START + cut)), balance(source, Span(START + cut, SPAN.to_ns))]
    both = [row for part in parts for row in part]
    (all_of_it,) = balance(source, SPAN)
    for name in ("attempted", "stored", "lost", "unaccounted", "in_flight"):
        assert sum(row[name] for row in both) == all_of_it[name], name
    assert (all_of_it["attempted"], all_of_it["unaccounted"]) == (200, 0)


def test_minutes_add_up_and_carry_what_is_open(write: Write) -> None:
    """A record that waits two minutes is in flight for as long; a hole that is filled is no loss after."""
    rows = run("alpha", START, 100, 90) + run("alpha", START + MINUTE, 100, 90, consumer__gap=10)
    rows += run("alpha", START + 2 * MINUTE, 0, 20, consumer__gap=-10)
    rows += (
        run("alpha", SPAN.to_ns - SECOND, 1, 1) + run("beta", START, 7, 7) + run("beta", SPAN.to_ns - 1, 1, 1)
    )
    source = write(ledger=rows)
    found = [row for row in balance(source, SPAN, by="minute") if row["host"] == "alpha"]
    assert [row["minute"][11:16] for row in found] == ["09:00", "09:01", "09:02", "09:09"]
    assert [(row["attempted"], row["lost"], row["in_flight"]) for row in found] == [
        (100, 0, 10),
        (100, 10, 10),
        (0, -10, 0),
        (1, 0, 0),
    ]
    (hour,) = balance(source, SPAN, by="hour", host="alpha")
    (whole_of_it,) = balance(source, SPAN, host="alpha")
    assert hour == {"hour": "2025-10-09T09:00:00Z"} | whole_of_it
    assert sum(row["stored"] for row in found) == whole_of_it["stored"] == 201
    with pytest.raises(QuestionError, match="found 'day'; allowed is one of reason, host, minute, hour"):
        balance(source, SPAN, by="day")


def test_losses_of_two_stages_count_once_in_whichever_minute(write: Write) -> None:
    """The agent told of the loss first, the consumer saw the gap a minute later: one loss, in the first."""
    rows = run("alpha", START, 100, 90, spool__quota=10) + run(
        "alpha", START + MINUTE, 10, 10, consumer__gap=10
    )
    rows += run("alpha", SPAN.to_ns - SECOND, 1, 1)
    found = balance(write(ledger=rows), SPAN, by="minute")
    assert [row["lost"] for row in found] == [10, 0, 0]


def test_duplicates_sampled_and_earlier_are_no_losses(write: Write) -> None:
    """They are told, and the equation holds with them."""
    rows = run(
        "alpha", SPAN.to_ns - 1, 100, 60, kernel__sampled=30, consumer__earlier=10, consumer__duplicate=500
    )
    row = by_host(write, rows)["alpha"]
    assert (row["sampled"], row["earlier"], row["duplicates"], row["lost"], row["complete"]) == (
        30,
        10,
        500,
        0,
        1,
    )


def test_only_runs_that_ended_in_the_span_widen_what_is_read(write: Write) -> None:
    """A run that goes on, however old, costs no more than the span."""
    old = START - 9 * HOUR_NS
    rows = run("alpha", START, 5, 5, epoch=old) + run("alpha", SPAN.to_ns + SECOND, 5, 5, epoch=old)
    source = write(ledger=rows)
    assert whole(source, SPAN).since_ns == SPAN.from_ns
    assert whole(source, Span(START, SPAN.to_ns + HOUR_NS)).since_ns == old


def host_rows(write: Write, agents: Rows, rows: Rows = [], **asked: Any) -> list[HostRow]:  # noqa: B006
    return hosts(write(agent=agents, ledger=rows), SPAN, **asked).rows


def test_who_is_silent_gone_stopped_or_tracing(write: Write) -> None:
    """Against the newest heartbeat of all, so a consumer that is behind makes nobody silent."""
    newest = START + 5 * MINUTE
    agents = [
        agent("here", newest),
        agent("quiet", newest - 30 * SECOND),
        agent("dead", newest - 31 * SECOND),
        agent("left", newest - MINUTE, final=True),
        agent("held", newest, agent_state="stopped", why="order of ada"),
        agent("here", START),
    ]
    found = {one.host: one for one in host_rows(write, agents)}
    assert {name: one.state for name, one in found.items()} == {
        "dead": "silent",
        "left": "gone",
        "held": "stopped",
        "here": "tracing",
        "quiet": "tracing",
    }
    assert found["held"].why == "order of ada"
    assert found["here"].age_ns == 5 * MINUTE
    answer = hosts(write(), SPAN)
    assert answer.behind_ns == 5 * MINUTE
    assert [one.host for one in hosts(write(), SPAN, silent=True).rows] == ["dead"]
    assert [one.host for one in hosts(write(), SPAN, host="held").rows] == ["held"]


def test_of_several_runs_of_a_host_those_that_speak_are_shown(write: Write) -> None:
    """An agent that was started anew hides the one before it, one beside it does not."""
    newest = START + 5 * MINUTE
    again = [agent("alpha", START), agent("alpha", newest, epoch=START + MINUTE, agent_version="1.1")]
    beside = [agent("beta", newest - SECOND), agent("beta", newest, epoch=START + 1)]
    found = [(one.host, one.epoch, one.agent) for one in host_rows(write, again + beside)]
    assert found == [("alpha", START + MINUTE, "1.1"), ("beta", START, "1.0"), ("beta", START + 1, "1.0")]


def test_figures_are_of_the_span(write: Write) -> None:
    """Events a second from when the host was first heard of; what is lost as everywhere else."""
    agents = [
        agent("alpha", START + MINUTE),
        agent("alpha", START + 2 * MINUTE),
        agent("beta", START + 2 * MINUTE),
    ]
    rows = run("alpha", START + 2 * MINUTE, 600, 590, perf_buffer__full=10) + run(
        "gamma", START + 9 * MINUTE, 6, 6
    )
    found = {one.host: one for one in host_rows(write, agents, rows)}
    assert (found["alpha"].events_per_second, found["alpha"].lost, found["alpha"].complete) == (
        10,
        10,
        590 / 600,
    )
    assert (found["beta"].events_per_second, found["beta"].lost, found["beta"].complete) == (0, 0, None)
    assert (found["gamma"].state, found["gamma"].lost, found["gamma"].complete) == (None, 0, 1)
    assert [one.host for one in hosts(write(), SPAN, lossy=True).rows] == ["alpha"]


def test_a_wrong_clock_is_told(write: Write) -> None:
    """What the host says of the time, minus what the broker says."""
    (one,) = host_rows(write, [agent("alpha", START, at_ns=START + HOUR_NS)])
    assert one.clock_ns == HOUR_NS


def test_an_answer_whose_records_wait_on_a_disk_is_not_whole(write: Write) -> None:
    """No loss, so below 100 % by nothing; not where all that waits is younger than the time asked for."""
    end = SPAN.to_ns + MINUTE
    waits = agent("alpha", end, spool_records=3, spool_oldest_ns=2 * MINUTE)
    source = write(histogram=[histogram([1, 2])], ledger=run("alpha", SPAN.to_ns - 1, 9, 9), agent=[waits])
    answer = latency(source, SPAN)
    assert answer.waiting == 1
    assert answer.figures[0].complete == 1 - 2**-53
    source = write(agent=[waits | {"heard_ns": end + 1, "spool_oldest_ns": MINUTE // 2}])
    assert (latency(source, SPAN).waiting, latency(source, SPAN).figures[0].complete) == (0, 1)
