# SPDX-License-Identifier: Apache-2.0
"""The tests' own way to run consumers: none outlives a test that failed in the middle."""

from pathlib import Path

from support.consumer import Runner, World, wait_for


def test_a_consumer_that_still_runs_ends_with_its_runner(world: World) -> None:
    with Runner(world) as runner:
        pid = runner.start(until_end=False)
        assert runs(pid)
    wait_for(lambda: not runs(pid))


def runs(pid: int) -> bool:
    """Say whether a process is there and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
