# SPDX-License-Identifier: Apache-2.0
"""Runs `wirelag consume` for tests, in children that can be killed at a named point of a commit.

`python -m support.consumer_runner` reads one JSON job a line from standard input and forks a child for each,
so that imports are paid once. It answers each line with two: the child's process id at once, at the end its
exit code, negative for a signal.
`{"kill": ["after-commit", 3]}` kills the child with SIGKILL when it passes that point for the third time;
with `"halt"` in the place of `"kill"` it is stopped there, until it is sent SIGCONT. `"unchecked"` takes the
check away by which a commit finds that another took over. A child ends with this process, however that ends.
"""

import ctypes
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

from common.command import run_command
from common.config import load
from common.log import setup_logging
from common.service import stop_on_signals
from consumer.cli import run, summary
from consumer.settings import ConsumerSettings
from lake.facts import Facts

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve jobs until standard input ends."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _end_with_parent()
            os._exit(_child(json.loads(line)))
        print(pid, flush=True)  # noqa: T201 - the first answer
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 - the second


def _end_with_parent() -> None:
    """Have the kernel kill this process when its parent is gone."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() == 1:  # gone already
        os._exit(1)


def _child(job: dict[str, Any]) -> int:
    with open(job["output"], "w", encoding="utf-8") as output:  # noqa: PTH123 - as a subprocess would have it
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
        sys.stdout = sys.stderr = output
        try:
            code = run_command("consume", lambda: _consume(job))
        except Exception:  # noqa: BLE001 - a test wants to see it, whatever it is
            traceback.print_exc()
            code = 70
        output.flush()
    return code


def _consume(job: dict[str, Any]) -> None:
    settings = load(ConsumerSettings, overrides=job["set"])
    setup_logging("json", "info")
    trace = _signaller(job)
    if job.get("unchecked"):
        Facts._require_owned = lambda *_: None  # type: ignore[method-assign]

    def lake(of: ConsumerSettings) -> Facts:
        return Facts.open(of.lake.uri, trace=trace)

    with stop_on_signals() as stop:
        totals = run(settings, stop, until_end=job["until_end"], lake=lake)
    print(summary(totals, settings.lake.uri))  # noqa: T201 - as the command does


def _signaller(job: dict[str, Any]) -> Callable[[str], None]:
    number = signal.SIGSTOP if job.get("halt") else signal.SIGKILL
    where = job.get("halt") or job.get("kill")
    passed = 0

    def trace(point: str) -> None:
        nonlocal passed
        if where is not None and point == where[0]:
            passed += 1
            if passed == where[1]:
                os.kill(os.getpid(), number)

    return trace


if __name__ == "__main__":
    main()
