# SPDX-License-Identifier: Apache-2.0
"""Traffic on one connection with an awkward shape, each the truth of one test. Runs in a `Worker`."""

import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from support.netns import Network
from support.traffic import Call, joined


def half_close(network: Network) -> list[Call]:
    """The client closes its sending side; the server goes on, and its FIN comes with data or alone."""
    with joined(network) as (client, server):
        client.send(b"question")
        server.receive(100)
        client.sock.shutdown(socket.SHUT_WR)
        assert server.receive(100) == b""
        server.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        for _ in range(3):
            server.send(b"an answer in parts")
        server.sock.shutdown(socket.SHUT_WR)
        client.receive_all(54)
        assert client.receive(100) == b""
        return client.calls + server.calls


def data_with_fin(network: Network) -> list[Call]:
    """The last bytes and the FIN are one segment; both ends then send what they still may."""
    with joined(network) as (client, server):
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        client.send(b"last words")
        client.sock.shutdown(socket.SHUT_WR)
        server.receive_all(10)
        assert server.receive(1) == b""
        server.send(b"late answer")
        client.receive_all(11)
        server.send(b"and more")
        client.receive_all(8)
        return client.calls + server.calls


def bulk(network: Network, sizes: list[int]) -> list[Call]:
    """Large messages one way, read as they come."""
    with joined(network) as (client, server):
        total = sum(sizes)
        reader = threading.Thread(target=server.receive_all, args=(total,))
        reader.start()
        for size in sizes:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
            assert client.send(bytes(size)) == size
        reader.join()
        return client.calls + server.calls


def would_block(network: Network) -> list[Call]:
    """A sender that does not wait: short sends, and calls that send nothing."""
    with joined(network) as (client, server):
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 14)
        client.sock.setblocking(False)  # noqa: FBT003
        refused = sent = 0
        while refused < 3:
            try:
                sent += client.send(bytes(30_000))
            except BlockingIOError:
                refused += 1
        server.receive_all(sent)
        return client.calls + server.calls


def broken_pipe(network: Network) -> list[Call]:
    """A sender whose own side is closed, and one of nothing."""
    with joined(network) as (client, server):
        client.send(b"good")
        client.send(b"")
        client.sock.shutdown(socket.SHUT_WR)
        try:
            client.send(b"bad", socket.MSG_NOSIGNAL)
        except BrokenPipeError:
            pass
        else:
            raise AssertionError("the kernel took bytes after shutdown")
        server.receive_all(4)
        return [call for call in client.calls + server.calls if call.length]


def peek_and_truncate(network: Network) -> list[Call]:
    """Looking takes nothing, throwing away takes all."""
    with joined(network) as (client, server):
        client.send(b"0123456789" * 3)
        for _ in range(3):
            assert len(server.receive(8, socket.MSG_PEEK)) == 8
        server.receive_all(10)
        server.receive(5, socket.MSG_PEEK)
        before = time.monotonic_ns()
        gone = server.sock.recv_into(bytearray(20), 20, socket.MSG_TRUNC)
        server.note("receive", server.port, gone, before)
        client.send(b"end")
        server.receive_all(3)
        return client.calls + server.calls


def urgent(network: Network) -> list[Call]:
    """An urgent byte takes a place in the stream, and no ordinary read returns it."""
    with joined(network) as (client, server):
        client.send(b"before")
        server.receive_all(6)
        client.send(b"!", socket.MSG_OOB)
        client.send(b"after")
        assert _retry(lambda: server.receive(1, socket.MSG_OOB)) == b"!"
        server.skip(1)
        server.receive_all(5)
        return client.calls + server.calls


def spliced(network: Network, size: int) -> tuple[int, int]:
    """Read by splice, which tells no result; return the reader's port and the bytes moved."""
    out, into = os.pipe()
    with joined(network) as (client, server):
        port, moved = server.port, 0
        client.send(bytes(size))
        while moved < size:
            step = os.splice(server.sock.fileno(), into, size - moved)
            os.read(out, step)
            moved += step
    os.close(out)
    os.close(into)
    return port, moved


def proxied(network: Network, rounds: int = 4) -> list[Call]:
    """Read as proxies do: a head by recv, its body by splice, the next head; the last body with the FIN."""
    out, into = os.pipe()
    with joined(network) as (client, server):
        for size in range(5000, 5000 + rounds):
            client.send(bytes(100))
            server.receive_all(100)
            client.send(bytes(size))
            last = size == 4999 + rounds
            if last:
                client.sock.shutdown(socket.SHUT_WR)
            server.sock.recv(size + last, socket.MSG_PEEK | socket.MSG_WAITALL)
            before = time.monotonic_ns()
            server.note("receive", server.port, os.splice(server.sock.fileno(), into, size), before)
            os.read(out, size)
        calls = client.calls + server.calls
    os.close(out)
    os.close(into)
    return calls


def sent_file(network: Network, size: int, path: str) -> list[Call]:
    """Send by sendfile(2)."""
    with Path(path).open("wb+") as file, joined(network) as (client, server):
        file.write(bytes(size))
        file.flush()
        reader = threading.Thread(target=server.receive_all, args=(size,))
        reader.start()
        offset = 0
        while offset < size:
            before, port = time.monotonic_ns(), client.port
            step = os.sendfile(client.sock.fileno(), file.fileno(), offset, size - offset)
            client.note("send", port, step, before)
            offset += step
        reader.join()
        return client.calls + server.calls


def low_water(network: Network) -> list[Call]:
    """The reader is only told once 10 bytes are there, and takes some earlier without asking."""
    with joined(network) as (client, server):
        server.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 10)
        client.send(b"1234")
        _until_there(server.sock, 4)
        server.receive(4, socket.MSG_DONTWAIT)
        client.send(b"1234567890")
        server.receive_all(10)
        return client.calls + server.calls


def _until_there(sock: socket.socket, length: int) -> None:
    """Wait until so many bytes are in the socket, without taking them."""
    while len(_retry(lambda: sock.recv(length, socket.MSG_PEEK | socket.MSG_DONTWAIT))) < length:
        pass


def _retry(call: Callable[[], bytes]) -> bytes:
    """Call until it no longer says that there is nothing yet."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return call()
        except OSError:  # EAGAIN; of urgent data EINVAL
            if time.monotonic() > deadline:
                raise
