# SPDX-License-Identifier: Apache-2.0
"""A lake of each test's own."""

from pathlib import Path

import pytest

from tests.consumer.rollup.made import Lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake(tmp_path / "lake")
    assert made.facts
    return made
