# SPDX-License-Identifier: Apache-2.0
"""Sockets that write down what the application did: the truth that events are held against."""

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from support.netns import Host, Network


class Call(NamedTuple):
    """One call that moved bytes, as the application saw it."""

    kind: str
    """"send" or "receive"."""
    port: int
    """Local port of its end."""
    position: int
    """Bytes its end had moved that way before; only of use where one thread moves them all."""
    length: int
    before_ns: int
    after_ns: int
    thread: int


class End:
    """One end of a connection. All that moves bytes is written into `calls`."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.calls: list[Call] = []
        self._moved = {"send": 0, "receive": 0}

    @property
    def port(self) -> int:
        """Local port."""
        return int(self.sock.getsockname()[1])

    def send(self, data: bytes, flags: int = 0) -> int:
        """Hand over data in one system call."""
        port, before = self.port, time.monotonic_ns()
        length = self.sock.send(data, flags)
        self.note("send", port, length, before)
        return length

    def receive(self, limit: int, flags: int = 0) -> bytes:
        """Take data in one system call."""
        port, before = self.port, time.monotonic_ns()
        data = self.sock.recv(limit, flags)
        if data and not flags & (socket.MSG_PEEK | socket.MSG_OOB):
            self.note("receive", port, len(data), before)
        return data

    def receive_all(self, length: int) -> bytes:
        """Call recv(2) until so many bytes are there."""
        parts = []
        while length:
            parts.append(self.receive(length))
            assert parts[-1], "the stream ended early"
            length -= len(parts[-1])
        return b"".join(parts)

    def note(self, kind: str, port: int, length: int, before_ns: int) -> None:
        """Write down a call that was made on the socket itself."""
        position, self._moved[kind] = self._moved[kind], self._moved[kind] + length
        now, thread = time.monotonic_ns(), threading.get_native_id()
        self.calls.append(Call(kind, port, position, length, before_ns, now, thread))

    def skip(self, length: int) -> None:
        """Say that so many bytes of the stream are never read."""
        self._moved["receive"] += length

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()


def limit(sock: socket.socket) -> None:
    """Have calls that block give up at last. Python's own timeout would make the socket non-blocking."""
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", 60, 0))


def bound(host: Host, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """Return a socket of ``host``, bound to its address and a port of the kernel's choice."""
    with host.entered():
        sock = socket.socket(family, kind)
    limit(sock)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host.ipv6 if family == socket.AF_INET6 else host.ipv4, 0))
    return sock


def listener(host: Host, family: int = socket.AF_INET, backlog: int = 8) -> socket.socket:
    """Return a listening socket of ``host``."""
    sock = bound(host, family)
    sock.listen(backlog)
    return sock


@contextmanager
def joined(
    network: Network, family: int = socket.AF_INET, backlog: int = 8, *, nodelay: bool = True
) -> Iterator[tuple[End, End]]:
    """Connect host a (active) to host b (passive)."""
    with listener(network.b, family, backlog) as listening, bound(network.a, family) as active:
        active.connect(listening.getsockname())
        passive, _ = listening.accept()
        limit(passive)
        for sock in (active, passive):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, int(nodelay))
        with passive:
            yield End(active), End(passive)


def echo(network: Network, messages: int, size: int, family: int = socket.AF_INET) -> list[Call]:
    """Send a message and answer it, ``messages`` times, in one thread."""
    with joined(network, family) as (client, server):
        for _ in range(messages):
            client.send(bytes(size))
            server.receive_all(size)
            server.send(bytes(size))
            client.receive_all(size)
        return client.calls + server.calls


def echo_on(cpu: int, network: Network, messages: int, size: int) -> list[Call]:
    """Do the same on one CPU."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        return echo(network, messages, size)
    finally:
        os.sched_setaffinity(0, before)


def storm(network: Network, pairs: int, messages: int) -> tuple[int, int]:
    """Exchange small messages on several connections at once; return the calls that sent and that read."""
    counts: list[tuple[int, int]] = []

    def exchange() -> None:
        with joined(network) as (client, server):
            sent = read = 0
            one, other = client.sock, server.sock
            for _ in range(messages):
                for source, sink in ((one, other), (other, one)):
                    sent += source.send(b"0123456789") // 10
                    left = 10
                    while left:
                        left -= len(sink.recv(left))
                        read += 1
            counts.append((sent, read))

    crew = [threading.Thread(target=exchange) for _ in range(pairs)]
    for one in crew:
        one.start()
    for one in crew:
        one.join()
    return sum(sent for sent, _ in counts), sum(read for _, read in counts)
