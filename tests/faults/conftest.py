# SPDX-License-Identifier: Apache-2.0
"""The fault matrix: each test breaks one thing for real and ends with `faults.tell(...)`, one figure each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.consumer import Runner, World
from support.faults import Faults
from support.kafka import KafkaNode, KafkaNodeError
from support.sender import SHARDS
from support.topics import Topics


@pytest.fixture
def faults(pytestconfig: pytest.Config) -> Faults:
    """Tells what a fault did to the events; see support/faults.py."""
    path = pytestconfig.getoption("faults_to")
    return Faults(Path(path) if path else None, full=bool(path))


@pytest.fixture(scope="session")
def _node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaNode]:
    with KafkaNode(tmp_path_factory.mktemp("kafka")) as running:
        yield running


@pytest.fixture
def node(_node: KafkaNode) -> Iterator[KafkaNode]:
    """A running broker that a test may kill and suspend; the next test finds it running."""
    yield _node
    try:
        _node.resume()
    except KafkaNodeError:
        _node.start()


@pytest.fixture
def topic(node: KafkaNode) -> str:
    """Of records that `Sender` sends, on that broker."""
    return Topics(node.bootstrap)("events", SHARDS)


@pytest.fixture
def world(kafka: str, topics: Topics, tmp_path: Path) -> World:
    """Topics of the test's own on the session's broker, and a lake."""
    return World(kafka, topics, tmp_path)


@pytest.fixture(scope="session")
def _runners() -> Iterator[tuple[Runner, Runner]]:
    with Runner() as one, Runner() as other:
        yield one, other


@pytest.fixture
def runner(_runners: tuple[Runner, Runner], world: World) -> Iterator[Runner]:
    """Starts consumers of this test's world, all of a session out of one process that has imported it all."""
    yield from _lent(_runners[0], world)


@pytest.fixture
def other(_runners: tuple[Runner, Runner], world: World) -> Iterator[Runner]:
    """The same, for a second consumer at a time."""
    yield from _lent(_runners[1], world)


def _lent(runner: Runner, world: World) -> Iterator[Runner]:
    runner.world = world
    yield runner
    runner.end()
