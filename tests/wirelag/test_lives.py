# SPDX-License-Identifier: Apache-2.0
"""Questions about the lives of connections on the command line: tables, programs, remarks."""

import json
from pathlib import Path

import pytest

from schemas.batch import Mark
from support.rows import Write, close, connect, histogram, ledger, nothing_lost, retransmit
from wirelag.cli import main

SPAN = ("--from", "2025-10-09T09:00", "--to", "2025-10-09T10:00")
EDGE = "client@alpha > server@beta:80"
REFUSED = {"failed": True, "error": 111, "duration_ns": 5}


@pytest.fixture
def filled(write: Write, lake: Path) -> str:
    """One edge: attempts of which some fail, segments sent again, accounts, and a host that samples."""
    closes = [
        close(1, retransmitted_bytes=3),
        close(2, audit="partial", missing_sent=1_000),
        close(3, audit="blind", marks=int(Mark.MPTCP)),
        close(4, audit="blind", marks=int(Mark.ULP)),
    ]
    write(
        connect=[connect(1), connect(2), connect(3, **REFUSED)],
        retransmit=[retransmit(1), retransmit(2)],
        close=closes,
        histogram=[histogram([5], measure="send-block")],
        ledger=[*nothing_lost(), ledger("alpha", "kernel", "sampled", 630)],
        connection=[{"connection": 1, "endpoint": 0, "host": "alpha", "first_seen_ns": closes[0]["at_ns"]}],
    )
    return str(lake)


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, str]:
    assert main(["query", *arguments]) == 0
    found = capsys.readouterr()
    return found.out, found.err


def test_connects(filled: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Errors are text for people, an object for programs."""
    out, err = ask(capsys, "connects", "--lake", filled, *SPAN)
    head, line = (text.split() for text in out.splitlines())
    assert head == ["EDGE", "N", "FAILED", "ERRORS", "P50", "P99", "MAX", "SYNS", "AGAIN"]
    assert line == [*EDGE.split(), "3", "1", "ECONNREFUSED", "1", "70us", "70us", "70us", "0"]
    assert err == ""
    (text,) = ask(capsys, "connects", "--lake", filled, *SPAN, "--json")[0].splitlines()
    assert list(json.loads(text)) == [
        *("edge", "n", "failed", "errors", "p50_ns", "p99_ns", "max_ns", "retransmits")
    ]
    assert json.loads(text)["errors"] == {"ECONNREFUSED": 1}
    out, _ = ask(capsys, "connects", "--lake", filled, *SPAN, "--csv", "--by", "host")
    assert out.splitlines() == [
        "host,n,failed,errors,p50_ns,p99_ns,max_ns,retransmits",
        "alpha,3,1,ECONNREFUSED 1,70000,70000,70000,0",
    ]


def test_retransmits(filled: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The share is rounded up: anything is more than nothing."""
    out, _ = ask(capsys, "retransmits", "--lake", filled, *SPAN)
    head, line = (text.split() for text in out.splitlines())
    assert head == ["EDGE", "SEGMENTS", "BYTES", "CONNECTIONS", "OF", "SENT"]
    assert line == [*EDGE.split(), "2", "200", "1", "0.08%"]
    (text,) = ask(capsys, "retransmits", "--lake", filled, *SPAN, "--json", "--by", "minute")[0].splitlines()
    assert json.loads(text) == {
        "minute": "2025-10-09T09:00:00Z",
        "segments": 2,
        "bytes": 200,
        "connections": 1,
        "share": 0.00075,
        "closed_sent_bytes": 4_000,
        "closed_retransmitted_bytes": 3,
    }


def test_coverage_and_sampling_beside_latencies(filled: str, capsys: pytest.CaptureFixture[str]) -> None:
    """COVER of the group; one line for what is not covered and one for what was left out on purpose."""
    asked = ("latency", "--lake", filled, *SPAN, "--kind", "send-block")
    out, err = ask(capsys, *asked)
    assert out.splitlines()[1].split()[-2:] == ["100%", "25.00%"]
    gaps = (
        "all of 2 connections (1 multipath TCP, 1 kernel TLS or another upper layer); 1,000 bytes of 1 more"
    )
    assert err.splitlines() == [
        "wirelag: sampled: 37.00% of events kept; N and COMPLETE are of those, the rest estimates",
        f"wirelag: not covered, by the accounts of this time: {gaps}",
    ]
    row = json.loads(ask(capsys, *asked, "--json")[0])
    names = ("kept", "cover", "closed", "moved_bytes", "covered_bytes", "blind", "partial")
    assert [row[name] for name in names] == [pytest.approx(0.37), 0.25, 4, 4_000, 1_000, 2, 1]


def test_connections_say_what_became_of_them(filled: str, capsys: pytest.CaptureFixture[str]) -> None:
    """State and account are columns of the table."""
    out, _ = ask(capsys, "connections", "--lake", filled, *SPAN)
    assert out.splitlines()[1].split()[-7:] == ["closed", "9.0ms", "1,000", "500", "0", "60us", "complete"]
