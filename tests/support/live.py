# SPDX-License-Identifier: Apache-2.0
"""A live program as a person runs it: a process of its own, ended by Ctrl-C."""

import json
import signal
import subprocess
import sys
from typing import Any, NamedTuple, Self

from support.house import ROOT
from support.killed import Killed
from support.netns import Host

READY = "wirelag-agent: tracing; Ctrl-C ends\n"


class Said(NamedTuple):
    """What a program printed, all of it, and how it ended."""

    lines: list[str]
    errors: str
    code: int

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The lines as JSON, without the summary."""
        return [row for row in map(json.loads, self.lines) if row["kind"] != "summary"]

    @property
    def summary(self) -> dict[str, Any]:
        """The last line as JSON."""
        last: dict[str, Any] = json.loads(self.lines[-1])
        assert last["kind"] == "summary"
        return last


class LiveProgram(Killed):
    """``wirelag-agent`` with these arguments, restricted to some hosts; it traces from ``__enter__`` on.

    Not so one that does not say when it is ``ready``: it traces from its first line on.
    """

    def __init__(self, hosts: tuple[Host, ...], *arguments: str, ready: bool = True) -> None:
        self._ready = ready
        self._command = [sys.executable, "-m", "agent", *arguments]
        self._command += [part for host in hosts for part in ("--netns", str(host.inode))]
        self._lines: list[str] = []

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert self._process.stderr is not None
        if not self._ready:
            return self
        first = self._process.stderr.readline()
        if first != READY:
            self._process.kill()
            raise AssertionError(first + self._process.communicate()[1])
        return self

    def read(self, lines: int) -> list[str]:
        """Wait for so many lines, and return them; they are part of what `end` returns too."""
        assert self._process.stdout is not None
        new = [self._process.stdout.readline().rstrip("\n") for _ in range(lines)]
        self._lines += new
        return new

    def end(self) -> Said:
        """Press Ctrl-C and return what it printed."""
        self._process.send_signal(signal.SIGINT)
        out, errors = self._process.communicate(timeout=60)
        return Said(self._lines + out.splitlines(), errors, self._process.returncode)


def run(*arguments: str, prefix: tuple[str, ...] = ()) -> Said:
    """Run ``wirelag-agent`` to its own end, by way of the program ``prefix`` if there is one."""
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "agent", *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )
    return Said(done.stdout.splitlines(), done.stderr, done.returncode)
