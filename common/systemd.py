# SPDX-License-Identifier: Apache-2.0
"""The part of systemd's notify protocol that a service needs: ready, stopping, still alive.

Does nothing where systemd did not ask for it.
"""

import os
import socket
from collections.abc import Mapping


def notify(message: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Send `READY=1`, `STOPPING=1` or `WATCHDOG=1`, and say whether there was someone to tell."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        try:
            channel.sendto(message.encode(), "\0" + address[1:] if address.startswith("@") else address)
        except OSError:  # a service does not fail because nobody listens
            return False
    return True


def watchdog_interval(environ: Mapping[str, str] = os.environ) -> float | None:
    """How often to send `WATCHDOG=1`: half of the seconds systemd waits for it, None when it does not."""
    microseconds = environ.get("WATCHDOG_USEC", "")
    ours = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(microseconds) / 2e6 if microseconds.isdigit() and ours else None


class Watchdog:
    """Tells systemd, from the loop that works, that it turns: as often as systemd wants to hear it."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ
        self._every = watchdog_interval(environ)
        self._next = 0.0

    def turned(self, now: float) -> None:
        """The loop has turned; ``now`` in seconds."""
        if self._every is not None and now >= self._next:
            self._next = now + self._every
            notify("WATCHDOG=1", self._environ)
