# SPDX-License-Identifier: Apache-2.0
"""The fault matrix: each test breaks one thing for real and ends with `faults.tell(...)`, one figure each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.consumer import Runner, World
from support.faults import Faults
from support.topics import Topics


@pytest.fixture
def faults(pytestconfig: pytest.Config) -> Faults:
    """Tells what a fault did to the events; see support/faults.py."""
    path = pytestconfig.getoption("faults_to")
    return Faults(Path(path) if path else None, full=bool(path))


@pytest.fixture
def world(kafka: str, topics: Topics, tmp_path: Path) -> World:
    """Topics of the test's own on the session's broker, and a lake."""
    return World(kafka, topics, tmp_path)


@pytest.fixture(scope="session")
def _runner() -> Iterator[Runner]:
    with Runner() as runner:
        yield runner


@pytest.fixture
def runner(_runner: Runner, world: World) -> Iterator[Runner]:
    """Starts consumers of this test's world, all of a session out of one process that has imported it all."""
    _runner.world = world
    yield _runner
    _runner.end()
