# SPDX-License-Identifier: Apache-2.0
"""What closed without its other end is told by why: nobody read it, or nobody knows who sent it."""

from typing import Any

import pytest

from history.explain import explained
from history.latency import latency
from history.span import Span
from history.unmatched import Unmatched, told, unmatched
from support.rows import START, Write, histogram, ledger, nothing_lost
from support.rows import unmatched as row

SPAN = Span(START, START + 60 * 10**9)
EDGE, BACK = "client@alpha > server@beta:80", "server@beta:80 > client@alpha"
READ = {"side": "receive", "host": "beta", "peer_host": "alpha", "reason": "unknown", "flags": 0}


def test_messages_are_counted_by_their_last_piece(write: Write) -> None:
    """A call in two pieces is one message."""
    source = write(unmatched=[row(1, flags=2), row(2, flags=1), row(3), row(4, reason="unknown")])
    assert unmatched(source, SPAN) == [Unmatched(EDGE, "unread", 2, 0), Unmatched(EDGE, "unknown", 1, 0)]


def test_reads_are_counted_by_their_bytes(write: Write) -> None:
    source = write(unmatched=[row(1, **READ), row(2, **READ, end=1_128)])
    assert unmatched(source, SPAN) == [Unmatched(EDGE, "unknown", 0, 64 + 1_000)]


def test_what_was_taken_back_counts_no_more(write: Write) -> None:
    """A spool came later, and `wirelag rematch` found the read."""
    assert not unmatched(write(unmatched=[row(1), row(1, weight=-1)]), SPAN)


def test_where_the_reader_lost_events_the_read_may_be_what_was_lost(write: Write) -> None:
    """What the sending host lost says nothing of that; a host without an agent for a while may have."""
    source = write(unmatched=[row(1)], ledger=[*nothing_lost(), ledger("alpha", "perf-buffer", "full", 9)])
    assert unmatched(source, SPAN) == [Unmatched(EDGE, "unread", 1, 0)]
    assert unmatched(source, SPAN, away={"beta"}) == [Unmatched(EDGE, "unknown", 1, 0)]
    source = write(ledger=[ledger("beta", "perf-buffer", "full", 9)])
    assert unmatched(source, SPAN) == [Unmatched(EDGE, "unknown", 1, 0)]


@pytest.mark.parametrize("reason", ["no_peer_agent", "sampled_out"])
def test_what_nobody_could_know_is_none_of_it(write: Write, reason: str) -> None:
    assert not unmatched(write(unmatched=[row(1, reason=reason), row(2, **READ | {"reason": reason})]), SPAN)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"edge": "client -> server"}, [EDGE]),
        ({"edge": "server -> client"}, [BACK]),
        ({"host": "alpha"}, [EDGE, BACK]),
        ({"host": "beta"}, [EDGE, BACK]),
        ({"host": "gamma"}, []),
    ],
)
def test_of_an_edge_or_a_host(write: Write, options: dict[str, str], found: list[str]) -> None:
    back = row(9, edge=BACK, host="beta", peer_host="alpha", direction=1)
    source = write(unmatched=[row(1), row(2), back, row(3, time_ns=SPAN.to_ns)])
    assert [one.edge for one in unmatched(source, SPAN, **options)] == found


def test_told_in_words() -> None:
    found = [
        Unmatched(EDGE, "unread", 5, 0),
        Unmatched(BACK, "unread", 2, 0),
        Unmatched(EDGE, "evicted", 0, 9),
    ]
    unread, unsent = [text for text, _ in told(found)]
    assert unread.startswith(f"7 messages arrived and were not read in time (most of {EDGE}): they have no ")
    assert unsent.startswith(
        f"of 9 bytes that were read no send is known ({EDGE}): their messages are in no "
    )


def test_explained(write: Write) -> None:
    """--explain says why a figure is not complete: nothing was lost, the application does not read."""
    rows: dict[str, Any] = {"histogram": [histogram([5], seen=2)], "ledger": nothing_lost()}
    source = write(**rows, unmatched=[row(1)])
    lines = [one for one in explained(source, SPAN, latency(source, SPAN)) if one.about == "unmatched"]
    assert [one.text.split(":")[0] for one in lines] == [
        "1 messages arrived and were not read in time (client@alpha > server@beta"
    ]
