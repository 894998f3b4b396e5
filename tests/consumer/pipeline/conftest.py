# SPDX-License-Identifier: Apache-2.0
"""A world of its own for each test that asks for one."""

from pathlib import Path

import pytest

from support.consumer import World
from support.topics import Topics


@pytest.fixture
def world(kafka: str, topics: Topics, tmp_path: Path) -> World:
    return World(kafka, topics, tmp_path)
