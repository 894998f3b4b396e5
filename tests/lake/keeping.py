# SPDX-License-Identifier: Apache-2.0
"""Housekeeping for tests, and a maintainer that kills itself or runs beside others as a program.

`python -m tests.lake.keeping FOLDER POINT PASSAGE ROUNDS`: SIGKILL comes when POINT is passed the PASSAGE-th
time; else it ends after so many rounds.
"""

import os
import signal
import sys
from collections.abc import Callable, Mapping

from lake.maintain import Maintainer, Round
from lake.settings import KeepSettings, MaintainSettings

HOUR_NS = 3600 * 10**9


def maintainer(
    folder: str,
    *,
    keep: KeepSettings | None = None,
    settings: MaintainSettings | None = None,
    now_ns: int | None = None,
    trace: Callable[[str], None] = lambda _point: None,
) -> Maintainer:
    """Return housekeeping of a lake, at a time of the test's choice."""
    made = Maintainer.open(folder, {}, settings or MaintainSettings(), keep or KeepSettings())
    made.trace = trace
    if now_ns is not None:
        made.now_ns = lambda: now_ns
    return made


def counts(made: Round) -> Mapping[tuple[str, str], tuple[int, int]]:
    """Return (files removed, files added) by action and kind."""
    return {key: (done.removed, done.added) for key, done in made.done.items()}


def main(folder: str, point: str, passage: str, rounds: str) -> None:
    """Run until the end or the kill."""
    left = int(passage)

    def trace(name: str) -> None:
        nonlocal left
        left -= name == point
        if name == point and left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    made = maintainer(folder, trace=trace)
    for _ in range(int(rounds)):
        found = made.run()
        assert not found.failed, found.failed
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
