# SPDX-License-Identifier: Apache-2.0
"""A consumer whose lake is on a small disk: functions for a `Worker` in a mount namespace of its own."""

import os
import subprocess
import threading
from pathlib import Path

from common.config import load
from common.errors import RuntimeFailure
from consumer.cli import run
from consumer.settings import ConsumerSettings
from support.consumer import read_kind

PREFIX = ("unshare", "--mount", "--propagation", "private")
BALLAST = "ballast"


def mount(folder: str, kilobytes: int) -> None:
    """Put an empty file system of a size at a folder; it goes with the process."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "small", folder], check=True)


def fill(folder: str, left: int) -> None:
    """Fill the disk up to so many bytes."""
    found = os.statvfs(folder)
    size = found.f_bavail * found.f_frsize - left
    Path(folder, BALLAST).write_bytes(bytes(max(0, size)))


def free(folder: str) -> None:
    """Take back what fills it."""
    Path(folder, BALLAST).unlink()


def consume(overrides: list[str]) -> str:
    """Read to the end; return why that failed, or nothing."""
    try:
        run(load(ConsumerSettings, overrides=overrides), threading.Event(), until_end=True)
    except RuntimeFailure as error:
        return str(error)
    return ""


def used(folder: str) -> int:
    """Return the bytes of all files but what fills the disk."""
    files = [path for path in Path(folder).rglob("*") if path.is_file() and path.name != BALLAST]
    return sum(path.stat().st_size for path in files)


def rows(lake: str, kind: str) -> list[tuple[object, ...]]:
    """Return the rows of a kind, sorted."""
    return sorted((tuple(row.values()) for row in read_kind(Path(lake), kind).to_pylist()), key=repr)
