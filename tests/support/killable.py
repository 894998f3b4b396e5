# SPDX-License-Identifier: Apache-2.0
"""An agent that is killed at a chosen moment, with all known that it held in the kernel at that moment."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from support.bpf_objects import Held, held
from support.consumer import halted
from support.house import ROOT
from support.netns import Network, hosts_of
from support.whole_way import Names

_PATIENCE_SECONDS = 60.0


class KillableAgent:
    """``wirelag-agent run`` on two hosts; whatever is left of the process at ``__exit__`` is killed."""

    def __init__(self, broker: str, network: Network, folder: Path) -> None:
        own = {
            "capture.netns": ",".join(map(str, hosts_of(network))),
            "agent.runtime-dir": folder / "run",
            "agent.host-name": "killable",
            "spool.path": folder / "spool",
            "kafka.shards": 4,
        }
        names = Names(broker, "wirelag.events.v1", "wirelag.control.v1", "", "")
        self._command = [sys.executable, "-m", "agent", "run", *names.settings()]
        self._command += [word for name, value in own.items() for word in ("--set", f"{name}={value}")]
        self._log = folder / "agent.log"
        self._temporary = folder / "tmp"

    def __enter__(self) -> Self:
        self._temporary.mkdir()
        environment = {**os.environ, "TMPDIR": str(self._temporary)}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stderr=log, cwd=ROOT, env=environment)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def said(self) -> str:
        """Its log."""
        return self._log.read_text(encoding="utf-8")

    @property
    def temporary(self) -> list[str]:
        """Names of what is in its folder for temporary files."""
        return sorted(path.name for path in self._temporary.iterdir())

    def await_objects(self, many: int) -> None:
        """Return once it holds at least so many things in the kernel."""
        self._await(lambda: len(held(self._process.pid).objects) >= many)

    def await_tracing(self) -> None:
        """Return once all is attached."""
        self._await(lambda: "tracing" in self.said)

    def halt(self) -> Held:
        """Stop it where it is, and return what it holds there."""
        self._process.send_signal(signal.SIGSTOP)
        self._await(lambda: halted(self._process.pid))
        return held(self._process.pid)

    def go_on(self) -> None:
        """Let it go on after ``halt``."""
        self._process.send_signal(signal.SIGCONT)

    def end(self, number: signal.Signals) -> int:
        """Send a signal, wait for the end and return the exit code, negative for a signal."""
        self._process.send_signal(number)
        return self._process.wait(_PATIENCE_SECONDS)

    def _await(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not true():
            assert self._process.poll() is None, f"the agent ended early:\n{self.said}"
            assert time.monotonic() < deadline, f"not in time:\n{self.said}"
            time.sleep(0.002)
