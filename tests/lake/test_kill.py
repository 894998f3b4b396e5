# SPDX-License-Identifier: Apache-2.0
"""A writer killed anywhere in a commit, and started again, leaves what an undisturbed one leaves."""

import signal
import subprocess
import sys
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, TableNotFoundError

from lake.facts import TRACE_POINTS, Facts
from tests.lake.killed_writer import PARTITIONS
from tests.lake.synthetic import EVENT_KINDS, HOUR_AT, advance, stored

END = HOUR_AT + 20


def _start(folder: str, step: int, point: str = "none", passage: int = 1) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "tests.lake.killed_writer",
        folder,
        str(step),
        str(END),
        point,
        str(passage),
    ]
    return subprocess.Popen(command, cwd=Path(__file__).parents[2])


def _write(folder: str, step: int, point: str = "none", passage: int = 1) -> int:
    return _start(folder, step, point, passage).wait()


def _require_undisturbed(folder: str, reference: Facts) -> None:
    facts = Facts.open(folder)
    for kind in EVENT_KINDS:
        assert stored(facts, kind) == stored(reference, kind), kind
    progress = stored(facts, "progress")
    for partition in PARTITIONS:
        covered = sorted(
            (row["from_offset"], row["to_offset"]) for row in progress if row["topic_partition"] == partition
        )
        assert (covered[0][0], covered[-1][1]) == (0, END)
        assert all(one[1] == next_one[0] for one, next_one in pairwise(covered))


@pytest.fixture
def reference(tmp_path: Path) -> Facts:
    facts = Facts.open(str(tmp_path / "reference"))
    advance(facts, PARTITIONS, 10, END)
    return facts


def test_killed_once_at_every_point_in_turn(folder: str, reference: Facts) -> None:
    for number, point in enumerate(TRACE_POINTS):
        assert _write(folder, 3 + number % 2, point) == -signal.SIGKILL
    assert _write(folder, 7) == 0
    _require_undisturbed(folder, reference)


@pytest.mark.slow
@pytest.mark.parametrize("point", TRACE_POINTS)
def test_killed_again_and_again_at_one_point(folder: str, reference: Facts, point: str) -> None:
    for step, passage in [(4, 1), (5, 2), (3, 3), (4, 1), (2, 2), (1, 1)]:
        assert _write(folder, step, point, passage) == -signal.SIGKILL
    assert _write(folder, 7) == 0
    _require_undisturbed(folder, reference)
    on_disk = len(list(Path(folder).glob("kind=match/**/*.parquet")))
    live = len(Facts.open(folder).files("match", None, None))
    before_commit = (
        TRACE_POINTS.index("after-state") < TRACE_POINTS.index(point) < TRACE_POINTS.index("after-commit")
    )
    assert (on_disk > live) == before_commit


@pytest.mark.slow
@pytest.mark.parametrize("passages", [(0, 0, 0), (3, 0, 5), (1, 2, 4)])
def test_three_that_write_the_same_partitions_at_once(
    folder: str, reference: Facts, passages: tuple[int, ...]
) -> None:
    """Each overtakes the others whenever it can, some are killed; beside them the table is compacted."""
    writers = [_start(folder, 2 + number, "after-check", passage) for number, passage in enumerate(passages)]
    while any(writer.poll() is None for writer in writers):
        _compact(folder)
    assert {writer.returncode for writer in writers} <= {0, -signal.SIGKILL}
    assert _write(folder, 7) == 0
    _require_undisturbed(folder, reference)


def _compact(folder: str) -> None:
    with suppress(TableNotFoundError, CommitFailedError):
        DeltaTable(folder).optimize.compact()
