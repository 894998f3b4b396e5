# SPDX-License-Identifier: Apache-2.0
"""Requests and responses between two guests: one connection, each end in a guest's namespace for the pair.

Every call that moves bytes is written down by its guest's CLOCK_MONOTONIC, so that what events say can be
held against what the two programs saw.
"""

import socket
import time
from functools import cache

from support.inside import HERE
from support.traffic import Call, End

REQUEST_BYTES, RESPONSE_BYTES = 200, 600
_THINK_MS = (0, 1, 3, 0, 2)
_PAUSE_MS = (5, 25, 10, 40, 15)
_PATIENCE_SECONDS = 120.0


@cache
def _listener() -> socket.socket:
    with HERE.entered():
        listener = socket.create_server(("", 0))
    listener.settimeout(_PATIENCE_SECONDS)
    return listener


def listen() -> int:
    """Open the server's port and return it."""
    return int(_listener().getsockname()[1])


def answer() -> list[Call]:
    """Take one connection and answer its requests until it ends; returns the server's calls."""
    sock, _ = _listener().accept()
    with sock:
        end = _end(sock)
        number = 0
        while sock.recv(1, socket.MSG_PEEK):
            end.receive_all(REQUEST_BYTES)
            time.sleep(_THINK_MS[number % len(_THINK_MS)] / 1e3)
            end.send(bytes(RESPONSE_BYTES))
            number += 1
    return end.calls


@cache
def _client(address: str, port: int) -> End:
    with HERE.entered():
        return _end(socket.create_connection((address, port), _PATIENCE_SECONDS))


def _end(sock: socket.socket) -> End:
    sock.settimeout(_PATIENCE_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return End(sock)


def ask(address: str, port: int, exchanges: int) -> None:
    """Have so many requests answered, over the one connection that the first call opens."""
    end = _client(address, port)
    for number in range(exchanges):
        end.send(bytes(REQUEST_BYTES))
        end.receive_all(RESPONSE_BYTES)
        time.sleep(_PAUSE_MS[number % len(_PAUSE_MS)] / 1e3)


def hang_up(address: str, port: int) -> list[Call]:
    """End the connection; returns the client's calls."""
    end = _client(address, port)
    end.sock.close()
    return end.calls
