# SPDX-License-Identifier: Apache-2.0
"""`wirelag-agent life` against connections that end in known ways."""

import json

import msgspec
import pytest

from agent.live.life import Closed
from support import endings, openings, traffic
from support.live import LiveProgram
from support.worker import Worker

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def life(network):
    """One program for all endings: each test reads its own lines, in order."""
    with LiveProgram(network.hosts, "life", "--json") as program:
        yield program


def ends(program, lines):
    """Return so many lines by the port of their end."""
    rows = map(json.loads, program.read(lines))
    return {int(row["local"].rpartition(":")[2]): row for row in rows}


def figures(row):
    return row["role"], row["sent_bytes"], row["received_bytes"], row["end"]


def test_an_orderly_end_is_a_line_at_each_end(network, worker, life):
    active, passive = worker.run(endings.orderly, network)
    found = ends(life, 2)
    assert figures(found[active]) == ("active", 700, 30, "closed-first")
    assert figures(found[passive]) == ("passive", 30, 700, "closed-last")
    assert {row["pid"] for row in found.values()} == {worker.pid}
    assert all(row["duration_ns"] > 0 and row["rtt_us"] > 0 and row["marks"] == [] for row in found.values())


def test_a_connection_nobody_used_has_its_opener_at_most(network, worker, life):
    active, passive = worker.run(endings.unused, network)
    found = ends(life, 2)
    assert figures(found[active]) == ("active", 0, 0, "closed-last")
    assert figures(found[passive]) == ("passive", 0, 0, "closed-first")
    assert (found[active]["pid"], found[passive]["pid"]) == (worker.pid, None)


def test_a_reset_ends_both_ends(network, worker, life):
    active, passive = worker.run(endings.aborted, network)
    found = ends(life, 2)
    assert figures(found[active]) == ("active", 50, 0, "aborted")
    assert figures(found[passive]) == ("passive", 0, 50, "aborted")


def test_a_connection_that_was_refused_is_told(network, worker, life):
    active, passive = worker.run(endings.refused, network)
    (row,) = ends(life, 1).values()
    assert figures(row) == ("active", 0, 0, "refused")
    assert row["local"].endswith(f":{active}")
    assert row["remote"].endswith(f":{passive}")


def test_an_end_whose_peer_never_closes_counts_no_fin_as_a_byte(network, worker, life):
    active, _ = worker.run(endings.half, network)
    found = ends(life, 1)
    assert figures(found[active]) == ("active", 11, 5, "closed-first")


def test_a_connection_older_than_the_program_has_no_duration(network, worker):
    ports = worker.run(openings.keep, network, "old", 8, 1000)
    with LiveProgram(network.hosts, "life", "--json") as program:
        worker.run(openings.use, "old")
        found = ends(program, 2)
    assert set(found) == set(ports)
    assert {row["duration_ns"] for row in found.values()} == {None}
    assert all("older" in row["marks"] for row in found.values())
    assert all(row["sent_bytes"] > 1000 for row in found.values())


def test_only_the_chosen_process_is_shown(network, worker):
    chosen = ("life", "--json", "--pid", str(worker.pid))
    with Worker() as other, LiveProgram(network.hosts, *chosen) as program:
        other.run(endings.orderly, network)
        ports = worker.run(endings.orderly, network)
        found = ends(program, 2)
        said = program.end()
    assert set(found) == set(ports)
    figures_of_all = {"closed": 2, "sent_bytes": 730, "received_bytes": 730, "facts_lost": 0}
    assert (said.code, said.summary) == (0, {"kind": "summary", **figures_of_all})


def test_lines_for_people_and_for_programs_have_the_same_fields(network, worker):
    with LiveProgram(network.hosts, "life", "--json") as program:
        worker.run(traffic.echo, network, 1, 10)
        lines = program.read(2)
    for line in lines:
        msgspec.json.decode(line, type=Closed)
        assert list(json.loads(line)) == [field.name for field in msgspec.structs.fields(Closed)]
    with LiveProgram(network.hosts, "life") as program:
        worker.run(traffic.echo, network, 1, 10)
        head, one, _ = program.read(3)
        said = program.end()
    assert one[head.index("ROLE") - 2 : head.index("ROLE")] == "  "
    assert said.lines[-1] == "2 ends of connections closed, 20B sent, 20B received; 0 facts lost"
