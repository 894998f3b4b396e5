# SPDX-License-Identifier: Apache-2.0
"""A world of its own for each test that asks for one."""

from pathlib import Path

import pytest

from support.consumer import World
from support.fake_pipeline import EVENTS
from support.fake_service import Bench
from support.topics import Topics


@pytest.fixture
def world(kafka: str, topics: Topics, tmp_path: Path) -> World:
    return World(kafka, topics, tmp_path)


@pytest.fixture
def bench() -> Bench:
    """A service on stand-ins that owns the one partition there is."""
    made = Bench()
    made.service.assigned([EVENTS])
    return made
