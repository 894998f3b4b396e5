# SPDX-License-Identifier: Apache-2.0
"""Fixtures: lakes with known contents, written by the lake's own writer."""

from pathlib import Path

import pytest

from support.rows import Write, writer


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Where the test's lake is."""
    return tmp_path / "lake"


@pytest.fixture
def write(lake: Path) -> Write:
    """Commit rows by kind to the test's lake, and return it as questions see it."""
    return writer(lake)
