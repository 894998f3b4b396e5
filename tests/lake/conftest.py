# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from lake.facts import Facts


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "lake")


@pytest.fixture
def facts(folder: str) -> Facts:
    return Facts.open(folder, now_ns=lambda: 1_750_000_000 * 10**9)
