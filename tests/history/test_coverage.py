# SPDX-License-Identifier: Apache-2.0
"""COVER compares events with the kernel's own count of bytes, of connections that closed in the span."""

from typing import Any

import pytest

from history.coverage import Missed
from history.latency import Answer, Latency, latency
from history.span import Span
from schemas.batch import Mark
from schemas.event import Flag
from support.rows import START, Write, close, histogram, nothing_lost, peer_close

OPEN = int(Flag.OPEN)
MINUTE = 60 * 10**9
SPAN = Span(START, START + 10 * MINUTE)
EDGE, BACK = "client@alpha > server@beta:80", "server@beta:80 > client@alpha"
REVERSE = {"edge": BACK, "sender_host": "beta", "receiver_host": "alpha"}
KINDS = ("delivery", "receive-wait", "send-block")


def asked(write: Write, closes: list[dict[str, Any]], **options: Any) -> Answer:
    """Ask about both directions of one pair of hosts, with these accounts."""
    rows = [histogram([5], measure=kind, **way) for kind in KINDS for way in ({}, REVERSE)]
    source = write(histogram=rows, ledger=nothing_lost(), close=closes)
    return latency(source, SPAN, kinds=",".join(KINDS), **options)


def cover(answer: Answer) -> dict[tuple[str, str], float | None]:
    return {(one.group, one.kind): one.cover for one in answer.figures}


def test_without_a_close_nothing_is_known(write: Write) -> None:
    """No connection closed in the span: null, not 100 %."""
    late = close(1, at_ns=SPAN.to_ns)
    answer = asked(write, [late])
    assert set(cover(answer).values()) == {None}
    assert answer.missed == Missed({}, 0, 0)


def test_each_kind_counts_the_side_it_rests_on(write: Write) -> None:
    """Send-block: sent bytes; receive-wait: those taken; delivery: both; to the way that they went."""
    answer = asked(write, [close(1, missing_sent=100), peer_close(1, missing_received=500, audit="partial")])
    assert cover(answer) == {
        (EDGE, "send-block"): 0.9,
        (EDGE, "receive-wait"): 0.5,
        (EDGE, "delivery"): 0.7,
        (BACK, "send-block"): 1,
        (BACK, "receive-wait"): 1,
        (BACK, "delivery"): 1,
    }


def test_numbers_behind_the_share(write: Write) -> None:
    """Connections are counted once, however many ends tell of them."""
    closes = [close(1), peer_close(1), close(2, audit="partial", missing_sent=10)]
    figure = next(one for one in asked(write, closes).figures if one[:2] == (EDGE, "delivery"))
    assert _numbers(figure) == (2, 3_000, 2_990, 0, 1)


def _numbers(figure: Latency) -> tuple[int, ...]:
    return figure.closed, figure.moved_bytes, figure.covered_bytes, figure.blind, figure.partial


def test_bytes_that_the_application_never_took_are_not_missing(write: Write) -> None:
    """What is left unread in the kernel was not received by anybody."""
    answer = asked(write, [peer_close(1, unread_bytes=400, missing_received=60)])
    assert cover(answer)[EDGE, "receive-wait"] == 0.9


def test_blind_connections_count_with_all_their_bytes(write: Write) -> None:
    """And the answer says why nothing of them is there, a connection under one reason."""
    both = {"audit": "blind", "marks": int(Mark.ULP | Mark.OLDER)}
    closes = [close(1, **both), peer_close(1, **both), close(2), close(3, audit="blind", marks=4)]
    closes += [close(4, audit="blind"), close(5, audit="partial", missing_sent=7, missing_received=1)]
    answer = asked(write, closes)
    assert cover(answer)[EDGE, "send-block"] == pytest.approx(1_993 / 5_000)
    assert answer.missed == Missed(
        {"not told why": 1, "multipath TCP": 1, "kernel TLS or another upper layer": 1}, 1, 8
    )


def test_sampled_connections_are_no_part_of_it(write: Write) -> None:
    """Their bytes cannot be compared; where no others closed nothing is known."""
    sampled = close(1, audit="sampled", missing_sent=1_000)
    assert set(cover(asked(write, [sampled])).values()) == {None}
    assert cover(asked(write, [close(2)]))[EDGE, "send-block"] == 1


def test_one_byte_of_a_petabyte_is_not_nothing(write: Write) -> None:
    """100 % is said only where every byte is in an event."""
    answer = asked(write, [close(1, sent_bytes=10**15, missing_sent=1)])
    assert 0.999 < (cover(answer)[EDGE, "send-block"] or 0) < 1


def test_of_two_accounts_of_one_end_the_fuller_counts(write: Write) -> None:
    """Two agents on one host tell of the same connection."""
    closes = [close(1, missing_sent=800, tick=1), close(1, missing_sent=100, tick=2)]
    answer = asked(write, closes)
    assert cover(answer)[EDGE, "send-block"] == 0.9
    assert next(iter(answer.figures)).closed == 1


def test_the_last_account_of_an_end_counts(write: Write) -> None:
    """Totals go on from account to account; one after the span is none of it."""
    going = [close(1, flags=OPEN, sent_bytes=size, at_ns=START + size) for size in (100, 300, 200)]
    answer = asked(write, [*going, close(1, sent_bytes=9_999, at_ns=SPAN.to_ns)])
    figure = next(one for one in answer.figures if one[:2] == (EDGE, "send-block"))
    assert _numbers(figure) == (1, 300, 300, 0, 0)
    answer = asked(write, [close(1, sent_bytes=400, missing_sent=40)])
    assert cover(answer)[EDGE, "send-block"] == 0.9


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        (
            "host",
            {
                ("alpha", "send-block"): 0.9,
                ("beta", "receive-wait"): 0.5,
                ("alpha > beta", "delivery"): 0.7,
                ("alpha", "receive-wait"): 1,
                ("beta", "send-block"): 1,
                ("beta > alpha", "delivery"): 1,
            },
        ),
        ("measure", {("", "send-block"): 1_400 / 1_500, ("", "receive-wait"): 2 / 3, ("", "delivery"): 0.8}),
        (
            "minute",
            {
                ("2025-10-09T09:00:00Z", "send-block"): 1_400 / 1_500,
                ("2025-10-09T09:00:00Z", "receive-wait"): 2 / 3,
                ("2025-10-09T09:00:00Z", "delivery"): 0.8,
            },
        ),
    ],
)
def test_groups(write: Write, by: str, groups: dict[tuple[str, str], float]) -> None:
    """As the figures are grouped, a minute by the moment of the close."""
    closes = [close(1, missing_sent=100), peer_close(1, missing_received=500)]
    assert cover(asked(write, closes, by=by)) == pytest.approx(groups)


def test_an_end_without_its_peers_account_knows_the_way_back(write: Write) -> None:
    """By the name of its own edge; where that has more than one way to be read, it does not."""
    assert cover(asked(write, [close(1)]))[BACK, "receive-wait"] == 1
    odd = close(2, edge="a > b@alpha > server@beta:80", missing_received=500)
    answer = asked(write, [odd])
    assert cover(answer)[BACK, "receive-wait"] == 1


def test_filters(write: Write) -> None:
    """Edge and host choose accounts as they choose messages."""
    closes = [close(1, audit="blind"), peer_close(1), close(2, edge="x@gamma > y", host="gamma")]
    assert asked(write, closes, edge="x@gamma").missed.blind == {}
    assert asked(write, [], edge="CLIENT@alpha > s").missed.blind == {"not told why": 1}
    assert asked(write, [], host="gamma").missed.blind == {}
