# SPDX-License-Identifier: Apache-2.0
"""Lets tests marked `alone` run while no test of another pytest-xdist worker does.

Tests share a lock and those marked hold it for themselves, before their time begins to count. Who waits for
it holds the gate in front of it, so that a marked test is not kept waiting by ever new ones.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


class Turn:
    """The lock, by two files in a folder that all workers of a session know."""

    def __init__(self, folder: Path) -> None:
        self._gate = _opened(folder / "gate")
        self._room = _opened(folder / "room")

    @contextmanager
    def taken(self, *, alone: bool) -> Iterator[None]:
        """Wait until a test may run, and hold the place for it."""
        with _held(self._gate, fcntl.LOCK_EX):
            fcntl.flock(self._room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        try:
            yield
        finally:
            fcntl.flock(self._room, fcntl.LOCK_UN)


def _opened(path: Path) -> TextIO:
    return path.open("w")  # held open as long as the worker lives


@contextmanager
def _held(file: TextIO, how: int) -> Iterator[None]:
    fcntl.flock(file, how)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)
