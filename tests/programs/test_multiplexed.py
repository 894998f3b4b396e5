# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 and pipelined Redis as people run them: where requests do not wait, no turn is answered.

nginx before an application, and Redis, are asked by h2load and redis-benchmark, with many requests under way
on a connection and with one at a time; from the real agent to the lake's rows and to what a query says. One
at a time, turns are valid, and held against what the programs themselves note.
"""

import sys
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import pytest

from schemas.turns import MEASURES, PIPELINED
from support.consumer import read_kind
from support.netns import Network, VethPair, hosts_of
from support.program import Program, run
from support.topics import Topics
from support.turn_sums import Sum, added
from support.whole_way import SHARDS, AgentProcess, Names, consume, query
from tests.programs.test_turns import PATHS, WIDTH, near

COUNT = 301
"""Requests of what waits. Of think times of three sorts the middle one is then of one sort."""
MANY = 3_000
STREAMS = 20
CONFIG = """
daemon off; user root; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    keepalive_requests 100000;
    upstream application {{ server {address}:{application}; keepalive 64; }}
    server {{
        {listens}
        root {folder};
        proxy_http_version 1.1; proxy_set_header Connection "";
        location / {{ proxy_pass http://application; }}
        location /file {{ }}
        location /large {{ }}
    }}
}}
"""
THINKS = ("/1000", "/2000", "/3000")
"""Pages of the application: how long it is to think, us."""
THOUGHT_NS = 2_000_000
"""The middle one of these."""
SMALL_WINDOW = ("-w16", "-W16")
"""64 KiB, as most clients have: a larger page needs WINDOW_UPDATE on its way."""
WEB = {
    "http1": (COUNT, THINKS, ("--h1",)),
    "http2": (COUNT, THINKS, ("-m1",)),
    "http2-file": (COUNT, ("/file",), ("-m1",)),
    "http2-windows": (COUNT, ("/large",), ("-m1", *SMALL_WINDOW)),
    "streams": (MANY, THINKS, (f"-m{STREAMS}",)),
    "streams-file": (MANY, ("/file",), (f"-m{STREAMS}",)),
}
"""Name -> how many requests, for what, and what h2load is told."""
REDIS = {
    "redis": ("-P", "1", "-n", str(COUNT), "DEBUG", "SLEEP", "0.002"),
    "redis-set": ("-P", "1", "-n", str(COUNT), "-t", "set", "-d", "4000"),
    "redis-batches": ("-P", "16", "-n", str(16 * COUNT), "DEBUG", "SLEEP", "0.0001"),
    "redis-pipelined": ("-P", "16", "-n", str(16 * COUNT), "-t", "set", "-d", "4000"),
}
OWN_WORK = 0.2
"""The most of a response time that a client's own work takes; what stood beside pipelining was 0.95 off."""
WAITING = ("http1", "http2", "http2-file", "redis", "redis-set")
CROSSING = ("streams", "streams-file", "http2-windows", "redis-pipelined", "redis-pipe")


class Answers(NamedTuple):
    """Of each program, by the name of the case, what wirelag says and what was said by others."""

    stored: dict[str, dict[str, Sum]]
    """By the rows in the lake."""
    given: dict[str, dict[str, dict[str, Any]]]
    """By ``wirelag query latency``: measure -> row."""
    took: dict[str, float]
    """By the client: the median of its response times, ns."""


@pytest.fixture(scope="module")
def answers(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    folder, topics = tmp_path_factory.mktemp("multiplexed"), Topics(kafka)
    folder.chmod(0o755)
    names = Names(kafka, topics("events", SHARDS), topics("control"), topics("latency"), topics("poison"))
    cases = ("application", *WEB, *REDIS, "redis-pipe")
    ports = {name: 18_000 + number for number, name in enumerate(cases)}  # nothing else is in the namespace
    took: dict[str, float] = {}
    with VethPair() as network, AgentProcess(names, hosts_of(network)):
        _web(network, folder, ports, took)
        _redis(network, folder, ports, took)
    consume(names, folder / "lake")
    rows: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in read_kind(folder / "lake", "histogram").to_pylist():
        rows[_port(row)].append(row)
    given: defaultdict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for row in query("latency", folder / "lake", "--kind", ",".join(MEASURES)):
        given[_port(row)][row["kind"]] = row
    stored = {name: added(rows[str(port)]) for name, port in ports.items()}
    return Answers(stored, {name: given[str(port)] for name, port in ports.items()}, took)


def _port(row: dict[str, Any]) -> str:
    return str(row["edge"]).rpartition(":")[2]


def _web(network: Network, folder: Path, ports: dict[str, int], took: dict[str, float]) -> None:
    """Run nginx before an application, and ask with h2load."""
    address, port = network.b.ipv4, ports["application"]
    (folder / "large").write_bytes(bytes(200_000))
    (folder / "file").write_bytes(bytes(2_000))
    listens = [f"listen {address}:{ports[name]}{'' if name == 'http1' else ' http2'};" for name in WEB]
    config = CONFIG.format(folder=folder, address=address, application=port, listens=" ".join(listens))
    (folder / "nginx.conf").write_text(config, "ascii")
    serve = (sys.executable, "-m", "support.stamped", "application", "serve_pages", address, str(port))
    nginx = ("nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log"))
    with Program(network.b, folder / "application", *serve, env=PATHS) as application:
        application.listening(port)
        with Program(network.b, folder / "nginx.log", *nginx) as server:
            for name, (count, pages, options) in WEB.items():
                server.listening(ports[name])
                log = folder / f"{name}.took"
                urls = [f"http://{address}:{ports[name]}{page}" for page in pages]
                run(
                    network.a,
                    folder / name,
                    "h2load",
                    "-c1",
                    f"-n{count}",
                    f"--log-file={log}",
                    *options,
                    *urls,
                )
                lines = [line.split("\t") for line in log.read_text("ascii").splitlines()]
                assert [line[1] for line in lines] == ["200"] * count, name
                took[name] = median(1_000 * int(line[2]) for line in lines)


def _redis(network: Network, folder: Path, ports: dict[str, int], took: dict[str, float]) -> None:
    address = network.b.ipv4
    plain = ("--bind", address, "--protected-mode", "no", "--save", "", "--enable-debug-command", "yes")
    commands = folder / "commands"
    commands.write_text("".join(f"SET key{n} value{n}\r\n" for n in range(100_000)), "ascii")
    for name in (*REDIS, "redis-pipe"):
        at = ("-h", address, "-p", str(ports[name]))
        with Program(network.b, folder / f"{name}-server", "redis-server", "--port", at[3], *plain) as server:
            server.listening(ports[name])
            if name == "redis-pipe":
                text = run(
                    network.a, folder / name, "sh", "-c", f"redis-cli {' '.join(at)} --pipe < {commands}"
                )
                assert "errors: 0, replies: 100000" in text
            else:
                text = run(network.a, folder / name, "redis-benchmark", *at, "-c", "1", "--csv", *REDIS[name])
                row = text.splitlines()[-1].split('","')  # test, rps, avg, min and p50 in ms, and others
                took[name] = 1e6 * float(row[4])


@pytest.mark.parametrize("name", CROSSING)
def test_where_requests_do_not_wait_no_turn_is_answered(answers: Answers, name: str) -> None:
    """The server's end proves it, and the client's is withheld with it, though it saw nothing."""
    assert answers.stored[name]["server-turn"].invalid == PIPELINED, answers.stored[name]
    assert answers.stored[name]["network"].invalid is not None
    assert answers.stored[name]["client-turn"].seen > 0
    assert answers.given[name] == {}


@pytest.mark.parametrize("name", WAITING)
def test_the_same_programs_one_request_at_a_time_are_valid(answers: Answers, name: str) -> None:
    """Each request is an exchange; one more may be HTTP/2's settings, and what redis-benchmark asks first."""
    for measure, one in answers.stored[name].items():
        assert (one.spoiled, one.invalid) == (0, None), (measure, one)
        assert COUNT <= one.seen <= COUNT + 1, (measure, one)
        assert answers.given[name][measure]["n"] == one.n


@pytest.mark.parametrize("name", [*WAITING, "redis-batches"])
def test_the_clients_turn_is_what_the_client_measured(answers: Answers, name: str) -> None:
    """But for the client's own work before it writes and after it reads, which is in its figure alone.

    What redis-benchmark calls the latency of commands given 16 at a time is that of the batch, too.
    """
    turn, took = answers.given[name]["client-turn"]["p50_ns"], answers.took[name]
    assert turn <= took or near(turn, took), (turn, took)
    assert turn >= took * (1 - OWN_WORK) or near(turn, took), (turn, took)


@pytest.mark.parametrize("name", ["http1", "http2"])
def test_the_servers_turn_lies_between_the_applications_and_the_clients(answers: Answers, name: str) -> None:
    """It hands the request on, and so thinks no shorter."""
    turn = answers.given[name]["server-turn"]["p50_ns"]
    assert turn * (1 + WIDTH) >= THOUGHT_NS
    assert turn * (1 - WIDTH) <= answers.took[name], (turn, answers.took[name])


def test_behind_many_streams_each_request_has_a_connection_of_its_own(answers: Answers) -> None:
    """The proxy asks the application one thing at a time: its turns are valid, of the very same requests."""
    behind = answers.given["application"]
    assert {row["spoiled"] for row in behind.values()} == {0}
    assert {row["n"] for row in behind.values()} == {2 * COUNT + MANY}
    assert behind["server-turn"]["p50_ns"] * (1 + WIDTH) >= THOUGHT_NS
    assert behind["server-turn"]["p50_ns"] <= behind["client-turn"]["p50_ns"]
