# SPDX-License-Identifier: Apache-2.0
"""`wirelag-agent count` against the calls the applications made."""

import json
import os

import pytest

from support import traffic
from support.live import LiveProgram
from support.worker import Worker

pytestmark = pytest.mark.kernel


def test_sends_are_counted_by_process(network, worker):
    with Worker() as other, LiveProgram(network.hosts, "count", "--by", "process", "--json") as program:
        sent, _ = worker.run(traffic.storm, network, 2, 50)
        other.run(traffic.echo, network, 4, 10)
        said = program.end()
    assert said.code == 0
    found = {row["pid"]: row["sends"] for row in said.summary["processes"]}
    assert found == {worker.pid: sent, other.pid: 8}
    assert (said.summary["sends"], said.summary["lost"]) == (sent + 8, 0)
    assert os.getpid() not in found


def test_only_the_chosen_process_is_counted(network, worker):
    chosen = ("count", "--by", "process", "--pid", str(worker.pid))
    with Worker() as other, LiveProgram(network.hosts, *chosen) as program:
        worker.run(traffic.echo, network, 3, 10)
        other.run(traffic.echo, network, 4, 10)
        said = program.end()
    assert said.lines[-1].startswith("6 sends in ")
    assert f"[{worker.pid}]" in said.lines[-2]


def test_the_plain_count_is_the_kernels_own(network, worker):
    with LiveProgram(network.hosts, "count", "--interval", "0.05", "--json", ready=False) as program:
        program.read(1)
        worker.run(traffic.echo, network, 10, 10)
        while json.loads(program.read(1)[0])["sends"] < 20:
            pass
        said = program.end()
    assert said.summary["sends"] == 20
    assert sum(row["new"] for row in said.rows) == 20


def test_lines_for_people_and_an_end_after_so_many(network, worker):
    with LiveProgram(network.hosts, "count", "--interval", "0.01", "--times", "3", ready=False) as program:
        lines = program.read(4)
    assert [line.split(":")[0] for line in lines[:3]] == ["tcp_sendmsg"] * 3
    assert " sends in " in lines[3]
