# SPDX-License-Identifier: Apache-2.0
"""Thousands of connections of a few milliseconds: one question, one answer, and an end of some kind.

Both programs write down for each connection what they sent and read, call by call. Runs in a `Worker`.
"""

import queue
import socket
import struct
import threading
import time
from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

from support.netns import Host
from support.traffic import limit

_RESET = struct.pack("ii", 1, 0)
_HEAD = struct.Struct("=II")
_ANSWER_AFTER_SECONDS = 0.002


class Ending(IntEnum):
    """How a connection ends; both programs know it from the question."""

    CLIENT_CLOSES = 0
    SERVER_CLOSES = 1
    CLIENT_RESETS = 2
    SERVER_RESETS = 3
    CLIENT_SHUTS_DOWN_BEFORE_THE_ANSWER = 4


class Side(NamedTuple):
    """One end of one connection, by its program's own count; calls that moved nothing are not counted."""

    local_port: int
    remote_port: int
    sends: int
    sent: int
    reads: int
    read: int


class _Counted:
    """A socket that counts."""

    def __init__(self, sock: socket.socket) -> None:
        limit(sock)
        self.sock = sock
        self._ports = (int(sock.getsockname()[1]), int(sock.getpeername()[1]))
        self._moved = [0, 0, 0, 0]

    @property
    def side(self) -> Side:
        return Side(*self._ports, *self._moved)

    def send(self, data: bytes) -> None:
        assert self.sock.send(data) == len(data)
        self._moved[0] += 1
        self._moved[1] += len(data)

    def read(self, most: int) -> bytes:
        data = self.sock.recv(most)
        self._moved[2] += bool(data)
        self._moved[3] += len(data)
        return data

    def read_all(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            data += self.read(length - len(data)) or _ended()
        return data

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    def await_end(self) -> None:
        try:
            assert not self.read(1)
        except ConnectionResetError:
            return


def short_lived(host: Host, connections: int, at_once: int) -> list[Side]:
    """Open and end so many connections within a host, ``at_once`` at a time; returns both ends of each."""
    with host.entered():
        acceptor = socket.create_server(("127.0.0.1", 0), backlog=4 * at_once)
    address = acceptor.getsockname()
    sides: queue.SimpleQueue[Side | BaseException] = queue.SimpleQueue()
    shares = [range(first, connections, at_once) for first in range(at_once)]

    def ask(numbers: range) -> None:
        with host.entered():
            for number in numbers:
                sides.put(_ask(address, number))

    def serve(numbers: range) -> None:
        for _ in numbers:
            sides.put(_answer(acceptor.accept()[0]))

    def caught(work: Callable[[range], None], numbers: range) -> None:
        try:
            work(numbers)
        except BaseException as error:  # noqa: BLE001 - told in the main thread
            sides.put(error)

    crew = [threading.Thread(target=caught, args=(work, share)) for share in shares for work in (ask, serve)]
    with acceptor:
        for one in crew:
            one.daemon = True
            one.start()
        return [_told(sides.get(timeout=60)) for _ in range(2 * connections)]


def _ask(address: tuple[str, int], number: int) -> Side:
    ending, length = Ending(number % len(Ending)), 8 + number % 700
    with socket.socket() as sock:
        sock.connect(address)
        end = _Counted(sock)
        end.send(_HEAD.pack(length, number) + bytes(length - _HEAD.size))
        if ending is Ending.CLIENT_SHUTS_DOWN_BEFORE_THE_ANSWER:
            sock.shutdown(socket.SHUT_WR)
        end.read_all(_answer_length(number))
        if ending is Ending.CLIENT_RESETS:
            end.reset()
        elif ending is not Ending.CLIENT_CLOSES:
            end.await_end()
        return end.side


def _answer(sock: socket.socket) -> Side:
    with sock:
        end = _Counted(sock)
        length, number = _HEAD.unpack(end.read_all(_HEAD.size))
        end.read_all(length - _HEAD.size)
        ending = Ending(number % len(Ending))
        if ending is Ending.CLIENT_SHUTS_DOWN_BEFORE_THE_ANSWER:
            end.await_end()
        time.sleep(_ANSWER_AFTER_SECONDS)
        end.send(bytes(_answer_length(number)))
        if ending is Ending.SERVER_RESETS:
            end.reset()
        elif ending in (Ending.CLIENT_CLOSES, Ending.CLIENT_RESETS):
            end.await_end()
        return end.side


def _answer_length(number: int) -> int:
    return 1 + number % 1300


def _ended() -> bytes:
    raise AssertionError("the stream ended early")


def _told(found: Side | BaseException) -> Side:
    if isinstance(found, BaseException):
        raise found
    return found
