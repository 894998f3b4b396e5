# SPDX-License-Identifier: Apache-2.0
"""The fault matrix: each test breaks one thing for real and ends with `faults.tell(...)`, one figure each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

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
