# SPDX-License-Identifier: Apache-2.0
"""Programs that are not wirelag's, run in a host of a test's own: the servers and load generators people use.

A program is found on PATH or in ``FOLDERS``, its output goes to a file, and it is ended by its own number,
with whatever it started.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from support.netns import Host

FOLDERS = ("/usr/sbin", "/sbin", *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True))
"""Where Debian keeps servers, beside PATH."""
PATIENCE_SECONDS = 60.0


def find(name: str) -> str:
    """Return the path of a program; ``scripts/setup --programs`` installs those that tests use."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *FOLDERS])
    found = shutil.which(name, path=path)
    assert found, f"no program {name}: scripts/setup --programs installs it"
    return found


class Program:
    """One program in the network namespace of ``host``, from ``__enter__`` to its end or ``__exit__``.

    ``user`` is the name of who runs it, for those that refuse root.
    """

    def __init__(
        self, host: Host, log: Path, *command: str, user: str | None = None, env: dict[str, str] | None = None
    ) -> None:
        self._host, self._log, self._user = host, log, user
        self._command = [find(command[0]), *command[1:]]
        self._environment = {**os.environ, "LC_ALL": "C", **(env or {})}

    def __enter__(self) -> Self:
        with self._log.open("wb") as log, self._host.entered():
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                cwd=self._log.parent,
                start_new_session=True,
                **_identity(self._user),
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self.end()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def busy(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    @property
    def text(self) -> str:
        """What it has printed."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def end(self, number: signal.Signals = signal.SIGTERM, again_seconds: float = PATIENCE_SECONDS) -> str:
        """Ask it to end, now and again, wait, and return what it printed; what does not go is killed."""
        for _ in range(int(PATIENCE_SECONDS / again_seconds)):
            self._process.send_signal(number)
            try:
                self._process.wait(again_seconds)
            except subprocess.TimeoutExpired:
                continue
            return self.text
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        raise AssertionError(f"{' '.join(self._command)} did not end:\n{self.text}")

    def wait(self) -> str:
        """Wait for its own end, which has to be a good one, and return what it printed."""
        code = self._process.wait(PATIENCE_SECONDS)
        assert code == 0, f"{' '.join(self._command)} ended with {code}:\n{self.text}"
        return self.text

    def wait_for(self, true: Callable[[], bool]) -> None:
        """Return once it is true; fail if the program ends before."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not true():
            assert self.busy, f"{' '.join(self._command)} ended early:\n{self.text}"
            assert time.monotonic() < deadline, f"{' '.join(self._command)}: not in time:\n{self.text}"
            time.sleep(0.02)

    def listening(self, port: int) -> Self:
        """Wait until something listens on a port of the host; no connection is made for it."""
        self.wait_for(lambda: listens(self._host, port))
        return self


def _identity(user: str | None) -> dict[str, Any]:
    if user is None:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def listens(host: Host, port: int) -> bool:
    """Say whether a TCP socket listens on a port in the host's namespace."""
    with host.entered():
        tables = [Path("/proc/thread-self/net") / name for name in ("tcp", "tcp6")]
        rows = [line.split() for table in tables for line in table.read_text("ascii").splitlines()[1:]]
    return any(int(row[1].rpartition(":")[2], 16) == port and row[3] == "0A" for row in rows)


def run(
    host: Host, log: Path, *command: str, user: str | None = None, env: dict[str, str] | None = None
) -> str:
    """Run a program to its end, which has to be a good one; returns what it printed."""
    with Program(host, log, *command, user=user, env=env) as program:
        return program.wait()


def free_port(host: Host) -> int:
    """Return a port of the host on which nothing listens."""
    with host.entered(), socket.socket() as sock:
        sock.bind((host.ipv4, 0))
        return int(sock.getsockname()[1])
