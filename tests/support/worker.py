# SPDX-License-Identifier: Apache-2.0
"""A process that runs traffic for a test, apart from the agent: an agent never traces itself.

`Worker.run(function, *args)` runs a module-level function there and returns what it returns.
"""

import os
import pickle
import select
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, ParamSpec, Self, TypeVar

from support.killed import Killed

_TESTS = Path(__file__).parent.parent
P = ParamSpec("P")
R = TypeVar("R")


class Calls:
    """What a process that runs `serve` is asked by; whoever inherits opens the two streams."""

    _asked: IO[bytes]
    _answers: IO[bytes]

    def start(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Callable[[], R]:
        """Begin and return at once; calling the result waits for the answer."""
        pickle.dump((function, args, kwargs), self._asked)
        self._asked.flush()
        return self._answer

    @property
    def busy(self) -> bool:
        """Whether the call begun last has not answered yet."""
        return not select.select([self._answers], [], [], 0)[0]

    def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run there and wait."""
        return self.start(function, *args, **kwargs)()

    def _answer(self) -> Any:  # noqa: ANN401 - what the function returned
        ok, value = pickle.load(self._answers)  # noqa: S301 - our own child
        if not ok:
            raise AssertionError(f"traffic failed:\n{value}")
        return value


class Worker(Calls, Killed):
    """One process, started at `__enter__` by way of the program ``prefix``, killed at `__exit__`."""

    def __init__(self, prefix: tuple[str, ...] = ()) -> None:
        self._prefix = prefix

    def __enter__(self) -> Self:
        path = os.pathsep.join([str(_TESTS), str(_TESTS.parent), os.environ.get("PYTHONPATH", "")])
        self._process = subprocess.Popen(
            [*self._prefix, sys.executable, "-m", "support.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._asked, self._answers = self._process.stdin, self._process.stdout
        return self

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def replace(self, name: str) -> None:
        """Have the process become another program (exec) of that name, with the same number."""
        pickle.dump((name, (), {}), self._asked)
        self._asked.flush()
        self._answer()


def serve() -> None:
    """Answer calls from standard input until it ends; what functions print goes to standard error."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if "again" in sys.argv:
        pickle.dump((True, None), answers)
        answers.flush()
    while True:
        try:
            function, args, kwargs = pickle.load(sys.stdin.buffer)  # noqa: S301 - our own parent
        except EOFError:
            return
        if isinstance(function, str):
            _become(function, answers.fileno())
        try:
            answer = (True, function(*args, **kwargs))
        except Exception:  # noqa: BLE001 - whatever it is, the parent shows it
            answer = (False, traceback.format_exc())
        pickle.dump(answer, answers)
        answers.flush()


def _become(name: str, answers: int) -> None:
    """Start over as a copy of the interpreter with another file name; it answers first."""
    os.dup2(answers, 1)
    copy = Path(tempfile.mkdtemp()) / name
    copy.symlink_to(sys.executable)
    os.execv(copy, [sys.executable, "-m", "support.worker", "again"])  # noqa: S606


if __name__ == "__main__":
    serve()
