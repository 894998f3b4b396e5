# SPDX-License-Identifier: Apache-2.0
"""Traffic with an awkward shape, each the truth of one test. Runs in a `Worker`."""

import os
import socket
import struct
import threading
import time
from typing import NamedTuple

from support.netns import Network
from support.traffic import Call, End, bound, joined, listener

MSG_FASTOPEN = 0x20000000
IPPROTO_MPTCP = 262
WORD = struct.Struct("<I")
_kept: dict[str, tuple[socket.socket, ...]] = {}


class Reads(NamedTuple):
    """What several readers of one stream got: words that name their own place."""

    port: int
    ranges: list[tuple[int, int, int]]
    """(thread, position, length) of every run of following words within one call."""
    calls: int


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
        client.sock.setblocking(False)
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


def sent_file(network: Network, size: int, path: str) -> list[Call]:
    """Send by sendfile(2)."""
    with open(path, "wb+") as file, joined(network) as (client, server):  # noqa: PTH123
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


def letters(network: Network, writers: int, rounds: int) -> tuple[int, int, list[tuple[int, int, int]]]:
    """Each writer sends its own letter; the reader says where runs of one letter lie.

    Returns the writers' port, the number of calls, and (thread, position, length) of the runs.
    """
    threads: dict[int, int] = {}
    with joined(network) as (client, server):
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 14)
        server.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 13)
        port, size = client.port, 150_000
        gate = threading.Barrier(writers + 1)

        def write(letter: int) -> None:
            threads[letter] = threading.get_native_id()
            gate.wait()
            for _ in range(rounds):
                assert client.sock.send(bytes([letter]) * size) == size

        crew = [threading.Thread(target=write, args=(65 + i,)) for i in range(writers)]
        for one in crew:
            one.start()
        gate.wait()
        data = server.receive_all(writers * rounds * size)
        for one in crew:
            one.join()
    runs, start = [], 0
    while start < len(data):
        letter = data[start]
        rest = data[start:].lstrip(bytes([letter]))
        length = len(data) - start - len(rest)
        runs.append((threads[letter], start, length))
        start += length
    return port, writers * rounds, runs


def shared_reads(network: Network, readers: int, words: int, flags: int, *, peek: bool) -> Reads:
    """Several threads read one stream of numbered words; the words say who got which bytes."""
    found: list[tuple[int, int, int]] = []
    calls = [0]
    with joined(network) as (client, server):
        port, size, lock = server.port, 12_000, threading.Lock()

        def read() -> None:
            while True:
                if peek:
                    server.sock.recv(size, socket.MSG_PEEK)
                data = server.sock.recv(size, flags)
                if not data:
                    return
                runs = _runs_of_words(data)
                with lock:
                    calls[0] += 1
                    found.extend((threading.get_native_id(), *run) for run in runs)

        crew = [threading.Thread(target=read) for _ in range(readers)]
        for one in crew:
            one.start()
        stream = b"".join(map(WORD.pack, range(words)))
        for start in range(0, len(stream), 5_000):
            client.sock.sendall(stream[start : start + 5_000])
        client.sock.shutdown(socket.SHUT_WR)
        for one in crew:
            one.join()
    return Reads(port, sorted(found, key=lambda run: run[1]), calls[0])


def fast_open(network: Network, size: int, *, wait: bool) -> list[Call]:
    """Send with the SYN, then go on."""
    with listener(network.b) as listening, bound(network.a) as active:
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 8)
        client = End(active)
        active.setblocking(wait)
        port, before = client.port, time.monotonic_ns()
        sent = active.sendto(bytes(size), MSG_FASTOPEN, listening.getsockname())
        client.note("send", port, sent, before)
        active.setblocking(True)
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


def _runs_of_words(data: bytes) -> list[tuple[int, int]]:
    assert len(data) % WORD.size == 0
    words = [word for (word,) in WORD.iter_unpack(data)]
    runs, start = [], 0
    for i in range(1, len(words) + 1):
        if i == len(words) or words[i] != words[i - 1] + 1:
            runs.append((words[start] * WORD.size, (i - start) * WORD.size))
            start = i
    return runs


def _until_there(sock: socket.socket, length: int) -> None:
    """Wait until so many bytes are in the socket, without taking them."""
    while _retry(lambda: len(sock.recv(length, socket.MSG_PEEK | socket.MSG_DONTWAIT))) < length:
        pass


def _retry(call):  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + 10
    while True:
        try:
            return call()
        except (BlockingIOError, OSError):
            if time.monotonic() > deadline:
                raise


def _disconnect(sock: socket.socket) -> None:
    """connect() to "no family": Python has no way to say it."""
    import ctypes  # noqa: PLC0415

    unspecified = ctypes.create_string_buffer(16)
    assert ctypes.CDLL(None).connect(sock.fileno(), unspecified, 16) == 0
