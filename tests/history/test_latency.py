# SPDX-License-Identifier: Apache-2.0
"""Percentiles of additive histogram parts: however they are cut and stored, the figures are the same."""

from typing import Any

import numpy as np
import pytest

from history.errors import QuestionError
from history.latency import latency
from history.losses import losses
from history.span import Span
from schemas.histogram import RELATIVE_ERROR
from support.rows import HOUR_NS, START, Write, histogram, ledger, match, nothing_lost

MINUTE = 60 * 10**9
MESSAGES = "delivery,wire,receive-wait,send-block"
SPAN = Span(START, START + 10 * MINUTE)
ERROR = RELATIVE_ERROR + 1e-9


def test_percentiles_are_within_a_bucket(write: Write) -> None:
    """Every percentile is within the buckets' error of the exact one; least and greatest are exact."""
    values = np.random.default_rng(7).lognormal(12, 1, 5000).astype(int).tolist()
    (figure,) = latency(write(histogram=[histogram(values)], ledger=nothing_lost()), SPAN).figures
    for found, q in ((figure.p50_ns, 0.5), (figure.p90_ns, 0.9), (figure.p99_ns, 0.99)):
        exact = sorted(values)[int(np.ceil(q * len(values))) - 1]
        assert found == pytest.approx(exact, rel=ERROR)
    assert (figure.n, figure.min_ns, figure.max_ns) == (5000, min(values), max(values))
    assert figure.mean_ns == sum(values) // 5000


def test_parts_add_up_whatever_the_cut(write: Write) -> None:
    """Many parts over commits, windows, ticks and scales answer as one part does."""
    values = list(range(1000, 300_000, 777))
    whole = latency(write(histogram=[histogram(values)]), SPAN).figures
    parts = [
        histogram(values[at::7], window_start_ns=START + at * MINUTE, tick=at, edge="cut") for at in range(7)
    ]
    write(histogram=parts[4:])
    source = write(histogram=parts[:4])
    (found,) = latency(source, SPAN, edge="cut").figures
    assert found == whole[0]._replace(group="cut")


def test_parts_of_another_scale_are_merged_at_the_lower_one(write: Write) -> None:
    """A part with coarser buckets is added at its own precision, exactly as if all had it."""
    values = [1_000, 2_000, 4_000, 50_000]
    fine = histogram(values)
    buckets = sorted({bucket >> 2 for bucket in fine["buckets"]})
    coarse = fine | {"scale": 3, "buckets": buckets, "counts": [1] * 4}
    (figure,) = latency(write(histogram=[fine, coarse]), SPAN).figures
    assert figure.n == 8
    assert figure.p50_ns == pytest.approx(2_000, rel=0.05)
    assert figure.p99_ns == 50_000


def test_zeros_and_negatives_count(write: Write) -> None:
    """Zeros and negatives have no bucket and yet their place in the order."""
    (figure,) = latency(write(histogram=[histogram([-5, 0, 0, 0, 10])]), SPAN).figures
    assert (figure.p50_ns, figure.min_ns, figure.max_ns, figure.negative) == (0, -5, 10, 1)


def test_edge_without_a_single_latency_is_shown(write: Write) -> None:
    """Messages that closed without a value are a line with n = 0 and no figures, complete 0 %."""
    row = histogram([], seen=9)
    (figure,) = latency(write(histogram=[row], ledger=nothing_lost()), SPAN).figures
    assert figure[2:10] == (0, 9, None, None, None, None, None, None)
    assert figure.complete == 0


def test_groups(write: Write) -> None:
    """The same messages by edge, host, minute or all in one."""
    rows = [
        histogram([100]),
        histogram([200], measure="send-block"),
        histogram([300], edge="x@beta > y@alpha:1", sender_host="beta", receiver_host="alpha"),
        histogram([400], window_start_ns=START + MINUTE, measure="receive-wait"),
    ]
    source = write(histogram=rows)

    def groups(by: str) -> list[tuple[str, str, int]]:
        return [(one.group, one.kind, one.n) for one in latency(source, SPAN, by=by, kinds=MESSAGES).figures]

    edge = "client@alpha > server@beta:80"
    assert groups("edge") == [
        (edge, "delivery", 1),
        (edge, "receive-wait", 1),
        (edge, "send-block", 1),
        ("x@beta > y@alpha:1", "delivery", 1),
    ]
    assert groups("host") == [
        ("alpha", "send-block", 1),
        ("alpha > beta", "delivery", 1),
        ("beta", "receive-wait", 1),
        ("beta > alpha", "delivery", 1),
    ]
    assert groups("measure") == [("", "delivery", 2), ("", "receive-wait", 1), ("", "send-block", 1)]
    assert groups("minute") == [
        ("2025-10-09T09:00:00Z", "delivery", 2),
        ("2025-10-09T09:00:00Z", "send-block", 1),
        ("2025-10-09T09:01:00Z", "receive-wait", 1),
    ]


def test_filters(write: Write) -> None:
    """A part of the edge's text, a host at either end, and kinds in the order asked."""
    rows = [
        histogram([1]),
        histogram([2], measure="wire"),
        histogram([3], edge="100%_x > y", sender_host="gamma", receiver_host="delta"),
    ]
    source = write(histogram=rows)

    def found(**asked: str) -> list[tuple[str, str]]:
        return [(one.group[:6], one.kind) for one in latency(source, SPAN, **asked).figures]

    assert found(edge="CLIENT@") == [("client", "delivery"), ("client", "wire")]
    assert found(kinds="wire,delivery", edge="server") == [("client", "wire"), ("client", "delivery")]
    assert found(host="delta") == found(host="gamma") == found(edge="%_X") == [("100%_x", "delivery")]
    assert found(edge="' OR 1=1 --") == found(host="alph") == found(edge="clie%") == []


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"by": "pod"}, "--by: found 'pod'; allowed is one of edge, host, measure, minute"),
        ({"kinds": "delivery,ping"}, "--kind: found 'ping'; allowed are delivery, wire"),
        ({"kinds": ","}, "--kind: found ','"),
    ],
)
def test_questions_that_cannot_be_asked(write: Write, asked: dict[str, str], message: str) -> None:
    """Other groups and kinds are refused with what is allowed."""
    with pytest.raises(QuestionError, match=message):
        latency(write(ledger=nothing_lost()), SPAN, **asked)


def test_only_windows_that_start_in_the_span(write: Write) -> None:
    """A span takes the windows from the minute of its beginning on, up to but without its end."""
    starts = [START - MINUTE, START, START + MINUTE, START + 2 * MINUTE]
    source = write(histogram=[histogram([1], window_start_ns=at) for at in starts])
    (figure,) = latency(source, Span(START + 30 * 10**9, START + 2 * MINUTE)).figures
    assert figure.n == 2


def complete(write: Write, row: dict[str, Any], rows: list[dict[str, Any]]) -> float | None:
    (figure,) = latency(write(histogram=[row], ledger=rows), SPAN).figures
    return figure.complete


def test_complete_is_one_only_where_nothing_is_missing(write: Write) -> None:
    """All messages have a latency and the sending host lost nothing: 1, exactly."""
    assert complete(write, histogram([1, 2, 3]), nothing_lost()) == 1


def test_one_event_in_a_quadrillion_is_not_nothing(write: Write) -> None:
    """A loss too small for a float still keeps the answer below 1."""
    lost = [ledger("alpha", "kernel", "attempted", 10**18), ledger("alpha", "perf-buffer", "full", 1)]
    lost += [ledger("alpha", "consumer", "stored", 10**18 - 1)]
    found = complete(write, histogram([1]), lost)
    assert found is not None
    assert 0.999 < found < 1


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([("kernel", "nested", 100)], 0.9),
        ([("kernel", "nested", 100), ("perf-buffer", "full", 100)], 0.8),
        ([("queue", "full", 100), ("consumer", "gap", 100)], 0.9),
        ([("queue", "full", 100), ("consumer", "gap", 150), ("consumer", "gap", -50)], 0.9),
        ([("consumer", "gap", 300), ("consumer", "gap", -300)], 1.0),
        ([("consumer", "duplicate", 500)], 1.0),
        ([("consumer", "earlier", 500)], 1.0),
        ([("agent", "invented-later", 250)], 0.75),
        ([("kernel", "nested", 5000)], 0.0),
    ],
)
def test_losses_of_the_sending_host(
    write: Write, losses: list[tuple[str, str, int]], expected: float
) -> None:
    """A loss that agent and consumer both saw counts once, one that was made good not at all."""
    rows = [*nothing_lost(), *(ledger("alpha", *what) for what in losses)]
    assert complete(write, histogram([1, 2]), rows) == pytest.approx(expected)


LATER = START + MINUTE
RESTARTED = [
    ledger("alpha", *what, 1000, LATER, LATER) for what in (("kernel", "attempted"), ("consumer", "stored"))
]


@pytest.mark.parametrize(
    ("stored", "restarted", "told_at_ns", "expected"),
    [
        (400, [], START, 0.4),
        (400, RESTARTED, START, 0.7),
        (400, RESTARTED, LATER, 0.7),
        (400, RESTARTED, SPAN.to_ns - 1, 1),
        (400, [], SPAN.to_ns - 1, 1),
        (1000, RESTARTED, START, 1),
    ],
    ids=[
        "silent",
        "started anew",
        "started anew at once",
        "another beside it",
        "still speaking",
        "all there",
    ],
)
def test_what_a_killed_agent_took_with_it_is_missing(
    write: Write, stored: int, restarted: list[dict[str, Any]], told_at_ns: int, expected: float
) -> None:
    """Events that a run attempted and nothing accounts for are lost, once no more can come of that run."""
    rows = [
        ledger("alpha", "kernel", "attempted", 1000, told_at_ns),
        ledger("alpha", "kafka", "delivered", stored, told_at_ns),
        ledger("alpha", "consumer", "stored", stored, told_at_ns),
        *restarted,
    ]
    source = write(histogram=[histogram([1, 2])], ledger=rows)
    (figure,) = latency(source, SPAN).figures
    assert figure.complete == pytest.approx(expected)
    told = {one["reason"]: one["events"] for one in losses(source, SPAN)}
    assert told.get("unaccounted", 0) == (1000 - stored if expected < 1 else 0)


def test_an_agent_that_said_no_good_bye_keeps_the_answer_below_whole(write: Write) -> None:
    """What it saw after its last heartbeat nobody knows; where it speaks again, nothing is said."""
    rows = [*nothing_lost(), ledger("alpha", "agent", "unreported", 0), *RESTARTED]
    source = write(histogram=[histogram([1, 2])], ledger=rows)
    answer = latency(source, SPAN)
    assert (answer.figures[0].complete, answer.unended) == (pytest.approx(1), 1)
    assert (answer.figures[0].complete or 1) < 1
    told = [row for row in losses(source, SPAN) if row["stage"] == "agent"]
    assert told == [{"host": "alpha", "stage": "agent", "reason": "unknown", "events": None}]
    source = write(ledger=[ledger("alpha", "kernel", "attempted", 1, LATER)])
    source = write(ledger=[ledger("alpha", "consumer", "stored", 1, LATER)])
    answer = latency(source, SPAN)
    assert (answer.figures[0].complete, answer.unended) == (1, 0)
    assert [row["reason"] for row in losses(source, SPAN, host="alpha")] == [
        "stored",
        "delivered",
        "attempted",
    ]


@pytest.mark.parametrize(("before", "expected"), [(100, 1), (0, 0.9)])
def test_a_run_older_than_the_span_is_judged_by_its_whole_ledger(
    write: Write, before: int, expected: float
) -> None:
    """What it attempted in the span may have been stored before it; where that is not so, it is missing."""
    rows = [
        ledger("alpha", "kernel", "attempted", 1000, epoch=START - HOUR_NS),
        ledger("alpha", "consumer", "stored", 900, epoch=START - HOUR_NS),
        ledger("alpha", "consumer", "stored", before, at_ns=START - 1, epoch=START - HOUR_NS),
    ]
    assert complete(write, histogram([1]), rows) == expected


def test_what_the_receiving_host_lost_is_seen_without_a_latency(write: Write) -> None:
    """A receive that was lost leaves its message without a latency, so its ledger is not counted again."""
    rows = [*nothing_lost(), ledger("beta", "kernel", "nested", 250)]
    assert complete(write, histogram([1, 2, 3], seen=4), rows) == 0.75


def test_host_without_a_ledger_is_not_known_to_be_complete(write: Write) -> None:
    """Where the sending host did not report in the span, nothing is claimed."""
    late = [ledger("alpha", "kernel", "attempted", 5, at_ns=SPAN.to_ns)]
    assert complete(write, histogram([1]), late) is None


def test_messages_without_a_common_clock_are_counted_as_withheld(write: Write) -> None:
    """Matches of unrelated clocks have no one-way latency; the answer says how many they are."""
    rows = [match(number, clock="unsynced", last_piece=number % 2 == 0) for number in range(10)]
    source = write(match=[*rows, match(11)], histogram=[histogram([1], measure="send-block")])
    assert latency(source, SPAN).withheld == 5
    assert latency(source, SPAN, kinds="send-block").withheld == 0
    assert latency(source, SPAN, edge="nobody").withheld == 0
    assert latency(source, Span(START, START + 4001)).withheld == 3


def test_empty_lake(write: Write) -> None:
    """A lake without a single histogram has no figures and no error."""
    assert latency(write(ledger=nothing_lost()), SPAN).figures == []
