# SPDX-License-Identifier: Apache-2.0
"""Several threads on one socket; what they sent or got says whose bytes lie where. Runs in a `Worker`."""

import socket
import struct
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from support.netns import Network
from support.traffic import joined

_RECVFROM = 45
"""Number of the system call on x86-64."""
WORD = struct.Struct("<I")


class Reads(NamedTuple):
    """What several readers of one stream got: words that name their own place."""

    port: int
    ranges: list[tuple[int, int, int]]
    """(thread, position, length) of every run of following words within one call."""
    calls: int


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


def sleeping_reads(network: Network, readers: int) -> None:
    """So many reads of as many connections sleep at once, before any is given a byte."""
    with ExitStack() as stack:
        ends = [stack.enter_context(joined(network)) for _ in range(readers)]
        crew = [threading.Thread(target=server.sock.recv, args=(1,)) for _, server in ends]
        for one in crew:
            one.start()
        for one in crew:
            system_call = Path(f"/proc/self/task/{one.native_id}/syscall")
            while not system_call.read_text(encoding="ascii").startswith(f"{_RECVFROM} "):
                pass
        for client, _ in ends:
            client.sock.send(b"!")
        for one in crew:
            one.join()


def _runs_of_words(data: bytes) -> list[tuple[int, int]]:
    assert len(data) % WORD.size == 0
    words = [word for (word,) in WORD.iter_unpack(data)]
    runs, start = [], 0
    for i in range(1, len(words) + 1):
        if i == len(words) or words[i] != words[i - 1] + 1:
            runs.append((words[start] * WORD.size, (i - start) * WORD.size))
            start = i
    return runs
