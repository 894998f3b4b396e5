# SPDX-License-Identifier: Apache-2.0
"""nginx' access log and wrk's own sums are those of the events: requests, bytes asked, bytes answered.

wrk drops what is under way when its time is over, so the two programs do not agree with one another: each is
held against the events of its own end.
"""

import re
import signal

import pytest

from support.matching import audits
from support.program import Program, free_port
from support.sums import added, by_end

CONFIG = """
daemon off; user root; worker_processes 2; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    log_format counts '$request_length $bytes_sent $status';
    access_log {folder}/access.log counts;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    keepalive_requests 100000; sendfile on;
    server {{
        listen {address}:{port}; root {folder};
        location /text {{ return 200 "twelve bytes"; }}
    }}
}}
"""
REPORT = """
delay = function() return 1 end -- ms before each request: a machine's speed is not asked for here
done = function(summary)
    local e = summary.errors
    io.write(string.format("sums %d %d %d\\n", summary.requests, summary.bytes,
        e.connect + e.read + e.write + e.status + e.timeout))
end
"""
CONNECTIONS = 8
FILE_BYTES = 70_000


@pytest.fixture
def server(network, log):
    folder, port = log("server").parent, free_port(network.b)
    (folder / "file").write_bytes(bytes(FILE_BYTES))
    (folder / "done.lua").write_text(REPORT, "ascii")
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, address=network.b.ipv4, port=port), "ascii")
    command = ("nginx", "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log"))
    with Program(network.b, log("server"), *command) as server:
        yield server.listening(port), port


@pytest.mark.parametrize("path", ["text", "file"])
def test_requests_and_bytes_are_those_of_log_and_client(network, tracer, log, server, path):
    program, port = server
    folder = log("server").parent
    command = ["wrk", "-t", "2", "-c", str(CONNECTIONS), "-d", "1s", "-s", str(folder / "done.lua")]
    with Program(network.a, log("wrk"), *command, f"http://{network.b.ipv4}:{port}/{path}") as wrk:
        during = tracer.follow(lambda: wrk.busy)
        said = wrk.wait()
    program.end(signal.SIGQUIT)
    trace = during + tracer.take()
    ends = by_end(trace)
    at_client, at_server = (added([end for end in ends if end.netns == host.inode]) for host in network.hosts)

    rows = [line.split() for line in (folder / "access.log").read_text("ascii").splitlines()]
    logged = (len(rows), sum(int(row[0]) for row in rows), sum(int(row[1]) for row in rows))
    seen = (at_server.reads, at_server.read, at_server.sent)
    assert {row[2] for row in rows} == {"200"}
    assert seen == logged, f"server: events {seen}, log {logged} (requests, bytes in, bytes out)"
    assert (at_client.sends, at_client.sent) == logged[:2], f"{at_client}, log {logged}"

    requests, received, errors = map(int, re.search(r"sums (\d+) (\d+) (\d+)", said).groups())
    assert (at_client.read, errors) == (received, 0), f"{at_client}, wrk {received} bytes, {errors} errors"
    assert requests <= logged[0] <= requests + CONNECTIONS
    assert set(audits(trace, network.hosts)) == {"COMPLETE"}
    if path == "text":
        assert (at_server.sends, at_client.reads) == (logged[0], requests), (
            f"{at_server}, {at_client}, wrk {requests}"
        )
