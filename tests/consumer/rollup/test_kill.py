# SPDX-License-Identifier: Apache-2.0
"""A roll-up killed anywhere, or meeting another, leaves what an undisturbed one leaves."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from consumer.rollup.solve import solve_window
from lake.rollup import OUTPUTS, ROLLUP_POINTS
from support.consumer import halted, wait_for
from support.rollup_runner import Runner
from tests.consumer.rollup.brute import ordered, stored
from tests.consumer.rollup.made import BEGIN, HOUR, Lake, seeded, some_rows

NOW = BEGIN + 30 * HOUR


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    with Runner() as made:
        yield made


@pytest.fixture(scope="module")
def other() -> Iterator[Runner]:
    with Runner() as made:
        yield made


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Facts of three hours, so that a round has three hours and a day to commit."""
    lake = Lake(tmp_path_factory.mktemp("filled") / "lake")
    rng = seeded(20)
    for hour in range(3):
        lake.put(some_rows(rng, BEGIN + hour * HOUR, BEGIN + (hour + 1) * HOUR, 2), BEGIN + 3 * HOUR)
    return lake.path


def rolled(path: Path) -> dict[str, list[str]]:
    facts = Lake(path).facts
    return {kind: ordered(stored(facts, kind)) for kind in OUTPUTS}


@pytest.fixture(scope="module")
def calm(filled: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    path = tmp_path_factory.mktemp("calm") / "lake"
    shutil.copytree(filled, path)
    told = Lake(path).job(solve=solve_window).round()
    assert (told.hours, told.days) == (3, 1)
    return rolled(path)


def test_killed_at_every_point_of_every_commit(
    filled: Path, calm: dict[str, list[str]], runner: Runner, tmp_path: Path
) -> None:
    """One lake on which a round is killed at each point of each of its commits, then one goes to the end."""
    path = tmp_path / "lake"
    shutil.copytree(filled, path)
    for point in ROLLUP_POINTS:
        assert runner.run(path, NOW, point) == -signal.SIGKILL
    assert runner.run(path, NOW) == 0
    assert rolled(path) == calm
    assert runner.run(path, NOW, "before-parquet") == 0, "nothing was left to do"


@pytest.mark.slow
@pytest.mark.parametrize("point", ROLLUP_POINTS)
def test_killed_at_one_point_of_the_second_third_and_fourth_commit(
    filled: Path, calm: dict[str, list[str]], runner: Runner, tmp_path: Path, point: str
) -> None:
    for passage in (4, 3, 2):
        path = tmp_path / f"lake-{passage}"
        shutil.copytree(filled, path)
        assert runner.run(path, NOW, point, passage=passage) == -signal.SIGKILL
        assert runner.run(path, NOW) == 0
        assert rolled(path) == calm


@pytest.mark.parametrize("point", ["after-parquet", "after-check"])
def test_one_that_stood_still_while_another_rolled_up_is_overtaken(
    filled: Path, calm: dict[str, list[str]], runner: Runner, other: Runner, tmp_path: Path, point: str
) -> None:
    """Suspended before or after its check, with more rows rolled up meanwhile: it takes nothing back."""
    path = tmp_path / "lake"
    shutil.copytree(filled, path)
    pid = runner.start(path, NOW, point, how="halt")
    wait_for(lambda: halted(pid))
    assert other.run(path, NOW) == 0
    os.kill(pid, signal.SIGCONT)
    assert runner.answer() == 1
    assert rolled(path) == calm
