# SPDX-License-Identifier: Apache-2.0
"""The roll-up beside a consumer: a process of its own, so that no cycle waits and no crash ends them.

A thread waits for what it says and counts it. A process that ends is started again after the next pause; one
that the consumer leaves behind ends with its input. It starts after the first pause, so a short run has none.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec
import structlog

from consumer.rollup.metrics import Metrics
from consumer.rollup.told import Order, Said

log = structlog.get_logger()
MODULE = "consumer.rollup.child"
_NOT_HANDED_ON = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
"""What systemd told the consumer alone."""


@contextmanager
def beside(order: Order, metrics: Metrics) -> Iterator[None]:
    """Have rounds done in another process while the block runs; with ``order.every`` 0 there are none."""
    if not order.every:
        yield
        return
    made = _Beside(order, metrics)
    thread = threading.Thread(target=made.run, name="rollup", daemon=True)
    thread.start()
    try:
        yield
    finally:
        made.end()
        thread.join()


class _Beside:
    def __init__(self, order: Order, metrics: Metrics) -> None:
        self._order, self._metrics = order, metrics
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        while not self._stop.wait(self._order.every):
            process = self._start()
            if process is None:
                continue
            self._listen(process)
            code = process.wait()
            if not self._stop.is_set():
                self._metrics.failed()
                log.error("the roll-up's process ended, started again after a pause", code=code)

    def end(self) -> None:
        """End the process, wherever it is: its commits are whole or absent."""
        with self._lock:
            self._stop.set()
            if self._process is not None:
                self._process.kill()

    def _start(self) -> "subprocess.Popen[bytes] | None":
        environment = {name: value for name, value in os.environ.items() if name not in _NOT_HANDED_ON}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        with self._lock:
            if self._stop.is_set():
                return None
            try:
                self._process = subprocess.Popen(  # noqa: S603 - our own program
                    [sys.executable, "-m", MODULE],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env=environment,
                )
            except OSError as error:
                self._metrics.failed()
                log.error("the roll-up's process cannot be started", error=str(error))  # noqa: TRY400
                return None
            return self._process

    def _listen(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin is not None  # noqa: S101 - asked for
        assert process.stdout is not None  # noqa: S101 - asked for
        with suppress(OSError), process.stdin, process.stdout:
            process.stdin.write(msgspec.json.encode(self._order) + b"\n")
            process.stdin.flush()
            for line in process.stdout:
                self._count(line)

    def _count(self, line: bytes) -> None:
        said = msgspec.json.decode(line, type=Said)
        if said.told is None:
            self._metrics.failed()
            log.warning("round of roll-up failed, tried again", error=said.error)
            return
        self._metrics.count(said.told)
        if said.told.hours or said.told.days:
            log.info("rolled up", **msgspec.to_builtins(said.told))
