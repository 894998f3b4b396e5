# SPDX-License-Identifier: Apache-2.0
"""Housekeeping for tests, and maintainers that are killed, or run beside others, as a program.

`python -m tests.lake.keeping FOLDER POINTS PASSAGE ROUNDS` runs one after the other, in children, so that
imports are paid once. SIGKILL comes to each when its POINT (of a list with commas) is passed the PASSAGE-th
time; else it ends after so many rounds. Prints how many were killed.
"""

import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import NoReturn

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


def main(folder: str, points: str, passage: str, rounds: str) -> None:
    """Run one for each point; fail where one failed otherwise than by the kill."""
    codes = []
    for point in points.split(","):
        child = os.fork()
        if child == 0:
            _run(folder, point, int(passage), int(rounds))
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    assert set(codes) <= {0, -signal.SIGKILL}, codes
    print(codes.count(-signal.SIGKILL))  # noqa: T201 - the answer


def _run(folder: str, point: str, left: int, rounds: int) -> NoReturn:
    def trace(name: str) -> None:
        nonlocal left
        left -= name == point
        if name == point and left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        made = maintainer(folder, trace=trace)
        for _ in range(rounds):
            found = made.run()
            assert not found.failed, found.failed
    except Exception:  # noqa: BLE001 - whatever it is, the parent shows it
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
