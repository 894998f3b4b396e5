# SPDX-License-Identifier: Apache-2.0
"""Lakes with known contents, written by the lake's own writer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from history.source import Source
from lake.facts import Facts, PartitionCommit
from support.rows import Write, table


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Where the test's lake is."""
    return tmp_path / "lake"


@pytest.fixture
def write(lake: Path) -> Write:
    """Commit rows by kind to the test's lake, and return it as questions see it."""
    committed = 0

    def commit(**rows: Sequence[dict[str, Any]]) -> Source:
        nonlocal committed
        facts = Facts.open(str(lake))
        facts.resume("topic-id", 0)
        part = PartitionCommit(
            topic="wirelag.events.v1",
            topic_id="topic-id",
            partition=0,
            from_offset=committed,
            to_offset=committed + 1,
            state=b"state",
            flushed=False,
            rows={kind: table(kind, found) for kind, found in rows.items() if found},
        )
        facts.commit([part])
        committed += 1
        return Source(str(lake))

    return commit
