# SPDX-License-Identifier: Apache-2.0
"""Cgroups (v2) of a benchmark's own: what the processes in one have used, to the microsecond.

``cpu.stat`` counts in every cgroup, whether or not the controller is enabled, and keeps what processes used
that have ended. A process is put into its cgroup before it becomes the program, so that all of it counts.
"""

import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

MOUNTS = Path("/proc/self/mounts")
ENTER = 'echo $$ > "$0/cgroup.procs" && exec "$@"'
LEAVING_SECONDS = 5.0


class Group:
    """One cgroup, from `__enter__` to `__exit__`, which waits until the processes in it have gone."""

    def __init__(self, name: str) -> None:
        self._path = _root() / f"wirelag-bench-{os.getpid()}-{name}"

    def __enter__(self) -> Self:
        self._path.mkdir()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        until = time.monotonic() + LEAVING_SECONDS
        while (self._path / "cgroup.procs").read_text(encoding="ascii") and time.monotonic() < until:
            time.sleep(0.01)
        self._path.rmdir()

    def command(self, *arguments: str) -> list[str]:
        """Return the command line that runs ``arguments`` inside."""
        return ["sh", "-c", ENTER, str(self._path), *arguments]

    def cpu_us(self) -> int:
        """Return microseconds of processor time, user and system, of all that ever ran inside."""
        first = (self._path / "cpu.stat").read_text(encoding="ascii").splitlines()[0]
        return int(first.removeprefix("usage_usec "))


def _root() -> Path:
    for line in MOUNTS.read_text(encoding="utf-8").splitlines():
        _, path, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(path)
    raise SystemExit("no cgroup of version 2 is mounted (mount -t cgroup2 none /sys/fs/cgroup/unified)")
