# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL's log of statements is what the events say, connection by connection.

In the simple protocol a statement is one write of the client and its answer one write of the server. Beside
them a connection has a start-up message with its answer, and a farewell without one.
"""

import re
import shutil
import tempfile
from pathlib import Path

import pytest

from support.program import Program, free_port, run
from support.sums import by_end

USER = "nobody"
"""PostgreSQL does not run as root."""
CLIENTS, TRANSACTIONS = 4, 100
PLAIN = {"PGSSLMODE": "disable", "PGGSSENCMODE": "disable"}
SETTINGS = {
    "fsync": "off",
    "autovacuum": "off",
    "log_statement": "all",
    "log_connections": "on",
    "log_disconnections": "on",
    "log_line_prefix": "%p ",
}
ENDED = "LOG:  disconnection"
SCRIPTS = {"select-only": 1, "tpcb-like": 7}
"""Statements in a transaction of pgbench's own scripts."""


@pytest.fixture
def server(network, log):
    port = free_port(network.b)
    with tempfile.TemporaryDirectory(prefix="wirelag-test-") as folder:
        shutil.chown(folder, USER)
        run(network.b, log("initdb"), "initdb", "-D", folder, "-U", "tester", "--no-sync", user=USER)
        Path(folder, "pg_hba.conf").write_text("host all all 0.0.0.0/0 trust\n", "ascii")
        settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        where = ("-D", folder, "-k", "", "-h", network.b.ipv4, "-p", str(port))
        with Program(network.b, log("server"), "postgres", *where, *settings, user=USER) as server:
            server.wait_for(lambda: "ready to accept connections" in server.text)
            yield server, port


@pytest.mark.parametrize("script", SCRIPTS)
def test_messages_are_the_statements_of_the_servers_log(network, tracer, log, server, script):
    program, port = server
    pgbench = ("pgbench", "-h", network.b.ipv4, "-p", str(port), "-U", "tester", "postgres")
    run(network.a, log("fill"), *pgbench, "-i", "-q", env=PLAIN)
    program.wait_for(lambda: ENDED in program.text)
    before = len(program.text)
    tracer.forget()
    load = ("-n", "-c", str(CLIENTS), "-j", "2", "-t", str(TRANSACTIONS), "-M", "simple", "-b", script)
    with Program(network.a, log("pgbench"), *pgbench, *load, env=PLAIN) as client:
        trace = tracer.follow(lambda: client.busy)
        said = client.wait()
    program.wait_for(lambda: program.text[before:].count(ENDED) == CLIENTS + 1)
    ends = [end for end in by_end(trace + tracer.take()) if end.sends]  # not what the filling left behind

    statements = _statements(program.text[before:])
    transactions = f"{CLIENTS * TRANSACTIONS}/{CLIENTS * TRANSACTIONS}"
    assert f"actually processed: {transactions}" in said, said
    assert sorted(statements.values())[1:] == [TRANSACTIONS * SCRIPTS[script]] * CLIENTS, statements
    at_client = {end.local_port: (end.sends, end.reads) for end in ends if end.netns == network.a.inode}
    at_server = {end.remote_port: (end.reads, end.sends) for end in ends if end.netns == network.b.inode}
    logged = {client_port: (count + 2, count + 1) for client_port, count in statements.items()}
    assert at_client == logged, f"client's messages and answers {at_client}, log {logged}"
    assert at_server == logged, f"server's messages and answers {at_server}, log {logged}"
    bytes_of = {end.local_port: (end.sent, end.read) for end in ends if end.netns == network.a.inode}
    assert bytes_of == {end.remote_port: (end.read, end.sent) for end in ends if end.netns == network.b.inode}


def _statements(text):
    """Return the number of statements by the client's port."""
    ports = dict(re.findall(r"^(\d+) LOG:  connection received: host=\S+ port=(\d+)$", text, re.MULTILINE))
    counts = dict.fromkeys(map(int, ports.values()), 0)
    for process in re.findall(r"^(\d+) LOG:  statement: ", text, re.MULTILINE):
        counts[int(ports[process])] += 1
    return counts
