# SPDX-License-Identifier: Apache-2.0
"""Starts one agent per demo host and reads what it says of itself when it ends."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from demo.hosts import Host

STOP_SECONDS = 30


class Agent:
    """One ``wirelag-agent run`` that sees a single namespace."""

    def __init__(self, host: Host, bootstrap: str, shards: int) -> None:
        command = [sys.executable, "-m", "agent", "run"]
        for setting in (
            f"agent.host-name={host.name}",
            f"capture.netns={host.path}",
            f"kafka.bootstrap-servers={bootstrap}",
            f"kafka.shards={shards}",
            "service.log-format=json",
            "brakes.max-cpu-percent=0",  # all is to be seen, whatever it costs
            "capture.exclude-brokers=never",
            "spool.path=",
        ):
            command += ["--set", setting]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)  # noqa: S603

    def started(self) -> None:
        """Return once it traces."""
        self._read_until("tracing")

    def stop(self) -> dict[str, Any]:
        """End the agent in good order; returns its last words."""
        self._process.send_signal(signal.SIGTERM)
        words = self._read_until("stopped")
        self._process.wait(STOP_SECONDS)
        return words

    def kill(self) -> None:
        """End the agent however it takes."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def _read_until(self, event: str) -> dict[str, Any]:
        errors: IO[str] | None = self._process.stderr
        said = []
        for line in errors or ():
            said.append(line)
            try:
                words: dict[str, Any] = json.loads(line)
            except ValueError:
                continue
            if words.get("event") == event:
                return words
        raise SystemExit("the agent ended early:\n" + "".join(said))


@contextmanager
def agents(hosts: tuple[Host, Host], bootstrap: str, shards: int) -> Iterator[list[Agent]]:
    """One agent per host; none is left when the block ends."""
    running: list[Agent] = []
    try:
        for host in hosts:
            running.append(Agent(host, bootstrap, shards))  # noqa: PERF401 - the first must be ended if the second fails
        for agent in running:
            agent.started()
        yield running
    finally:
        for agent in running:
            agent.kill()
