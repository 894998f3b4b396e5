# SPDX-License-Identifier: Apache-2.0
"""The workload of the harm benchmark: Redis and its own benchmark, in a namespace and cgroups of their own.

A message is one request with its answer, so six events: each end sends, is told of data, and reads.
"""

import csv
import subprocess
import time
from contextlib import ExitStack
from types import TracebackType
from typing import NamedTuple, Self

from bench.cgroup import Group
from support.netns import Host

PORT = 6400
CLIENTS = 50
BYTES = 16
EVENTS_OF_A_MESSAGE = 6
START_SECONDS = 5.0


class Load(NamedTuple):
    """What one run of the workload did."""

    messages: int
    seconds: float
    p99_ms: float
    """Mean over the tests (SET, GET)."""
    cpu_us: int
    """Processor time of server and clients."""

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds

    @property
    def cpu_us_per_message(self) -> float:
        """Microseconds of processor time a message, with whatever the kernel ran in its name."""
        return self.cpu_us / self.messages


class Redis:
    """A server without a disk, from `__enter__` to `__exit__`."""

    def __init__(self, host: Host) -> None:
        self._inside = ["ip", "netns", "exec", host.name]
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._server_group = self._stack.enter_context(Group("server"))
        self._client_group = self._stack.enter_context(Group("client"))
        program = ("redis-server", "--port", str(PORT), "--save", "", "--appendonly", "no")
        command = self._server_group.command(*self._inside, *program)
        self._server = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603
        until = time.monotonic() + START_SECONDS
        ping = [*self._inside, "redis-cli", "-p", str(PORT), "ping"]
        while subprocess.run(ping, check=False, capture_output=True, text=True).stdout != "PONG\n":  # noqa: S603
            if time.monotonic() > until:
                self.__exit__(None, None, None)
                raise SystemExit("redis-server does not answer")
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.kill()
        self._server.wait()
        self._stack.close()

    def run(self, messages: int) -> Load:
        """Exchange so many messages, half of them SET and half GET, over CLIENTS connections."""
        program = ("redis-benchmark", "-p", str(PORT), "-c", str(CLIENTS), "-d", str(BYTES))
        command = self._client_group.command(
            *self._inside, *program, "-n", str(messages // 2), "-t", "set,get", "--csv"
        )
        before = self._cpu_us()
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603
        used = self._cpu_us() - before
        tests = list(csv.DictReader(said.splitlines()))
        seconds = sum(messages // 2 / float(test["rps"]) for test in tests)
        p99 = sum(float(test["p99_latency_ms"]) for test in tests) / len(tests)
        return Load(messages // 2 * len(tests), seconds, p99, used)

    def _cpu_us(self) -> int:
        return self._server_group.cpu_us() + self._client_group.cpu_us()
