# SPDX-License-Identifier: Apache-2.0
"""The command ``wirelag``: what it prints, where, and the exit code it ends with."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.rows import START, Write, histogram, ledger, match, nothing_lost
from wirelag.cli import main

SPAN = ("--from", "2025-10-09T09:00", "--to", "2025-10-09T10:00")
EDGE = "client@alpha > server@beta:80"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def filled(write: Write, lake: Path) -> str:
    """A lake of one edge with four kinds, nothing lost."""
    kinds = {"delivery": 38_000, "wire": 20_000, "receive-wait": 18_000, "send-block": 4_000}
    rows = [histogram([value] * 4001, measure=kind) for kind, value in kinds.items()]
    write(histogram=rows, ledger=nothing_lost(), match=[match(n) for n in range(150)])
    return str(lake)


def ask(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    """Run the command, hold its exit code, return standard output and standard error."""
    assert main(["query", *arguments]) == code
    found = capsys.readouterr()
    return found.out, found.err


def test_table_of_latencies(filled: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The first answer: an edge, its kinds, percentiles in words, and that nothing is missing."""
    out, err = ask(capsys, "latency", "--lake", filled, *SPAN)
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["EDGE", "KIND", "N", "P50", "P90", "P99", "MAX", "COMPLETE", "COVER"]
    assert lines[1] == [*EDGE.split(), "delivery", "4,001", "38us", "38us", "38us", "38us", "100%", "?"]
    assert [line[3] for line in lines[1:]] == ["delivery", "wire", "receive-wait"]
    assert err == ""


def test_latencies_for_programs(filled: str, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON lines and CSV carry exact integers, and more than the table shows."""
    asked = ("latency", "--lake", filled, *SPAN, "--kind", "wire")
    (line,) = ask(capsys, *asked, "--json")[0].splitlines()
    assert json.loads(line) == {
        "edge": EDGE,
        "kind": "wire",
        "n": 4001,
        "seen": 4001,
        "p50_ns": 20_000,
        "p90_ns": 20_000,
        "p99_ns": 20_000,
        "min_ns": 20_000,
        "max_ns": 20_000,
        "mean_ns": 20_000,
        "negative": 0,
        "clock_bound_ns": None,
        "complete": 1.0,
        "kept": 1.0,
        "cover": None,
        "closed": 0,
        "moved_bytes": 0,
        "covered_bytes": 0,
        "blind": 0,
        "partial": 0,
        "spoiled": None,
        "messages": 4001,
        **dict.fromkeys(
            f"{name}_{end}"
            for name in ("messages", "p50", "p90", "p99")
            for end in (("low", "high") if name == "messages" else ("low_ns", "high_ns"))
        ),
    }
    head, row = ask(capsys, *asked, "--csv")[0].splitlines()
    assert dict(zip(head.split(","), row.split(","), strict=True))["p50_ns"] == "20000"


@pytest.mark.parametrize("by", ["edge", "host", "measure", "minute"])
def test_every_group_in_every_form(filled: str, capsys: pytest.CaptureFixture[str], by: str) -> None:
    """The group is the first column, except where all is one group."""
    asked = ("latency", "--lake", filled, *SPAN, "--by", by)
    first = "kind" if by == "measure" else by
    assert ask(capsys, *asked)[0].split()[0] == first.upper()
    assert ask(capsys, *asked, "--csv")[0].split(",")[0] == first
    assert next(iter(json.loads(ask(capsys, *asked, "--json")[0].splitlines()[0]))) == first


def test_losses_show_in_the_figures(write: Write, lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One event lost of a million is not 100 %."""
    rows = [ledger("alpha", "kernel", "attempted", 10**6), ledger("alpha", "perf-buffer", "full", 1)]
    rows.append(ledger("alpha", "consumer", "stored", 10**6 - 1))
    write(histogram=[histogram([1])], ledger=rows)
    assert "99.99%" in ask(capsys, "latency", "--lake", str(lake), *SPAN)[0]


def test_withheld_messages_are_mentioned(
    write: Write, lake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Messages whose hosts share no clock are counted in one line beside the answer."""
    write(
        match=[match(n, clock="unsynced") for n in range(3)],
        histogram=[histogram([1], measure="receive-wait")],
    )
    out, err = ask(capsys, "latency", "--lake", str(lake), *SPAN, "--json")
    assert len(out.splitlines()) == 1
    assert err.count("\n") == 1
    assert "withheld: delivery and wire of 3 messages" in err


@pytest.mark.parametrize(
    "question",
    ["latency", "messages", "connections", "connects", "retransmits", "losses", "hosts", "clocks"],
)
@pytest.mark.parametrize(("form", "lines"), [((), 0), (("--json",), 0), (("--csv",), 1)])
def test_no_rows(
    write: Write,
    lake: Path,
    capsys: pytest.CaptureFixture[str],
    question: str,
    form: tuple[str, ...],
    lines: int,
) -> None:
    """No rows are no error: one line says why that could be, programs get an empty answer."""
    write(ledger=[ledger("alpha", "kernel", "attempted", 1, at_ns=START - 10**15)])
    out, err = ask(capsys, question, "--lake", str(lake), *SPAN, *form)
    assert len(out.splitlines()) == lines
    assert err.startswith(f"wirelag: no {question} in this time: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("latency", "--from", "yesterday"), "--from: found 'yesterday'; allowed is now, a time ago"),
        (("latency", "--from", "-5"), "--from: found '-5'; allowed is now"),
        (("latency", "--from", "now", "--to", "-1h"), "--from now is not before --to -1h"),
        (("latency", "--by", "pod"), "--by: found 'pod'; allowed is one of edge, host, measure, minute"),
        (("latency", "--kind", "ping"), "--kind: found 'ping'; allowed are delivery"),
        (("latency", "--json", "--csv"), "--json and --csv: only one"),
        (("messages", "--limit", "0"), "--limit: found 0; allowed is 1 or more"),
        (("messages", "--limit", "many"), "many"),
        (("latency", "--bogus"), "Unknown option"),
        (("latencies",), "latencies"),
    ],
)
def test_bad_options(
    filled: str, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    """A value that is not allowed gives one line that names it, exit code 2, nothing on standard output."""
    question, *rest = arguments
    out, err = ask(capsys, question, "--lake", filled, *rest, code=2)
    assert out == ""
    assert err.startswith("wirelag: ")
    assert message in err
    assert "Traceback" not in err


def test_no_lake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where no lake is, the answer is an error of the run time; without the option, of the options."""
    assert "there is no lake" in ask(capsys, "latency", "--lake", str(tmp_path), code=1)[1]
    assert "--lake" in ask(capsys, "latency", code=2)[1]


def test_lake_not_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Both places where it may be named are told."""
    monkeypatch.delenv("WIRELAG_LAKE", raising=False)
    _, err = ask(capsys, "latency", code=2)
    assert "--lake" in err
    assert "WIRELAG_LAKE" in err


def test_messages(filled: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A table shows the first hundred and says so; programs get all."""
    out, err = ask(capsys, "messages", "--lake", filled, *SPAN)
    assert len(out.splitlines()) == 101
    assert "the first 100 are shown" in err
    assert len(ask(capsys, "messages", "--lake", filled, *SPAN, "--csv")[0].splitlines()) == 151
    out, err = ask(capsys, "messages", "--lake", filled, *SPAN, "--slowest", "--limit", "1", "--json")
    assert (json.loads(out)["latency_ns"], err) == (38_149, "")


def test_losses_table(filled: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Losses are a plain sum by host, stage and reason."""
    out, _ = ask(capsys, "losses", "--lake", filled, *SPAN, "--host", "beta")
    assert [line.split() for line in out.splitlines()] == [
        ["HOST", "STAGE", "REASON", "EVENTS"],
        ["beta", "consumer", "stored", "1,000"],
        ["beta", "kafka", "delivered", "1,000"],
        ["beta", "kernel", "attempted", "1,000"],
    ]


def test_reader_that_leaves_early(write: Write, lake: Path) -> None:
    """``wirelag query … | head -1`` ends well."""
    write(match=[match(n) for n in range(20_000)])
    command = [sys.executable, "-c", "import sys, wirelag.cli; sys.exit(wirelag.cli.main())"]
    arguments = ["query", "messages", "--lake", str(lake), *SPAN, "--csv"]
    with subprocess.Popen(
        [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("sent_at_ns,")
        process.stdout.close()
        assert process.wait() == 0
        assert process.stderr.read() == ""


def test_consume_hands_its_options_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortcuts become settings, over those given with --set."""
    seen: list[Any] = []
    monkeypatch.setattr("consumer.cli.consume", lambda *given, **named: seen.append((given, named)))
    arguments = ["--set", "a.b=1", "--set", "c.d=2", "--lake", "x", "--bootstrap", "h:1", "--until-end"]
    assert main(["consume", "--config", "f.toml", *arguments]) == 0
    overrides = ["a.b=1", "c.d=2", "lake.uri=x", "kafka.bootstrap-servers=h:1"]
    assert seen == [((Path("f.toml"), overrides), {"until_end": True})]


def test_consume_with_bad_settings(capsys: pytest.CaptureFixture[str]) -> None:
    """Settings that cannot be used are one line and exit code 2."""
    assert main(["consume", "--set", "kafka.shards=none"]) == 2
    assert "kafka.shards: found 'none'; allowed is a whole number" in capsys.readouterr().err


def test_missing_library(
    filled: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where an extra is not installed the command says which."""
    for name in ("history.engine", "history.source", "history.latency"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "duckdb", None)
    err = ask(capsys, "latency", "--lake", filled, code=2)[1]
    assert "duckdb" in err
    assert "pip install 'wirelag[consumer,history]'" in err


def test_schema(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The page is printed; a checkout is compared with the code."""
    assert main(["schema", "show"]) == 0
    assert capsys.readouterr().out == (ROOT / "docs/wire-format.md").read_text()
    assert main(["schema", "check", "--root", str(ROOT)]) == 0
    assert main(["schema", "check", "--root", str(tmp_path)]) == 2
    for path in (
        "docs/wire-format.md",
        "tests/schemas/golden/events-v1-lives.bin",
        "tests/schemas/golden/heartbeat-v1-clocks.json",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes((ROOT / path).read_bytes())
    (tmp_path / "docs/wire-format.md").write_text("something else")
    capsys.readouterr()
    assert main(["schema", "check", "--root", str(tmp_path)]) == 1
    assert "docs/wire-format.md: not what the code says" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [(), ("query",), ("query", "latency"), ("query", "messages"), ("cat",), ("consume",)]
)
def test_help(capsys: pytest.CaptureFixture[str], command: tuple[str, ...]) -> None:
    """Every command explains itself; those that do something show how."""
    assert main([*command, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Usage: wirelag")
    assert "For example" in out or command in {(), ("query",)}


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """The version is one line."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip().count(".") >= 1
