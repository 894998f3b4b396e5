# SPDX-License-Identifier: Apache-2.0
"""`wirelag-agent trace` against what the applications did."""

from collections import defaultdict
from pathlib import Path

import msgspec
import pytest

from agent.live.trace import Message
from support import scenarios, traffic
from support.live import LiveProgram, run
from support.worker import Worker

pytestmark = pytest.mark.kernel
SCENARIOS = ["sizes", "sizes over IPv6", "coalesced and partial reads", "many threads", "half-close"]


@pytest.fixture(scope="module")
def seen(network):
    """All scenarios under one trace: their truths, and what it said."""
    with LiveProgram(network.hosts, "trace", "--json") as program, Worker() as worker:
        truths = {name: worker.run(scenarios.SCENARIOS[name], network) for name in SCENARIOS}
        truths["shared"] = worker.run(scenarios.shared_socket, network)
        said = program.end()
    return worker.pid, truths, said


def ports_of(row):
    return tuple(int(row[end].rpartition(":")[2]) for end in ("local", "remote"))


def by_direction(said):
    found = defaultdict(list)
    for row in said.rows:
        found[ports_of(row)].append(row)
    return found


def test_each_send_call_is_one_line_with_its_bytes(seen):
    _, truths, said = seen
    lines = by_direction(said)
    for name in SCENARIOS:
        for truth in truths[name]:
            rows = sorted(lines[truth.sender_port, truth.receiver_port], key=lambda row: row["position"])
            assert [(r["position"], r["bytes"]) for r in rows] == [
                (c.position, c.length) for c in truth.sends
            ]


def test_a_call_in_several_pieces_is_one_line_with_all_its_bytes(seen):
    (truth,) = seen[1]["shared"]
    rows = by_direction(seen[2])[truth.sender_port, truth.receiver_port]
    assert len(rows) == len(truth.sends)
    assert sum(row["bytes"] for row in rows) == truth.total


def test_each_message_was_delivered_between_its_send_and_the_read_of_its_last_byte(seen):
    _, truths, said = seen
    lines = by_direction(said)
    for name in SCENARIOS:
        for truth in truths[name]:
            sends = {call.position: call for call in truth.sends}
            for row in lines[truth.sender_port, truth.receiver_port]:
                end = row["position"] + row["bytes"]
                read = next(
                    call for call in truth.reads if call.position < end <= call.position + call.length
                )
                send = sends[row["position"]]
                assert read.before_ns - send.after_ns <= row["delivery_ns"] <= read.after_ns - send.before_ns


def test_delivery_is_wire_and_receive_wait(seen):
    rows = [row for row in seen[2].rows if row["wire_ns"] is not None]
    assert rows
    assert all(row["delivery_ns"] == row["wire_ns"] + row["receive_wait_ns"] for row in rows)


def test_both_processes_are_named(seen):
    pid, _, said = seen
    name = Path("/proc/self/comm").read_text().strip()
    rows = [row for row in said.rows if row["receiver_pid"]]
    assert {(r["sender_pid"], r["receiver_pid"], r["receiver_here"]) for r in rows} == {(pid, pid, True)}
    assert {row["receiver_name"] for row in rows} == {row["sender_name"] for row in rows}
    assert name


def test_ctrl_c_ends_with_the_summary_and_nothing_lost(seen):
    said = seen[2]
    assert (said.code, said.errors) == (0, "")
    rows = len(said.rows)
    assert said.summary == {"kind": "summary", "messages": rows, "delivered_here": rows, "lost": 0}


def test_every_line_has_the_fields_of_the_schema(seen):
    fields = [field.name for field in msgspec.structs.fields(Message)]
    for line in seen[2].lines[:-1]:
        msgspec.json.decode(line, type=Message)
        assert list(msgspec.json.decode(line)) == fields


def test_a_receiver_elsewhere_is_said_after_a_short_wait(network, worker):
    """Only the sender's host is traced, as if the other were another machine."""
    with LiveProgram((network.a,), "trace", "--wait", "1ms") as program:
        worker.run(traffic.echo, network, 1, 4321)
        head, line = program.read(2)
        said = program.end()
    assert line.split()[-1] == "elsewhere"
    assert line.split()[4] == "4321"
    assert line[: head.index("DELIVERY") + 8].endswith(" -")
    assert said.lines[-1] == "1 messages, 0 of them delivered on this host; 0 events lost"


def test_lines_for_people_are_aligned(network, worker):
    with LiveProgram(network.hosts, "trace") as program:
        worker.run(traffic.echo, network, 3, 100)
        said = program.end()
    head, *lines, _ = said.lines
    assert len(lines) == 6
    receiver = head.index("RECEIVER")
    assert {line[receiver - 2 : receiver] for line in lines} == {"  "}
    assert all(line[receiver:].endswith(f"[{worker.pid}]") for line in lines)


def test_filters_by_port_and_process(network, worker):
    with Worker() as other:
        wanted = ("--pid", str(worker.pid))
        with LiveProgram(network.hosts, "trace", "--json", *wanted) as program:
            other.run(traffic.echo, network, 2, 10)
            calls = worker.run(traffic.echo, network, 3, 10)
            said = program.end()
    assert {ports_of(row) for row in said.rows} <= {(a.port, b.port) for a in calls for b in calls}
    assert len(said.rows) == 6


def test_a_name_nobody_has_shows_nothing(network, worker):
    with LiveProgram(network.hosts, "trace", "--json", "--comm", "nobody") as program:
        worker.run(traffic.echo, network, 2, 10)
        said = program.end()
    assert said.rows == []


def test_the_articles_time_is_refused_in_a_line_where_the_kernel_has_no_hook():
    said = run("trace", "--as-article")
    assert said.code == 2
    assert said.errors.count("\n") == 1
    assert "tcp_v4_do_rcv" in said.errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("trace", "--wait", "5"), "--wait: found '5' without a unit"),
        (("trace", "--netns", "/nowhere"), "capture.netns: found '/nowhere'"),
        (("top", "--interval", "60"), "--interval: found 60.0; allowed is up to 10"),
        (("count", "--interval", "0"), "--interval: found 0.0"),
        (("count", "--pid", "1"), "--by process"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(arguments, message):
    said = run(*arguments)
    assert (said.code, said.lines) == (2, [])
    assert message in said.errors
