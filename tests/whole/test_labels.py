# SPDX-License-Identifier: Apache-2.0
"""Who talks to whom, the whole way: cgroups on the host become labels, names and owners in the answers."""

import socket
from pathlib import Path

import pytest

from support.cgroups import enter, make, own_cgroup
from support.netns import Network, VethPair, hosts_of
from support.topics import Topics
from support.traffic import bound, listener
from support.whole_way import BIN, SHARDS, AgentProcess, Names, consume, query, run
from support.worker import Worker

pytestmark = pytest.mark.kernel
CONTAINER = "c0ffee00beef" + "0" * 52
MESSAGES = 5
_kept: list[socket.socket] = []


def listen(network: Network) -> int:
    """Listen, and return the port."""
    _kept.append(listener(network.b))
    return int(_kept[-1].getsockname()[1])


def answer() -> None:
    """Answer what one client says until it is gone."""
    accepted, _ = _kept.pop().accept()
    while data := accepted.recv(100):
        accepted.sendall(data)


def ask(network: Network, port: int) -> None:
    """Say something and wait for the answer, a few times."""
    with bound(network.a) as sock:
        sock.connect((network.b.ipv4, port))
        for _ in range(MESSAGES):
            sock.sendall(b"question")
            assert sock.recv(100) == b"question"


def settled(worker: Worker, folder: Path, name: str) -> None:
    """Have the worker go into a cgroup and become another program, as services and containers do."""
    enter(folder, worker.pid)
    worker.replace(name)


def test_labels_names_and_owners_reach_the_answers(kafka: str, tmp_path: Path) -> None:
    """The agent labels both processes, a rule names one of them, the file says who owns both."""
    topics = Topics(kafka)
    names = Names(kafka, topics("events", SHARDS), topics("control"), topics("latency"), topics("poison"))
    owners = tmp_path / "owners"
    owners.write_text("front          Team Web\ncontainer:*    #dba\n")
    rule = 'consumer.edge-name=[{process = "nginx", label = "unit:web.*", name = "front"}]'
    with (
        VethPair() as network,
        own_cgroup() as top,
        Worker() as client,
        Worker() as server,
        AgentProcess(names, hosts_of(network), "agent.host-name=alpha"),
    ):
        settled(client, make(top, "web.service"), "nginx")
        settled(server, make(top, f"docker-{CONTAINER}.scope"), "postgres")
        port = server.run(listen, network)
        answered = server.start(answer)
        client.run(ask, network, port)
        answered()
        pids = {client.pid, server.pid}
    consume(names, tmp_path / "lake", rule, f"consumer.owners-file={owners}")
    rows = {row["process"]: row for row in query("connections", tmp_path / "lake")}
    assert {row["pid"] for row in rows.values()} == pids
    assert {name: (row["label"], row["owner"]) for name, row in rows.items()} == {
        "nginx": ("unit:web.service", "Team Web"),
        "postgres": ("container:c0ffee00beef", "#dba"),
    }
    database = f"postgres@alpha:{port}"
    found = query("latency", tmp_path / "lake", "--kind", "delivery")
    assert {(row["edge"], row["n"], row["complete"]) for row in found} == {
        (f"front > {database}", MESSAGES, 1.0),
        (f"{database} > front", MESSAGES, 1.0),
    }
    shown = run([str(BIN / "wirelag"), "query", "connections", "--lake", str(tmp_path / "lake")])
    heading, *lines = shown.splitlines()
    assert [word for word in heading.split() if word in {"PROCESS", "LABEL", "OWNER"}] == [
        "PROCESS",
        "LABEL",
        "OWNER",
    ]
    assert any("nginx" in line and "unit:web.service" in line and "Team Web" in line for line in lines)
