# SPDX-License-Identifier: Apache-2.0
"""Events at a chosen pace, as many as one core can make: run in another process, so importable by name.

sendmmsg(2) and recvmmsg(2) make a thousand calls of one byte each for one system call, so that the kernel
sees a thousand sends and a thousand reads, and hardly anything else takes time. Each slice of a millisecond
is one burst; bytes are merged on their way from socket to socket only, so arrivals are few.
"""

import ctypes
import os
import socket
import time
from contextlib import ExitStack
from typing import NamedTuple

from support.netns import Host, Network
from support.traffic import joined

CONNECTIONS = 8
SLICES_A_SECOND = 1000
LONGEST = 1024
"""Messages in one call, as many as the kernel takes."""
SEND, RECEIVE = "sendmmsg", "recvmmsg"
_libc = ctypes.CDLL(None, use_errno=True)


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Message(ctypes.Structure):
    """``struct mmsghdr``."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.POINTER(_Vector)),
        ("count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int64),
        ("moved", ctypes.c_uint32),
    )


class Made(NamedTuple):
    """What a storm was."""

    calls: int
    """Sends and reads that moved a byte."""
    seconds: float


class Storm:
    """LONGEST messages of one byte, all of the same place."""

    def __init__(self) -> None:
        self._byte = ctypes.create_string_buffer(b"x")
        self._vector = _Vector(ctypes.addressof(self._byte), 1)
        self._messages = (_Message * LONGEST)()
        for message in self._messages:
            message.vectors, message.count = ctypes.pointer(self._vector), 1

    def burst(self, source: socket.socket, sink: socket.socket, messages: int) -> None:
        """Send and read so many single bytes; all but the last wait for company on their way."""
        while messages:
            some = min(messages, LONGEST)
            if some > 1:
                self._call(SEND, source, some - 1, socket.MSG_MORE)
            source.send(b"x")
            self._call(RECEIVE, sink, some, 0)
            messages -= some

    def _call(self, name: str, sock: socket.socket, messages: int, flags: int) -> None:
        moved = getattr(_libc, name)(sock.fileno(), self._messages, messages, flags, None)
        if moved != messages:
            raise OSError(
                ctypes.get_errno(), f"{name}: {moved} of {messages}, {os.strerror(ctypes.get_errno())}"
            )


def storm(host: Host, events_per_second: float, seconds: float) -> Made:
    """Make sends and reads at a pace on the loopback of one host, or as fast as it goes."""
    maker, calls = Storm(), 0
    with ExitStack() as stack:
        ends = [stack.enter_context(joined(Network(host, host))) for _ in range(CONNECTIONS)]
        begun = time.monotonic()
        for number in range(round(seconds * SLICES_A_SECOND)):
            due = round(events_per_second / 2 * (number + 1) / SLICES_A_SECOND)
            one, other = ends[number % CONNECTIONS]
            maker.burst(one.sock, other.sock, due - calls // 2)
            calls = 2 * due
            now = time.monotonic()
            if now - begun > 2 * seconds:
                break
            time.sleep(max(0.0, begun + (number + 1) / SLICES_A_SECOND - now))
        return Made(calls, time.monotonic() - begun)
