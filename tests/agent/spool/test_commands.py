# SPDX-License-Identifier: Apache-2.0
"""`wirelag-agent spool`: what it prints, what it refuses beside a running agent, and how it delivers."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agent import preflight
from agent.cli import main
from common.errors import RuntimeFailure
from support.house import ROOT
from support.records import values
from support.spool import LATER, record, store
from support.topics import Topics


def spool(capsys: pytest.CaptureFixture[str], folder: Path, what: str, *more: str) -> tuple[int, str, str]:
    """Run a command on a folder; returns its exit code and what it said."""
    try:
        code = main(["spool", what, "--set", f"spool.path={folder}", *more])
    except SystemExit as end:
        code = int(str(end.code))
    said = capsys.readouterr()
    return code, said.out, said.err


def drain(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Run ``drain`` in a process of its own, since it sets up logging."""
    command = [sys.executable, "-m", "agent", "spool", "drain", "--set", f"spool.path={folder}", *more]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A spool with records of two runs."""
    for run, count in ((LATER, 20), (LATER._replace(epoch=3), 10)):
        opened = store(tmp_path / "spool", run)
        opened.write([record(n % 3, n // 3) for n in range(count)])
        opened.close()
    return tmp_path / "spool"


def test_ls_tells_files_runs_records_and_events(capsys, filled):
    code, out, _ = spool(capsys, filled, "ls")
    assert code == 0
    first, second, sums = out.splitlines()
    assert first.startswith("000000000001.spool")
    assert " 20 records" in first
    assert "run host-a/2" in first
    assert " 10 records" in second
    events = sum(record(n % 3, n // 3).events for n in (*range(20), *range(10)))
    assert sums.startswith(f"2 files, 30 records, {events} events, ")
    objects = [json.loads(line) for line in spool(capsys, filled, "ls", "--json")[1].splitlines()]
    assert [(one["epoch"], one["records"], one["problem"]) for one in objects] == [(2, 20, ""), (3, 10, "")]


def test_what_was_drained_is_not_told_again(capsys, filled):
    opened = store(filled)
    for one in opened.give(5_000, 5_000, {}):
        opened.done(one.place)
    opened.close()
    assert "2 files, 25 records" in spool(capsys, filled, "ls")[1]


def test_a_spool_that_was_never_used_is_empty(capsys, tmp_path):
    for what in ("ls", "verify", "drop"):
        assert spool(capsys, tmp_path / "none", what)[:2] == (0, "the spool is empty\n")
    assert not (tmp_path / "none").exists()


def test_verify_finds_damage(capsys, filled):
    assert spool(capsys, filled, "verify")[0] == 0
    path = filled / "000000000001.spool"
    content = path.read_bytes()
    at = content.index(b"1/2/") + 50
    path.write_bytes(content[:at] + b"X" + content[at + 1 :])
    code, out, _ = spool(capsys, filled, "verify")
    assert code == 1
    assert "1 records are damaged" in out.splitlines()[0]


def test_looking_works_beside_an_agent_and_the_rest_is_refused(capsys, filled, free_port):
    opened = store(filled)
    opened.write([record(0, n) for n in range(5)])
    assert "3 files, 35 records" in spool(capsys, filled, "ls")[1]
    assert spool(capsys, filled, "verify")[0] == 0
    code, _, error = spool(capsys, filled, "drop", "--yes")
    assert (code, "in use by another agent" in error) == (1, True)
    assert sum(opened.held().values()) == 35
    opened.close()


def test_drop_wants_to_be_sure(capsys, filled):
    code, out, error = spool(capsys, filled, "drop")
    assert (code, "say --yes" in error) == (2, True)
    assert "30 records" in out
    code, out, _ = spool(capsys, filled, "drop", "--yes")
    assert (code, out.splitlines()[-1]) == (0, "thrown away")
    assert "2 files, 30 records" in out
    assert spool(capsys, filled, "ls")[1] == "the spool is empty\n"


def test_check_says_where_records_will_wait(tmp_path, filled):
    assert preflight.spool(None).startswith("none")
    assert preflight.spool(tmp_path / "not" / "there") == f"in {tmp_path}/not/there"
    opened = store(filled)
    assert preflight.spool(filled) == f"in {filled}, in use by an agent"
    opened.close()
    assert preflight.spool(filled) == f"in {filled}"
    (tmp_path / "file").touch()
    with pytest.raises(RuntimeFailure, match=r"file cannot be written: set spool\.path"):
        preflight.spool(tmp_path / "file" / "spool")


def test_without_a_path_there_is_no_spool(capsys):
    code, _, error = spool(capsys, Path(), "ls", "--set", "spool.path=")
    assert (code, "spool.path is empty" in error) == (2, True)


def test_drain_delivers_everything_without_an_agent(capsys, filled, kafka, topics: Topics):
    events, control = topics("events", 3), topics("control", 2)
    where = (f"kafka.bootstrap-servers={kafka}", f"kafka.events-topic={events}", "kafka.shards=3")
    told = [word for one in (*where, f"kafka.control-topic={control}") for word in ("--set", one)]
    opened = store(filled)
    done = drain(filled, *told)
    assert (done.returncode, "in use by another agent" in done.stderr) == (1, True)
    opened.close()
    done = drain(filled, *told)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"30 records of \d+ events delivered\n", done.stdout)
    for shard in range(3):
        found = [int(value.split(b"/")[1]) for value in values(kafka, events, shard)]
        earlier, later = (len(range(shard, count, 3)) for count in (20, 10))
        assert found == [*range(earlier), *range(later)], "run by run, in order"
    assert sum(len(values(kafka, events, shard)) for shard in range(3)) == 30
    assert spool(capsys, filled, "ls")[1] == "the spool is empty\n"


def test_drain_says_what_is_left_where_kafka_takes_nothing(capsys, filled, free_port):
    done = drain(filled, "--set", f"kafka.bootstrap-servers=127.0.0.1:{free_port}")
    assert (done.returncode, "does not answer" in done.stderr) == (1, True)
    assert "2 files, 30 records" in spool(capsys, filled, "ls")[1]
