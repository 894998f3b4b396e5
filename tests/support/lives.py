# SPDX-License-Identifier: Apache-2.0
"""Connections that are opened, used and ended in ways whose figures are known. Runs in a `Worker`."""

import os
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from support.netns import Host, Network
from support.traffic import bound, listener

_TCP_SYNCNT = 7
_TCP_REPAIR = 19
_kept: dict[str, tuple[socket.socket, socket.socket]] = {}


class Life(NamedTuple):
    """One connection: the ports of its ends, and moments of CLOCK_MONOTONIC around its opening."""

    client: int
    server: int
    before_ns: int
    connected_ns: int
    user: int = 0
    """Process that used it, where that is another than its opener."""


def conversation(network: Network, request: int, response: int) -> Life:
    """The client sends, the server answers when it has all, both close in order."""
    life, active, accepted = _connected(network)
    with active, accepted:
        _send_all(active, accepted, request)
        _send_all(accepted, active, response)
        active.shutdown(socket.SHUT_WR)
        assert not accepted.recv(1)
        accepted.close()
        assert not active.recv(1)
    return life


def unread(network: Network, size: int, read: int) -> Life:
    """The server takes a part of what came, and closes."""
    life, active, accepted = _connected(network)
    with active:
        active.sendall(b"u" * size)
        while len(accepted.recv(size, socket.MSG_PEEK)) < size:
            pass
        accepted.recv(read)
        accepted.close()
        active.settimeout(60)
        _drained(active)
    return life


def reset(network: Network) -> Life:
    """The client ends with a reset."""
    life, active, accepted = _connected(network)
    with accepted:
        active.sendall(b"r" * 50)
        accepted.recv(50)
        active.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        active.close()
        accepted.settimeout(60)
        _drained(accepted)
    return life


def refused(network: Network) -> int:
    """Connect to a port where nobody listens; returns the client's port."""
    with listener(network.b) as listening:
        nobody = listening.getsockname()
    with bound(network.a) as active:
        port: int = active.getsockname()[1]
        try:
            active.connect(nobody)
        except ConnectionRefusedError:
            return port
    raise AssertionError("somebody listens")


def unanswered(network: Network) -> tuple[int, int]:
    """Connect to a port that drops everything; returns the client's port and the number of SYNs that came."""
    with _dropping(network.b, "tcp dport 9 counter drop"), bound(network.a) as active:
        port: int = active.getsockname()[1]
        active.setsockopt(socket.IPPROTO_TCP, _TCP_SYNCNT, 1)
        try:
            active.connect((network.b.ipv4, 9))
        except TimeoutError:
            return port, _dropped(network.b)
    raise AssertionError("somebody answered")


def begin(network: Network, size: int) -> Life:
    """Open a connection, send, and leave it open for ``end``."""
    life, active, accepted = _connected(network)
    _send_all(active, accepted, size)
    _kept["open"] = (active, accepted)
    return life


def more(size: int) -> None:
    """Send more on what ``begin`` left open."""
    _send_all(*_kept["open"], size)


def end(size: int) -> None:
    """Send more on what ``begin`` left open, and close it."""
    active, accepted = _kept.pop("open")
    with active, accepted:
        _send_all(active, accepted, size)
        active.close()
        assert not accepted.recv(1)


def passed(network: Network) -> Life:
    """This process connects; a child of its sends."""
    life, active, accepted = _connected(network)
    with active, accepted:
        child = os.fork()
        if child == 0:
            active.sendall(b"p" * 40)
            os._exit(0)
        os.waitpid(child, 0)
        assert len(accepted.recv(40, socket.MSG_WAITALL)) == 40
    return life._replace(user=child)


def repaired(network: Network) -> int:
    """A connection set up by TCP_REPAIR alone, as a restored process has it; returns its port."""
    with bound(network.a) as active:
        port: int = active.getsockname()[1]
        active.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
        active.connect((network.b.ipv4, 9))
        active.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 0)
    return port


def many(network: Network, connections: int) -> None:
    """Open and close one connection after the other."""
    with listener(network.b) as listening:
        for _ in range(connections):
            with bound(network.a) as active:
                active.connect(listening.getsockname())
                accepted, _ = listening.accept()
                with accepted:
                    active.sendall(b"m")
                    accepted.recv(1)
                    active.close()
                    assert not accepted.recv(1)


@contextmanager
def dropping(host: Host, every: int) -> Iterator[None]:
    """Have a host lose every n-th of the larger packets that come in."""
    with _dropping(host, f"ip length > 500 numgen inc mod {every} 0 drop"):
        yield


@contextmanager
def _dropping(host: Host, rule: str) -> Iterator[None]:
    chain = "add chain ip losing in { type filter hook input priority 0; }"
    text = f"add table ip losing\n{chain}\nadd rule ip losing in {rule}\n"
    with host.entered():
        subprocess.run(["nft", "-f", "-"], input=text, check=True, text=True)
    try:
        yield
    finally:
        host.run("nft", "delete", "table", "ip", "losing")


def _dropped(host: Host) -> int:
    with host.entered():
        told = subprocess.run(
            ["nft", "list", "table", "ip", "losing"], check=True, capture_output=True, text=True
        )
    return int(told.stdout.partition("counter packets ")[2].split()[0])


def _connected(network: Network) -> tuple[Life, socket.socket, socket.socket]:
    active = bound(network.a)
    with listener(network.b) as listening:
        before_ns = time.monotonic_ns()
        active.connect(listening.getsockname())
        connected_ns = time.monotonic_ns()
        accepted, _ = listening.accept()
    life = Life(active.getsockname()[1], accepted.getsockname()[1], before_ns, connected_ns)
    return life, active, accepted


def _send_all(sender: socket.socket, receiver: socket.socket, size: int) -> None:
    """Send in blocks that the buffers hold, each read before the next."""
    for begin in range(0, size, 20_000):
        part = min(20_000, size - begin)
        sender.sendall(b"s" * part)
        left = part
        while left:
            left -= len(receiver.recv(left))


def _drained(sock: socket.socket) -> None:
    """Read until the peer's reset or end."""
    try:
        while sock.recv(4096):
            pass
    except ConnectionResetError:
        pass
