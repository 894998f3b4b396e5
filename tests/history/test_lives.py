# SPDX-License-Identifier: Apache-2.0
"""Connects, retransmits and what became of connections: exact figures of rows."""

import errno
from typing import Any

import pytest

from history.connections import connections
from history.connects import connects, error_name
from history.errors import QuestionError
from history.retransmits import retransmits
from history.span import Span
from schemas.batch import Mark
from schemas.event import Flag
from support.rows import START, Write, close, connect, peer_close, retransmit

MINUTE = 60 * 10**9
SPAN = Span(START, START + 10 * MINUTE)
EDGE = "client@alpha > server@beta:80"


def refused(number: int, error: int = errno.ECONNREFUSED, **changes: Any) -> dict[str, Any]:
    return connect(number, failed=True, error=error, duration_ns=10**9, **changes)


def test_attempts_of_an_edge(write: Write) -> None:
    """Percentiles are those of the attempts that succeeded, the very values; errors have names."""
    rows = [connect(n, duration_ns=1_000 * (n + 1)) for n in range(200)]
    rows += [refused(7), refused(8), refused(9, errno.ETIMEDOUT, retransmits=6), refused(9, 0)]
    (found,) = connects(write(connect=rows), SPAN)
    assert found._asdict() == {
        "group": EDGE,
        "n": 204,
        "failed": 4,
        "errors": {"ECONNREFUSED": 2, "not-told": 1, "ETIMEDOUT": 1},
        "p50_ns": 100_000,
        "p99_ns": 198_000,
        "max_ns": 200_000,
        "retransmits": 6,
    }


def test_an_edge_that_never_got_through_has_no_times(write: Write) -> None:
    """Null, not the time of the failures."""
    (found,) = connects(write(connect=[refused(1)]), SPAN)
    assert (found.n, found.failed, found.p50_ns, found.p99_ns, found.max_ns) == (1, 1, None, None, None)


def test_groups_and_filters_of_attempts(write: Write) -> None:
    """Most attempts first, minutes in their order; edge, host, span and limit."""
    other = {"edge": "x@gamma > 10.0.0.9:1", "host": "gamma"}
    rows = [connect(1), connect(2, at_ns=START + MINUTE), *(connect(n, **other) for n in range(3))]
    source = write(connect=[*rows, connect(0, at_ns=SPAN.to_ns), connect(0, at_ns=START - 1)])

    def groups(**asked: Any) -> list[tuple[str, int]]:
        return [(one.group, one.n) for one in connects(source, SPAN, **asked)]

    assert groups() == [("x@gamma > 10.0.0.9:1", 3), (EDGE, 2)]
    assert groups(by="host", limit=1) == [("gamma", 3)]
    assert groups(by="minute") == [("2025-10-09T09:00:00Z", 4), ("2025-10-09T09:01:00Z", 1)]
    assert groups(edge="SERVER@") == groups(host="alpha") == [(EDGE, 2)]
    assert groups(host="beta") == []


@pytest.mark.parametrize("asked", [{"by": "measure"}, {"limit": 0}])
def test_what_cannot_be_asked(write: Write, asked: dict[str, Any]) -> None:
    """Other groups and limits are refused, of both questions."""
    source = write(connect=[connect(1)])
    for question in (connects, retransmits):
        with pytest.raises(QuestionError, match="allowed is"):
            question(source, SPAN, **asked)


def test_names_of_errors() -> None:
    """A number without a name is shown as it is."""
    assert [error_name(n) for n in (0, 110, 99_999)] == ["not-told", "ETIMEDOUT", "99999"]


def test_segments_sent_again(write: Write) -> None:
    """Rows are counted; the share is of connections of this edge that closed in the span."""
    rows = [retransmit(1), retransmit(1), retransmit(3, connection=2, end=450)]
    closes = [close(1, sent_bytes=30_000, retransmitted_bytes=300), peer_close(1, retransmitted_bytes=500)]
    (found,) = retransmits(write(retransmit=rows, close=closes), SPAN)
    assert found._asdict() == {
        "group": EDGE,
        "segments": 3,
        "bytes": 350,
        "connections": 2,
        "share": 0.01,
        "closed_sent_bytes": 30_000,
        "closed_retransmitted_bytes": 300,
    }


def test_share_where_no_connection_closed_or_sent(write: Write) -> None:
    """It is not known."""
    (found,) = retransmits(write(retransmit=[retransmit(1)]), SPAN)
    assert (found.share, found.closed_sent_bytes) == (None, None)
    (found,) = retransmits(write(close=[close(1, sent_bytes=0)]), SPAN)
    assert (found.share, found.closed_sent_bytes) == (None, 0)


def test_the_share_is_of_the_last_account_of_each_end(write: Write) -> None:
    """Accounts go on from one to the next, so only the last one is whole; two agents tell of one end."""
    going = {"flags": int(Flag.OPEN)}
    accounts = [
        close(1, **going, sent_bytes=100, retransmitted_bytes=90),
        close(1, **going, sent_bytes=400, retransmitted_bytes=90, at_ns=START + 1),
        close(2, sent_bytes=600, retransmitted_bytes=10, at_ns=START + 2),
        close(2, sent_bytes=600, retransmitted_bytes=10, at_ns=START + 3),
    ]
    (found,) = retransmits(write(retransmit=[retransmit(1)], close=accounts), SPAN)
    assert (found.closed_sent_bytes, found.closed_retransmitted_bytes, found.share) == (1_000, 100, 0.1)


def test_groups_of_retransmits(write: Write) -> None:
    """By the host that sent, and by minute."""
    rows = [retransmit(1), retransmit(2, at_ns=START + MINUTE, host="gamma", edge="x")]
    source = write(retransmit=[*rows, retransmit(3)], close=[close(1, retransmitted_bytes=10)])
    assert [(one.group, one.segments, one.share) for one in retransmits(source, SPAN, by="host")] == [
        ("alpha", 2, 0.01),
        ("gamma", 1, None),
    ]
    assert [one.group[14:16] for one in retransmits(source, SPAN, by="minute")] == ["00", "01"]
    assert [one.group for one in retransmits(source, SPAN, edge="X")] == ["x"]


def end(connection: int, **changes: Any) -> dict[str, Any]:
    row = {"topic_partition": 0, "tick": 1, "connection": connection, "endpoint": 0, "host": "alpha"}
    row |= {"first_seen_ns": START, "role": 1, "local_port": 40_000, "remote_port": 80, "marks": 0}
    return row | changes


def test_what_became_of_connections(write: Write) -> None:
    """Closed by its account, failed by its attempt, else open; accounts after the span count."""
    late = close(1, at_ns=START + 9 * 3600 * 10**9, retransmits=3, audit="partial", marks=int(Mark.ULP))
    older = close(2, flags=int(Flag.OLDER), duration_ns=0, min_rtt_us=0)
    source = write(
        connection=[end(number) for number in (1, 2, 3, 4)],
        close=[late, older, peer_close(3)],
        connect=[refused(0, connection=4), connect(0, connection=1)],
    )
    found = list(connections(source, SPAN))
    assert [(one["state"], one["audit"], one["marks"]) for one in found] == [
        ("closed", "partial", "ULP"),
        ("closed", "complete", ""),
        ("open", None, ""),
        ("failed", None, ""),
    ]
    names = ("duration_ns", "sent_bytes", "received_bytes", "retransmits", "min_rtt_us")
    assert [found[0][name] for name in names] == [9_000_000, 1_000, 500, 3, 60]
    assert [found[1][name] for name in names] == [None, 1_000, 500, 0, None]


def test_an_end_heard_of_anew_is_one_end(write: Write) -> None:
    """A connection that was silent beyond the horizon is noted again when it closes."""
    again = end(1, first_seen_ns=START + MINUTE, tick=9)
    (found,) = connections(write(connection=[again, end(1, opener="curl", opener_pid=7)]), SPAN)
    assert (found["first_seen_ns"], found["opener"], found["opener_pid"]) == (START, "curl", 7)
