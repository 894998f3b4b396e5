# SPDX-License-Identifier: Apache-2.0
"""`wirelag-agent top` against what the applications moved."""

import json

import msgspec
import pytest

from agent.live.top import Line, Table
from support import lives, traffic
from support.live import LiveProgram
from support.worker import Worker

pytestmark = pytest.mark.kernel
LONG = ("--interval", "10")


def test_a_connections_ends_are_rows_with_all_it_moved(network, worker):
    with LiveProgram(network.hosts, "top", "--once", "--json", *LONG) as program:
        calls = worker.run(traffic.echo, network, 25, 400)
        (table,) = program.end().rows
    assert table["total"] == len(table["rows"]) == 2
    for row in table["rows"]:
        assert (row["sent_bytes"], row["received_bytes"]) == (10_000, 10_000)
        assert (row["messages"], row["delivered"]) == (25, 25)
        assert row["pid"] == worker.pid
        assert 0 < row["delivery_p50_ns"] <= row["delivery_p99_ns"]
        assert row["wait_p50_ns"] <= row["wait_p99_ns"]
        assert row["rtt_us"] > 0
    assert {int(row["local"].rpartition(":")[2]) for row in table["rows"]} == {call.port for call in calls}


@pytest.mark.parametrize("by", ["connection", "process"])
def test_segments_sent_again_stand_with_their_sender(network, worker, by):
    wanted = ("top", "--once", "--json", "--by", by, "--sort", "retransmits", *LONG)
    with lives.dropping(network.b, every=9), LiveProgram(network.hosts, *wanted) as program:
        truth = worker.run(lives.conversation, network, 400_000, 10)
        (table,) = program.end().rows
    first, *rest = table["rows"]
    assert first["retransmitted_bytes"] > 0
    assert first["pid"] == worker.pid
    if by == "connection":
        assert first["local"].endswith(f":{truth.client}")
        assert [row["retransmitted_bytes"] for row in rest] == [0]


def test_figures_lie_between_the_least_and_the_greatest_that_was_possible(network, worker):
    with LiveProgram(network.hosts, "top", "--once", "--json", "--by", "process", *LONG) as program:
        calls = worker.run(traffic.echo, network, 25, 400)
        (table,) = program.end().rows
    (row,) = table["rows"]
    greatest = max(call.after_ns for call in calls) - min(call.before_ns for call in calls)
    assert (row["sent_bytes"], row["messages"], row["local"]) == (20_000, 50, None)
    assert row["delivery_p99_ns"] <= greatest * 1.011


def test_rows_are_sorted_and_cut(network, worker):
    with (
        Worker() as other,
        LiveProgram(
            network.hosts,
            "top",
            "--once",
            "--json",
            "--by",
            "process",
            "--sort",
            "messages",
            "--rows",
            "1",
            *LONG,
        ) as program,
    ):
        worker.run(traffic.echo, network, 3, 1000)
        other.run(traffic.echo, network, 30, 1)
        (table,) = program.end().rows
    assert (table["shown"], table["total"]) == (1, 2)
    assert table["rows"][0]["pid"] == other.pid


def test_only_the_chosen_process_has_rows(network, worker):
    chosen = ("top", "--once", "--json", "--pid", str(worker.pid), *LONG)
    with Worker() as other, LiveProgram(network.hosts, *chosen) as program:
        worker.run(traffic.echo, network, 3, 10)
        other.run(traffic.echo, network, 3, 10)
        (table,) = program.end().rows
    assert {row["pid"] for row in table["rows"]} == {worker.pid}


def test_tables_follow_each_other_and_add_up_to_the_summary(network, worker):
    with LiveProgram(network.hosts, "top", "--json", "--interval", "0.05") as program:
        worker.run(traffic.storm, network, 2, 100)
        program.read(3)
        said = program.end()
    moved = sum(row["messages"] for table in said.rows for row in table["rows"])
    assert moved == said.summary["messages"] == 400
    assert said.summary["lost"] == 0


def test_every_table_has_the_fields_of_the_schema(network, worker):
    with LiveProgram(network.hosts, "top", "--once", "--json", *LONG) as program:
        worker.run(traffic.echo, network, 1, 10)
        said = program.end()
    msgspec.json.decode(said.lines[0], type=Table)
    row = json.loads(said.lines[0])["rows"][0]
    assert list(row) == [field.name for field in msgspec.structs.fields(Line)]


def test_a_table_for_people(network, worker):
    with LiveProgram(network.hosts, "top", *LONG) as program:
        worker.run(traffic.echo, network, 5, 100)
        said = program.end()
    head, *rows = said.lines[1:4]
    assert head.split()[:5] == ["PROCESS", "LOCAL", "REMOTE", "SENT", "RECEIVED"]
    assert all(row.split()[3:5] == ["500B", "500B"] for row in rows)
    assert said.lines[-1] == "10 messages, 1.0kB sent; 0 events lost"
    assert said.code == 0
