# SPDX-License-Identifier: Apache-2.0
"""The life of a service: its settings, and the signals that end it."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated

import structlog
from msgspec import Meta

from common.command import run_command
from common.config.settings import Settings
from common.errors import ConfigError
from common.listen import parse_listen
from common.log import LogFormat, LogLevel

__all__ = ["ServiceSettings", "run_command", "stop_on_signals"]

_STOPPING = (signal.SIGTERM, signal.SIGINT)


class ServiceSettings(Settings, frozen=True):
    """The table `[service]`."""

    log_format: Annotated[LogFormat, Meta(description="auto is console on a terminal, else json")] = "auto"
    log_level: Annotated[LogLevel, Meta(description="Least level that is written")] = "info"
    metrics_listen: Annotated[
        str,
        Meta(description="host:port, or a port on 127.0.0.1, for /metrics, /livez and /readyz; empty is off"),
    ] = ""

    def __post_init__(self) -> None:
        """Refuse an address that nothing could listen at."""
        if self.metrics_listen:
            try:
                parse_listen(self.metrics_listen)
            except ConfigError as error:
                raise ValueError(str(error)) from error


@contextmanager
def stop_on_signals(on_hangup: Callable[[], None] | None = None) -> Iterator[threading.Event]:
    """An event that SIGTERM or SIGINT sets; a second SIGINT ends the process at once. Main thread only.

    Where `on_hangup` is given, SIGHUP calls it, in a thread of its own; else SIGHUP is left as it is.

    A thread sets it, woken by a byte that the interpreter writes at the signal: an event set by the handler
    itself would wait for ever when the signal comes while the main thread holds the event's lock.
    """
    stop = threading.Event()
    handled = (*_STOPPING, signal.SIGHUP) if on_hangup else _STOPPING
    reader, writer = socket.socketpair()
    writer.setblocking(False)  # noqa: FBT003 - the socket's own signature
    previous = {number: signal.signal(number, _do_nothing) for number in handled}
    previous_fd = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    thread = threading.Thread(
        target=_set_at_signal, args=(reader, stop, on_hangup), name="signals", daemon=True
    )
    thread.start()
    try:
        yield stop
    finally:
        signal.set_wakeup_fd(previous_fd)
        for number, handler in previous.items():
            signal.signal(number, handler)
        writer.close()  # ends the thread's read
        thread.join()
        reader.close()


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    """Only there so that the interpreter writes to the wake-up descriptor instead of ending the process."""


def _set_at_signal(
    reader: socket.socket, stop: threading.Event, on_hangup: Callable[[], None] | None
) -> None:
    while received := reader.recv(1):
        if received[0] == signal.SIGINT and stop.is_set():
            os._exit(128 + signal.SIGINT)
        if received[0] in _STOPPING:
            stop.set()
        if received[0] == signal.SIGHUP and on_hangup:
            try:
                on_hangup()
            except Exception:  # noqa: BLE001 - this thread has to live, or SIGTERM would go unheard
                structlog.get_logger().exception("SIGHUP")
