# SPDX-License-Identifier: Apache-2.0
"""``wirelag query losses --by`` and ``wirelag query hosts``, as a person and a program meet them."""

import json
from pathlib import Path

import pytest

from support.rows import START, Write, agent, ledger
from wirelag.cli import main

SPAN = ("--from", "2025-10-09T09:00", "--to", "2025-10-09T09:10")
END = START + 600 * 10**9


def ask(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    """Run the command, hold its exit code, return standard output and standard error."""
    assert main(["query", *arguments]) == code
    found = capsys.readouterr()
    return found.out, found.err


@pytest.fixture
def filled(write: Write, lake: Path) -> str:
    """A lake of a host that lost 20 of 2,000 and a silent one that took 5 with it."""
    rows = [ledger("alpha", "kernel", "attempted", 2000, at_ns=END - 10**9)]
    rows += [ledger("alpha", "perf-buffer", "full", 20, at_ns=END - 10**9)]
    rows += [ledger("alpha", "consumer", "stored", 1980, at_ns=END - 10**9)]
    rows += [ledger("beta", "kernel", "attempted", 10), ledger("beta", "consumer", "stored", 5)]
    spool = {"spool_records": 7, "spool_bytes": 131_072, "spool_oldest_ns": 3 * 10**9}
    thinned = {"connection_rate": 16_384, "block_rate": 0, "why": "max-cpu-percent"}
    alpha = agent("alpha", END - 10**9, **spool, **thinned, at_ns=END - 3600 * 10**9)
    write(ledger=rows, agent=[alpha, agent("beta", START)])
    return str(lake)


def test_the_equation_in_a_table(filled: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A line a host; by minute that comes first."""
    out, _ = ask(capsys, "losses", "--lake", filled, *SPAN, "--by", "host")
    assert [line.split() for line in out.splitlines()] == [
        ["HOST", "ATTEMPTED", "SAMPLED", "STORED", "LOST", "IN", "FLIGHT", "BALANCE", "COMPLETE"],
        ["alpha", "2,000", "0", "1,980", "20", "0", "0", "99.00%"],
        ["beta", "10", "0", "5", "0", "0", "5", "50.00%"],
    ]
    out, _ = ask(capsys, "losses", "--lake", filled, *SPAN, "--by", "minute", "--host", "beta", "--csv")
    head, line = out.splitlines()
    assert head.startswith("minute,host,attempted,sampled,earlier,stored,lost,unaccounted,in_flight,ahead,")
    assert line.startswith("2025-10-09T09:00:00Z,beta,10,0,0,5,0,5,0,0,0,0.5")
    _, err = ask(capsys, "losses", "--lake", filled, *SPAN, "--by", "pod", code=2)
    assert "--by: found 'pod'; allowed is one of reason, host, minute, hour" in err


def test_hosts_in_a_table(filled: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Who is there and how, with a remark where a clock is wrong."""
    out, err = ask(capsys, "hosts", "--lake", filled, *SPAN)
    head, alpha, beta = (line.split() for line in out.splitlines())
    assert head[:6] == ["HOST", "SEEN", "STATE", "EVENTS/S", "LOST", "COMPLETE"]
    assert alpha[:9] == ["alpha", "1.0s", "tracing", "2,000", "20", "99.00%", "25.00%", "131,072", "3.0s"]
    assert alpha[9:] == ["1.0", "c0ffee", "6.12.1", "raw", "max-cpu-percent"]
    assert beta[:6] == ["beta", "600s", "silent", "0", "5", "50.00%"]
    assert "clocks of 1 hosts are not the broker's: alpha 3599s behind" in err


def test_hosts_for_programs(filled: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exact numbers; the filters keep what they say."""
    out, _ = ask(capsys, "hosts", "--lake", filled, *SPAN, "--silent", "--json")
    (row,) = (json.loads(line) for line in out.splitlines())
    assert (row["host"], row["state"], row["age_ns"], row["lost"]) == ("beta", "silent", 600 * 10**9, 5)
    assert (row["kept"], row["spool_records"], row["backend"], row["epoch"]) == (1, 0, "raw", START)
    out, _ = ask(capsys, "hosts", "--lake", filled, *SPAN, "--lossy", "--host", "alpha", "--csv")
    assert [line.split(",")[0] for line in out.splitlines()] == ["host", "alpha"]


def test_a_lake_that_stands_still_is_told(filled: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Then nobody is silent against the others, and the age of the newest word is said."""
    span = ("--from", "2025-10-09T09:00", "--to", "2025-10-09T09:30")
    out, err = ask(capsys, "hosts", "--lake", filled, *span, "--host", "alpha", "--json")
    assert json.loads(out)["state"] == "tracing"
    assert "the newest heartbeat of all is 1201s old: no agent runs, or the consumer is behind" in err
