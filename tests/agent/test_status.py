# SPDX-License-Identifier: Apache-2.0
"""`wirelag-agent status`: what the agent that runs says of itself, and nothing of one that does not."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

import msgspec
import pytest

from agent.brakes.standing import Standing
from agent.commands.status import lines
from agent.delivery.outstanding import Outstanding
from agent.ledger import ATTEMPTED, DELIVERED, SAMPLED, Ledger
from agent.meter import Meter
from agent.pack import Identity
from agent.report import DayRate, Figures, Reporter
from agent.spool.limits import Figures as SpoolFigures
from agent.status import Status, StatusFile, read_all
from common.errors import RuntimeFailure
from demo.broker import SHARDS, InProcessBroker
from support import traffic
from support.house import ROOT
from support.live import run
from support.netns import VethPair
from support.worker import Worker


class Braked:
    """Brakes that thin a little, for an order's sake."""

    standing = Standing(8, 9, 3, "tracing", "max-cpu-percent", 12)
    us_per_event = None


class Delivered:
    """What delivery has counted."""

    records, record_bytes, last_delivery_ns, last_error = 3, 4567, 1_000_000_000, ""
    outstanding = Outstanding()
    standing = SpoolFigures(3_000_000, 512 * 2**20, 12, None)


@pytest.fixture
def reporter(tmp_path):
    ledger = Ledger()
    ledger.put(*ATTEMPTED, 1000)
    ledger.add(*DELIVERED, 900)
    ledger.add("queue", "full", 40)
    ledger.put(*SAMPLED, 10)
    seconds = iter(range(100))
    meter = Meter(lambda: float(next(seconds)), lambda: 0.25)
    figures = Figures(Identity("alpha", "boot", 77, 4), ledger, Delivered(), meter, Braked(), (9092,))
    reporter = Reporter(tmp_path / "run", figures, lambda: 3_000_000_000)
    yield reporter
    reporter.close()


def test_a_status_is_read_as_it_was_written(reporter, tmp_path):
    reporter.write()
    (found,) = read_all(tmp_path / "run")
    assert (found.host, found.pid, found.events, found.delivered) == ("alpha", os.getpid(), 1000, 900)
    assert (found.lost, found.in_flight) == ({"queue/full": 40}, 50)
    assert (found.delivered_records, found.delivered_bytes) == (3, 4567)


def test_only_the_owner_can_read_it(reporter, tmp_path):
    reporter.write()
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "run").iterdir()} == {0o600}


def test_an_agent_that_ended_leaves_nothing(reporter, tmp_path):
    reporter.write()
    reporter.close()
    assert list((tmp_path / "run").iterdir()) == []
    reporter.write()
    assert list(read_all(tmp_path / "run")) == []


def test_a_killed_agent_is_not_taken_for_one_that_runs_and_is_cleared_away(tmp_path):
    for suffix in ("json", "lock"):
        (tmp_path / f"agent-1.{suffix}").write_text("{}")
    assert list(read_all(tmp_path)) == []
    file = StatusFile(tmp_path)
    file.open()
    assert not (tmp_path / "agent-1.lock").exists()
    file.close()


def test_a_folder_that_cannot_be_made_costs_a_warning_only(tmp_path, capsys):
    (tmp_path / "file").touch()
    figures = Figures(
        Identity("a", "b", 1, 1), Ledger(), Delivered(), Meter(lambda: 0.0, lambda: 0.0), Braked()
    )
    reporter = Reporter(tmp_path / "file" / "run", figures, lambda: 0)
    reporter.write()
    reporter.close()
    assert "no status file" in capsys.readouterr().out


def test_a_folder_that_others_can_write_is_not_used(tmp_path):
    tmp_path.chmod(0o777)
    with pytest.raises(PermissionError, match="others"):
        StatusFile(tmp_path).open()
    assert list(tmp_path.iterdir()) == []


def test_a_status_of_another_version_is_said_to_be_one(tmp_path):
    file = StatusFile(tmp_path)
    file.open()
    (tmp_path / f"agent-{os.getpid()}.json").write_text('{"version": 99}')
    with pytest.raises(RuntimeFailure, match="another version"):
        list(read_all(tmp_path))
    file.close()


def test_lines_for_people(reporter):
    found = dict(line.split(maxsplit=1) for line in lines(reporter.status(), 4_000_000_000))
    assert found["events"] == "1,000 = 900 delivered + 50 in flight + 40 lost + 10 sampled out"
    assert found["lost"] == "queue/full 40"
    assert found["delivered"] == "3 records, 4.6kB; last 3.0s ago"
    assert found["kernel"].startswith("not measured")
    assert found["state"] == "tracing: max-cpu-percent"
    assert found["kept"].startswith("0.01% of connections and 0.01% of blocks now, 990 of 1,000 since")
    assert found["brokers"] == "ports left out: 9092"
    assert found["up"] == "0ns, status 1.0s old"


def test_bytes_of_a_day_are_those_of_the_last_minutes():
    day, second = DayRate(), 10**9
    assert day.update(0, 0) is None
    assert day.update(second, 10) == 864_000
    assert day.update(1000 * second, 10) == 0
    assert day.update(1100 * second, 1010) == 864_000


def test_no_agent_is_one_clear_line(tmp_path):
    said = run("status", "--set", f"agent.runtime-dir={tmp_path}/nothing")
    assert (said.code, said.lines) == (1, [])
    assert (
        said.errors
        == f"wirelag-agent: no agent runs on this host (none has a status in {tmp_path}/nothing)\n"
    )


@pytest.mark.kernel
def test_a_folder_of_somebody_else_is_said_to_be_unreadable(tmp_path):
    tmp_path.chmod(0o700)
    others = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    said = run("status", "--set", f"agent.runtime-dir={tmp_path}", prefix=others)
    assert said.code == 1
    assert "run as root, or as the agent's user" in said.errors


@pytest.mark.kernel
def test_a_running_agent_tells_how_it_stands_until_it_is_killed(tmp_path):
    broker, folder = InProcessBroker(), tmp_path / "run"
    told = f"agent.runtime-dir={folder}"
    with VethPair() as network, Worker() as worker, Agent(broker, folder, network) as agent:
        worker.run(traffic.echo, network, 10, 100)
        found = agent.until(lambda one: one.delivered >= 60)
        said = run("status", "--json", "--set", told)
        assert (said.code, found.host, found.lost, found.last_error) == (0, "alpha", {}, "")
        assert found.events == found.delivered + found.in_flight
        assert found.delivered_bytes > 0
        assert found.last_delivery_ns is not None
        assert found.rss_bytes > 0
        assert list(json.loads(said.lines[0])) == [field.name for field in msgspec.structs.fields(Status)]
        assert run("status", "--set", told).lines[0].startswith("agent      alpha, pid ")
        agent.process.kill()
        agent.process.wait()
        assert run("status", "--set", told).code == 1


class Agent:
    """``wirelag-agent run`` against the in-process broker."""

    def __init__(self, broker: InProcessBroker, folder: Path, network) -> None:
        told = (
            f"kafka.bootstrap-servers={broker.address}",
            f"kafka.shards={SHARDS}",
            f"agent.runtime-dir={folder}",
            "agent.host-name=alpha",
            f"spool.path={folder}/spool",
            "agent.heartbeat=50ms",
            "service.log-format=json",
            "brakes.max-cpu-percent=0",
            f"capture.netns={','.join(str(host.inode) for host in network.hosts)}",
        )
        self._folder = folder
        self._command = [sys.executable, "-m", "agent", "run", *(p for text in told for p in ("--set", text))]

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(self._command, stderr=subprocess.PIPE, text=True, cwd=ROOT)
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if '"tracing"' in line:
                return self
        raise AssertionError("the agent ended early")

    def __exit__(self, *_) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def until(self, enough) -> Status:
        """Return the first status that is enough."""
        while True:
            for one in read_all(self._folder):
                if enough(one):
                    return one
            assert self.process.poll() is None
