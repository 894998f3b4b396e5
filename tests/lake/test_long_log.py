# SPDX-License-Identifier: Apache-2.0
"""Why a lake of many commits opens quickly: what has to be read is bounded, however long the log is.

The time itself is measured by `python -m bench.lake_open`.
"""

from pathlib import Path

import pytest

from bench.lake_open import ROUND, TOPIC_ID, WRITTEN, build
from lake import housekeeping
from lake.compact import MANY
from lake.facts import Facts


@pytest.mark.slow
@pytest.mark.parametrize("commits", [360])
def test_few_log_files_and_few_live_files_are_read(tmp_path: Path, commits: int) -> None:
    made = build(tmp_path / "lake", commits)
    logs = [int(path.stem) for path in (tmp_path / "lake" / "_delta_log").glob("*.json")]
    last = housekeeping.last_checkpoint(made.storage)
    assert max(logs) >= commits
    assert max(logs) - last <= ROUND + len(WRITTEN)
    hours = {(file.kind, file.date, file.hour) for file in made.table.files()}
    assert len(made.table.files()) <= len(hours) * MANY
    facts = Facts.open(str(tmp_path / "lake"), create=False)
    assert facts.position(TOPIC_ID, 0) == commits


@pytest.mark.slow
def test_control_without_housekeeping_all_is_read(tmp_path: Path) -> None:
    made = build(tmp_path / "lake", 130, maintained=False)
    made.table.refresh()
    assert housekeeping.last_checkpoint(made.storage) == housekeeping.NO_CHECKPOINT
    assert len(made.table.files()) == 130 * len(WRITTEN)
