# SPDX-License-Identifier: Apache-2.0
"""Turns and network time of real servers under the real agent, against what was noted at their sockets.

Think times are the tests' own: a page that sleeps, Redis' DEBUG SLEEP, PostgreSQL's pg_sleep. What wirelag
says is held against stamps of the two programs, or against the server's own account of its commands.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import pytest

from bench.recorded.record import records
from consumer.engine import EngineSettings, EventEngine, Record
from schemas.turns import MEASURES
from support.delayed import Delayed
from support.netns import Host, Network, VethPair, hosts_of
from support.pcap import Pcap
from support.program import Program, free_port, run
from support.topics import Topics
from support.turn_sums import Sum, added
from support.whole_way import SHARDS, AgentProcess, Names
from tests.consumer.engine.traffic import collect

ROOT = Path(__file__).resolve().parents[2]
PATHS = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
COUNT = 61
"""Odd: of think times of three sorts the middle one is then of one sort."""
NEAR_NS = 50_000
DELAY_NS = 3_000_000
WIDTH = 0.0109
"""A bucket's, as a share of its values."""


class Answers(NamedTuple):
    """What wirelag says, and what the programs said."""

    told: dict[str, dict[str, Sum]]
    """The client's name -> measure -> what is told."""
    said: dict[str, list[int]]
    """A program's name -> what it noted, ns."""
    accounts: dict[str, float]
    """The median of the servers' own accounts of a command, ns."""
    closes: list[dict[str, Any]]
    """What the ends told of connections that are over."""


def stamped(host: Host, log: Path, name: str, *words: str) -> Program:
    return Program(host, log, sys.executable, "-m", "support.stamped", name, *words, env=PATHS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("turns")


@pytest.fixture(scope="module")
def answers(kafka: str, folder: Path) -> Iterator[Answers]:
    """Run all programs under one agent, then find the exchanges of all that it told."""
    topics = Topics(kafka)
    names = Names(kafka, topics("events", SHARDS), topics("control"), topics("latency"), topics("poison"))
    said: dict[str, list[int]] = {}
    with VethPair() as network:
        with AgentProcess(names, hosts_of(network)):
            accounts = {**_redis(network, folder, said), **_postgres(network, folder, said)}
            _http(network, folder, said)
            _own(network, folder, said, "python", "serve_http", "http", str(COUNT), "1000")
            with Delayed(network, DELAY_NS) as path, Pcap(path.a, folder / "echo.pcap"):
                _own(path, folder, said, "echo", "serve_echo", "segments", str(COUNT))
            _own(network, folder, said, "streams", "serve_streams", "streams", str(COUNT), "700")
        told, closes = _told(kafka, names.events)
        yield Answers(told, said, accounts, closes)


def _own(network: Network, folder: Path, said: dict[str, list[int]], name: str, *words: str) -> None:
    """Run a server and a client that are in support.stamped, and give the client words."""
    serve, ask, *rest = words
    port = str(free_port(network.b))
    with stamped(network.b, folder / serve, f"{name}-server", serve, network.b.ipv4, port) as server:
        server.listening(int(port))
        with stamped(network.a, folder / name, name, ask, network.b.ipv4, port, *rest) as client:
            said[name] = json.loads(client.wait())
        text = server.wait()
    said[f"{name}-server"] = json.loads(text) if text else []


def _http(network: Network, folder: Path, said: dict[str, list[int]]) -> None:
    """Run a client and a server whose stamps are next to their calls."""
    port = str(free_port(network.b))
    for name in ("http", "http-server"):
        subprocess.run(["cc", "-O2", "-o", folder / name, Path(__file__).parent / "stamped.c"], check=True)
    serve = (str(folder / "http-server"), "serve", network.b.ipv4, port)
    with Program(network.b, folder / "http-server.log", *serve) as server:
        server.listening(int(port))
        words = ("ask", network.b.ipv4, port, str(COUNT), "1000")
        with Program(network.a, folder / "http.log", str(folder / "http"), *words) as client:
            said["http"] = [int(line) for line in client.wait().split()]
        said["http-server"] = [int(line) for line in server.wait().split()]


def _redis(network: Network, folder: Path, said: dict[str, list[int]]) -> dict[str, float]:
    port = str(free_port(network.b))
    settings = {
        "port": port,
        "bind": network.b.ipv4,
        "protected-mode": "no",
        "save": "",
        "dir": str(folder),
        "enable-debug-command": "yes",
        "slowlog-log-slower-than": "0",
        "slowlog-max-len": "1000",
    }
    words = [word for name, value in settings.items() for word in (f"--{name}", value)]
    at = (network.b.ipv4, port)
    with Program(network.b, folder / "redis", "redis-server", *words) as server:
        server.listening(int(port))
        commands = {"redis-ping": ("PING",), "redis-sleep": ("DEBUG", "SLEEP", "0.002")}
        for name, command in commands.items():
            with stamped(network.a, folder / name, name, "redis", *at, str(COUNT), *command) as client:
                said[name] = json.loads(client.wait())
        slow = run(
            network.a,
            folder / "slowlog",
            "redis-cli",
            "-h",
            at[0],
            "-p",
            port,
            "--json",
            "SLOWLOG",
            "GET",
            "1000",
        )
        sleep = ("redis_ahead", *at, str(COUNT), "DEBUG", "SLEEP", "0.001")
        with stamped(network.a, folder / "ahead", "redis-ahead", *sleep) as client:
            client.wait()
    took = {
        name: [1e3 * row[2] for row in json.loads(slow) if row[3] == list(words)]
        for name, words in commands.items()
    }
    assert [len(one) for one in took.values()] == [COUNT, COUNT]
    return {name: median(one) for name, one in took.items()}


def _postgres(network: Network, folder: Path, said: dict[str, list[int]]) -> dict[str, float]:
    port = str(free_port(network.b))
    statements = {"pg-plain": "select 1", "pg-sleep": "select pg_sleep(0.002)"}
    with ExitStack() as stack:
        data = stack.enter_context(tempfile.TemporaryDirectory(prefix="wirelag-test-"))
        shutil.chown(data, "nobody")
        run(network.b, folder / "initdb", "initdb", "-D", data, "-U", "tester", "--no-sync", user="nobody")
        Path(data, "pg_hba.conf").write_text("host all all 0.0.0.0/0 trust\n", "ascii")
        words = ("-D", data, "-k", "", "-h", network.b.ipv4, "-p", port, "-c", "log_min_duration_statement=0")
        more = ("-c", "fsync=off", "-c", "autovacuum=off")
        server = Program(network.b, folder / "pg", "postgres", *words, *more, user="nobody")
        stack.enter_context(server).listening(int(port))
        for name, statement in statements.items():
            asked = ("postgres", network.b.ipv4, port, str(COUNT), statement)
            with stamped(network.a, folder / name, name, *asked) as client:
                said[name] = json.loads(client.wait())
        text = server.text
    found = {}
    for name, statement in statements.items():
        took = re.findall(rf"duration: ([0-9.]+) ms  statement: {re.escape(statement)}$", text, re.MULTILINE)
        assert len(took) == COUNT
        found[name] = median(1e6 * float(one) for one in took)
    return found


def _told(bootstrap: str, topic: str) -> tuple[dict[str, dict[str, Sum]], list[dict[str, Any]]]:
    """Return what the engine tells of turns, by the name of the client's process, and of closes."""
    engines = {number: EventEngine(number, EngineSettings()) for number in range(SHARDS)}
    outputs = [
        engines[partition].apply([Record(offset, 1_790_000_000_000 + 10 * offset, value)])
        for offset, (partition, value) in enumerate(records(bootstrap, topic))
    ]
    outputs += [engine.flush() for engine in engines.values()]
    rows = collect(outputs)
    parts: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows["histogram"]:
        parts[str(row["edge"]).partition("@")[0]].append(row)
    return {client: added(mine) for client, mine in parts.items()}, rows["close"]


def near(value: float, truth: float) -> bool:
    return abs(value - truth) <= NEAR_NS + WIDTH * truth


def test_each_exchange_of_programs_that_wait_is_told_at_both_ends(answers: Answers) -> None:
    """The close proves the last one. PostgreSQL's start-up is an exchange too."""
    more = {"pg-plain": 1, "pg-sleep": 1}
    for name in ("http", "python", "redis-ping", "redis-sleep", "pg-plain", "pg-sleep"):
        seen = {measure: one.seen for measure, one in answers.told[name].items()}
        assert seen == dict.fromkeys(MEASURES, COUNT + more.get(name, 0)), name
        assert {one.spoiled for one in answers.told[name].values()} == {0}, name


@pytest.mark.parametrize("name", ["http", "python"])
def test_turns_and_network_time_of_http_are_those_of_both_programs(answers: Answers, name: str) -> None:
    """Of Python's http.server too, whose stamps are an interpreter's few microseconds away from the calls."""
    told, took, thought = answers.told[name], answers.said[name], answers.said[f"{name}-server"]
    assert len(took) == len(thought) == COUNT
    ways = [response - think for response, think in zip(took, thought, strict=True)]
    assert near(told["server-turn"].p50, median(thought)), (told, median(thought))
    assert near(told["client-turn"].p50, median(took)), (told, median(took))
    assert near(told["network"].p50, median(ways)), (told, median(ways))


@pytest.mark.parametrize(("name", "plain"), [("redis-sleep", "redis-ping"), ("pg-sleep", "pg-plain")])
def test_a_servers_turn_is_its_own_account_of_the_command(answers: Answers, name: str, plain: str) -> None:
    """Beside the command a turn holds reading, parsing and writing, which the plain command shows alone."""
    told = answers.told[name]["server-turn"].p50 - answers.told[plain]["server-turn"].p50
    account = answers.accounts[name] - answers.accounts[plain]
    assert account > 1_900_000
    assert near(told, account), (told, account)


@pytest.mark.parametrize("name", ["redis-ping", "redis-sleep", "pg-plain", "pg-sleep"])
def test_the_clients_turn_is_what_it_waited(answers: Answers, name: str) -> None:
    assert near(answers.told[name]["client-turn"].p50, median(answers.said[name]))


@pytest.mark.parametrize("name", ["streams", "redis-ahead"])
def test_requests_that_do_not_wait_for_answers_are_invalid(answers: Answers, name: str) -> None:
    """Two streams on one connection, and commands given ahead; what waits is valid (the control)."""
    assert answers.told[name]["server-turn"].invalid == "pipelined"
    assert answers.told[name]["network"].invalid is not None
    assert {one.invalid for one in answers.told["redis-sleep"].values()} == {None}


def test_network_time_is_the_round_trip_that_tcptrace_finds_in_the_packets(
    answers: Answers, folder: Path
) -> None:
    """And the kernel's own. An echo over a path of 3 ms each way; tcptrace tells tenths of a millisecond.

    Network time has the wake-ups of both programs in it, of which at the quickest little is left.
    """
    told = answers.told["echo"]["network"]
    packets = ("tcptrace", "-n", "-r", "-l", str(folder / "echo.pcap"))
    text = subprocess.run(packets, check=True, cwd=folder, capture_output=True, text=True).stdout
    least, mean = (float(re.search(rf"RTT {what}: +([0-9.]+) ms", text)[1]) * 1e6 for what in ("min", "avg"))  # type: ignore[index]
    (kernel,) = {row["min_rtt_us"] * 1000 for row in answers.closes if str(row["edge"]).startswith("echo@")}
    assert least >= 2 * DELAY_NS - 100_000
    assert abs(kernel - least) <= 250_000, (kernel, least)
    assert -250_000 <= told.least - least <= 500_000, (told.least, least)
    assert least <= told.p50 <= 2 * mean, (told, mean)
