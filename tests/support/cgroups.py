# SPDX-License-Identifier: Apache-2.0
"""Cgroups (v2) of a test's own, below a folder that is made for it and removed with all that is in it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

UNIFIED = next(
    Path(line.split()[1])
    for line in Path("/proc/mounts").read_text(encoding="ascii").splitlines()
    if line.split()[2] == "cgroup2"
)


@contextmanager
def own_cgroup() -> Iterator[Path]:
    """Yield the folder of a new cgroup; processes that are left in it go to the root at the end."""
    top = UNIFIED / f"wirelag-test-{os.getpid()}-{uuid4().hex[:8]}"
    top.mkdir()
    try:
        yield top
    finally:
        for folder, _, _ in os.walk(top, topdown=False):
            for pid in members(Path(folder)):
                enter(UNIFIED, pid)
            Path(folder).rmdir()


def make(top: Path, path: str) -> Path:
    """Make the cgroups of a path below a folder; return the last one's folder."""
    folder = top / path.strip("/")
    folder.mkdir(parents=True)
    return folder


def members(folder: Path) -> list[int]:
    """Return the pids in a cgroup."""
    return [int(pid) for pid in (folder / "cgroup.procs").read_text(encoding="ascii").split()]


def enter(folder: Path, pid: int) -> None:
    """Move a process."""
    (folder / "cgroup.procs").write_text(str(pid), encoding="ascii")
