# SPDX-License-Identifier: Apache-2.0
"""Rolls lakes up (`wirelag rollup`) for tests, in children that can be killed or halted at a point.

`python -m support.rollup_runner` reads one JSON job a line and forks a child for each, so that imports are
paid once. It answers with the child's process id at once, at the end with its exit code, negative for a
signal. `now_ns` of a job is the time that the child takes for now, `passage` which time at the point counts.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from consumer.rollup.job import Job
from consumer.rollup.solve import solve_window
from lake.rollup import RollUps
from lake.settled import Waits
from support.jobs import serve
from support.kafka import ROOT
from support.killed import Killed

MINUTE_NS = 60 * 10**9
WAITS = Waits(2 * MINUTE_NS, 20 * MINUTE_NS)


class Runner(Killed):
    """Starts children out of one process that has imported it all; one job at a time."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.rollup_runner"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        )
        return self

    def start(self, lake: Path, now_ns: int, point: str = "", *, passage: int = 1, how: str = "kill") -> int:
        """Begin a round and return its process id."""
        job = {"lake": str(lake), "now_ns": now_ns, "point": point, "passage": passage, "how": how}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return self.answer()

    def answer(self) -> int:
        """Return the next number that is told: of a job that was started, its exit code."""
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def run(self, lake: Path, now_ns: int, point: str = "", *, passage: int = 1) -> int:
        """Do a round and return its exit code."""
        self.start(lake, now_ns, point, passage=passage)
        return self.answer()


def main() -> None:
    """Serve jobs until standard input ends."""
    serve("rollup", _round)


def _round(job: dict[str, Any]) -> None:
    left = job["passage"]

    def trace(point: str) -> None:
        nonlocal left
        if point == job["point"]:
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGSTOP if job["how"] == "halt" else signal.SIGKILL)

    table = RollUps.open(job["lake"], trace=trace)
    told = Job(table, WAITS, solve_window, now_ns=lambda: int(job["now_ns"])).round()
    os._exit(1 if told.overtaken else 0)


if __name__ == "__main__":
    main()
