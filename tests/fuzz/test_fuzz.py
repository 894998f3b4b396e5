# SPDX-License-Identifier: Apache-2.0
"""Everything that reads bytes from outside, fuzzed for a fixed number of inputs.

`make fuzz` goes on for as long as wanted; what it finds is fixed, and its input goes into crashers/.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz import kernel, records, spools, state, texts

ROOT = Path(__file__).parents[2]
TARGETS = {one.name: one for module in (records, kernel, texts, state, spools) for one in module.TARGETS}
HALVES = [sorted(TARGETS)[::2], sorted(TARGETS)[1::2]]


def fuzz(crashers: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fuzz.main", "--crashers", str(crashers), *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )


@pytest.mark.parametrize("names", HALVES, ids=["one", "other"])
def test_no_input_does_more_than_is_documented(names: list[str], tmp_path: Path) -> None:
    done = fuzz(tmp_path, *names)
    assert done.returncode == 0, done.stdout[-3000:]
    assert f"{len(names)} of {len(names)} targets held" in done.stdout
    made = [int(line.split()[-1]) for line in done.stdout.splitlines() if "executed_units" in line]
    assert sum(made) >= sum(TARGETS[name].runs for name in names), "each made all its runs"


def test_planted_faults_are_found(tmp_path: Path) -> None:
    """An input that only coverage leads to, and one that takes memory without bound."""
    done = fuzz(tmp_path, "planted", "greedy")
    assert done.returncode == 1
    assert done.stdout.endswith("\n0 of 2 targets held\nfailed: planted\nfailed: greedy\n")
    assert "KeyError: 'planted'" in done.stdout
    assert "MemoryError" in done.stdout
    [found] = tmp_path.glob("planted-*")
    assert found.read_bytes().startswith(b"lag!")


def test_an_input_without_end_is_found(tmp_path: Path) -> None:
    done = fuzz(tmp_path, "--input-seconds", "1", "slow")
    assert done.returncode == 1
    assert "libFuzzer: timeout" in done.stdout
