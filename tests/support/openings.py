# SPDX-License-Identifier: Apache-2.0
"""Connections opened in unusual ways, or long before. Runs in a `Worker`."""

import ctypes
import platform
import socket
import struct
import time

from agent.kernel.testrun import NUMBERS
from support.netns import Network
from support.traffic import Call, End, bound, listener

MSG_FASTOPEN = 0x20000000
IPPROTO_MPTCP = 262
_SOCKMAP = 15
_MAP_CREATE, _MAP_UPDATE = 0, 2
_TCP_ULP, _SOL_TLS, _TLS_SEND, _TLS_RECEIVE, _TLS_1_2, _AES_GCM_128 = 31, 282, 1, 2, 0x0303, 51
_kept: dict[str, tuple[socket.socket, socket.socket]] = {}


def reconnect(network: Network) -> list[list[Call]]:
    """One socket is connected, disconnected and connected again: two connections, one address."""
    done = []
    with listener(network.b) as listening, bound(network.a) as active:
        for _ in range(3):
            active.connect(listening.getsockname())
            accepted, _ = listening.accept()
            client, server = End(active), End(accepted)
            client.send(b"x" * 10)
            server.receive_all(10)
            server.send(b"y" * 7)
            client.receive_all(7)
            done.append(client.calls + server.calls)
            accepted.close()
            _disconnect(active)
            active.bind((network.a.ipv4, 0))
    return done


def mapped(network: Network) -> list[Call]:
    """An IPv6 socket that talks IPv4."""
    with network.b.entered():
        listening = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    with listening, bound(network.a) as active:
        listening.bind(("::", 0))
        listening.listen(4)
        active.connect((network.b.ipv4, listening.getsockname()[1]))
        accepted, _ = listening.accept()
        with accepted:
            client, server = End(active), End(accepted)
            client.send(b"four to six")
            server.receive_all(11)
            server.send(b"six to four")
            client.receive_all(11)
            return client.calls + server.calls


def fast_open(network: Network, size: int, *, wait: bool) -> list[Call]:
    """Send with the SYN, then go on."""
    with listener(network.b) as listening, bound(network.a) as active:
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 8)
        client = End(active)
        active.setblocking(wait)
        port, before = client.port, time.monotonic_ns()
        sent = active.sendto(bytes(size), MSG_FASTOPEN, listening.getsockname())
        client.note("send", port, sent, before)
        active.setblocking(True)  # noqa: FBT003
        accepted, _ = listening.accept()
        with accepted:
            server = End(accepted)
            server.receive_all(sent)
            server.send(b"answer")
            client.receive_all(6)
            client.send(b"go on")
            server.receive_all(5)
            return client.calls + server.calls


def multipath(network: Network) -> tuple[int, int]:
    """Exchange by multipath TCP; return the ports."""
    with network.b.entered():
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP)
    with network.a.entered():
        active = socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP)
    with listening, active:
        listening.bind((network.b.ipv4, 0))
        listening.listen(4)
        active.connect(listening.getsockname())
        accepted, _ = listening.accept()
        with accepted:
            for _ in range(5):
                active.sendall(b"x" * 100)
                accepted.recv(100)
                accepted.sendall(b"y" * 100)
                active.recv(100)
            return active.getsockname()[1], accepted.getsockname()[1]


def keep(network: Network, name: str, backlog: int, before: int) -> tuple[int, int]:
    """Open a connection, move ``before`` bytes each way, keep it for `use`."""
    listening, active = listener(network.b, backlog=backlog), bound(network.a)
    active.connect(listening.getsockname())
    accepted, _ = listening.accept()
    listening.close()
    for one, other in ((active, accepted), (accepted, active)):
        if before:
            one.sendall(bytes(before))
            End(other).receive_all(before)
    _kept[name] = (active, accepted)
    return active.getsockname()[1], accepted.getsockname()[1]


def use(name: str, *, close: bool = True) -> list[Call]:
    """Exchange on a kept connection."""
    client, server = map(End, _kept[name])
    for size in (10, 20_000):
        client.send(bytes(size))
        server.receive_all(size)
        server.send(bytes(size // 2))
        client.receive_all(size // 2)
    if close:
        for sock in _kept.pop(name):
            sock.close()
    return client.calls + server.calls


def one_way(name: str, size: int) -> int:
    """Send one message on a kept connection and read it; return when it was read."""
    active, accepted = _kept[name]
    active.sendall(bytes(size))
    End(accepted).receive_all(size)
    return time.monotonic_ns()


def say_all(name: str, end: int) -> None:
    """Close the sending side of end 0 (opened) or 1 (accepted) of a kept connection; the other sees it."""
    _kept[name][end].shutdown(socket.SHUT_WR)
    assert _kept[name][1 - end].recv(1) == b""


def say_more(name: str, end: int) -> None:
    """Send one message from an end of a kept connection, read it at the other, and close both."""
    ends = _kept.pop(name)
    ends[end].sendall(bytes(300))
    End(ends[1 - end]).receive_all(300)
    for sock in ends:
        sock.close()


def take_over(name: str) -> int:
    """Put the sending end of a kept connection into a sockmap; return the map's descriptor."""
    create = struct.pack("=4I112x", _SOCKMAP, 4, 4, 1)
    descriptor = _bpf(_MAP_CREATE, create)
    key, value = (ctypes.c_uint32(number) for number in (0, _kept[name][0].fileno()))
    update = struct.pack("=I4xQQQ96x", descriptor, ctypes.addressof(key), ctypes.addressof(value), 0)
    _bpf(_MAP_UPDATE, update)
    return descriptor


def encrypt(name: str) -> None:
    """Hand both ends of a kept connection over to kernel TLS, with the same keys both ways."""
    keys = struct.pack("=HH", _TLS_1_2, _AES_GCM_128) + bytes(8 + 16 + 4 + 8)
    for sock in _kept[name]:
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_ULP, b"tls")
        for way in (_TLS_SEND, _TLS_RECEIVE):
            sock.setsockopt(_SOL_TLS, way, keys)


def _bpf(command: int, attributes: bytes) -> int:
    result = int(
        ctypes.CDLL(None, use_errno=True).syscall(NUMBERS[platform.machine()], command, attributes, 128)
    )
    if result < 0:
        raise OSError(ctypes.get_errno(), "bpf()")
    return result


def _disconnect(sock: socket.socket) -> None:
    """connect() to "no family": Python has no way to say it."""
    unspecified = ctypes.create_string_buffer(16)
    assert ctypes.CDLL(None).connect(sock.fileno(), unspecified, 16) == 0
