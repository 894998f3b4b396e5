# SPDX-License-Identifier: Apache-2.0
"""Fixtures and rules for every test.

`kafka` and `topics` give a real broker, started once for a session at the first test that asks, `secure` one
that wants to know who comes; `kafka_node` gives a test a broker of its own, to stop and kill. Whoever uses
one is marked `kafka` by that.
"""

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from support.alone import Turn
from support.kafka import KafkaNode
from support.secure import SecureKafka
from support.topics import Topics

# Cores are few and noisy: how long an example takes says nothing about the code. The same examples in each
# run, so that what fails is what was changed; `--hypothesis-profile=search` looks for new ones.
hypothesis.settings.register_profile(
    "wirelag", deadline=None, derandomize=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile("search", hypothesis.settings.get_profile("wirelag"), derandomize=False)
hypothesis.settings.load_profile("wirelag")

# Each five minutes a broker deletes what is older than a topic is to keep, whatever a test is at.
_KEEPS_ALL = {"log.initial.task.delay.ms": "86400000", "log.retention.check.interval.ms": "86400000"}

_BROKER_FIXTURES = {"kafka", "topics", "kafka_node", "secure"}


TURNS = pytest.StashKey[tempfile.TemporaryDirectory[str]]()
TURN = pytest.StashKey[Turn]()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # noqa: ANN401 - a worker, as pytest-xdist has it
    """Give the workers of one session a folder in common."""
    stash = node.config.stash
    if TURNS not in stash:
        stash[TURNS] = tempfile.TemporaryDirectory(prefix="wirelag-tests-")
    node.workerinput["turns"] = stash[TURNS].name


def pytest_configure(config: pytest.Config) -> None:
    """Find it, in a worker."""
    given = getattr(config, "workerinput", {})
    if "turns" in given:
        config.stash[TURN] = Turn(Path(given["turns"]))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Take it away, where it was made."""
    if TURNS in config.stash:
        config.stash[TURNS].cleanup()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Run what is marked `alone` while no other worker runs a test."""
    with ExitStack() as stack:
        if TURN in item.config.stash:
            alone = item.get_closest_marker("alone") is not None
            stack.enter_context(item.config.stash[TURN].taken(alone=alone))
        return (yield)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what `make faults` asks for: more repeats, and the figures."""
    parser.addoption("--faults-to", help="file that gets a line of JSON for each fault of tests/faults")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a broker, before `-m` selects; skip what needs root for want of it."""
    for item in items:
        if _BROKER_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.kafka)
        if item.get_closest_marker("kernel") and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="loads BPF programs, which needs root"))


@pytest.fixture(scope="session")
def _session_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaNode]:
    with KafkaNode(tmp_path_factory.mktemp("kafka"), properties=_KEEPS_ALL) as node:
        yield node


@pytest.fixture(scope="session")
def kafka(_session_node: KafkaNode) -> str:
    """The address of the session's broker, for `bootstrap.servers`. Do not stop it; see `kafka_node`."""
    return _session_node.bootstrap


@pytest.fixture
def topics(kafka: str) -> Topics:
    """`topics("events", 12)` makes a topic on the session's broker and returns its name."""
    return Topics(kafka)


@pytest.fixture(scope="session")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    """The session's broker with TLS and SASL, its users and its token server. Do not stop it."""
    with SecureKafka(tmp_path_factory.mktemp("secure")) as running:
        yield running


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port of 127.0.0.1 on which nothing listens, and nothing will while the test runs."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@pytest.fixture
def kafka_node(tmp_path: Path) -> Iterator[KafkaNode]:
    """A running broker of this test alone: `stop`, `kill`, `restart`, `suspend`, `resume`."""
    with KafkaNode(tmp_path / "kafka") as node:
        yield node
