# SPDX-License-Identifier: Apache-2.0
"""A lake of a test's own. Only programs that tests start force files to the disk: it would take time."""

from pathlib import Path

import pytest

from lake.facts import Facts


@pytest.fixture(autouse=True)
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Give what would have been forced to the disk, in order."""
    paths: list[Path] = []
    monkeypatch.setattr("lake.storage._fsync", paths.append)
    return paths


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "lake")


@pytest.fixture
def facts(folder: str) -> Facts:
    return Facts.open(folder, now_ns=lambda: 1_750_000_000 * 10**9)
