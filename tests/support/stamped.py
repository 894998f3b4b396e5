# SPDX-License-Identifier: Apache-2.0
"""Clients and servers that note the time around their calls: ``-m support.stamped NAME WHAT HOST PORT ...``.

Each is a process of its own with a name of its own, so that its turns have an edge of their own. It prints
what it noted as JSON: a client how long each response took, a server how long it thought.
"""

import io
import json
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

HEAD = struct.Struct("!IB")
"""Of a frame of two streams: its length and its stream."""
Answered = Callable[[bytes], bool]


class Client:
    """One connection that asks and waits."""

    def __init__(self, host: str, port: str) -> None:
        self.sock = socket.create_connection((host, int(port)))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.took: list[int] = []

    def ask(self, request: bytes, answered: Answered) -> bytes:
        """Send a request in one call, read its whole response, and note the time to its first byte."""
        before = time.monotonic_ns()
        self.sock.sendall(request)
        answer = self.sock.recv(2048)
        self.took.append(time.monotonic_ns() - before)
        while not answered(answer):
            answer += self.sock.recv(2048)
        return answer


def http(client: Client, count: str, think_us: str) -> None:
    """Ask a server for pages; it is to think so long, or half and half more by turns."""
    for number in range(int(count)):
        path = f"/{int(think_us) * (2 + number % 3) // 2}"
        client.ask(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode(), _page_is_whole)


def _page_is_whole(answer: bytes) -> bool:
    head, found, body = answer.partition(b"\r\n\r\n")
    length = next(
        (line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), b":0"
    )
    return bool(found) and len(body) >= int(length.split(b":")[1])


def redis(client: Client, count: str, *words: str) -> None:
    """Give one command again and again."""
    command = _command(*words)
    for _ in range(int(count)):
        client.ask(command, lambda answer: answer.endswith(b"\r\n"))


def redis_ahead(client: Client, count: str, *words: str) -> None:
    """Give a command while the one before is worked on."""
    command = _command(*words)
    client.sock.sendall(command)
    for _ in range(int(count)):
        time.sleep(0.0005)
        client.sock.sendall(command)
        client.sock.recv(5)


def _command(*words: str) -> bytes:
    parts = [f"*{len(words)}", *(part for word in words for part in (f"${len(word)}", word)), ""]
    return "\r\n".join(parts).encode()


def postgres(client: Client, count: str, statement: str) -> None:
    """Log in and give one statement again and again, by the simple protocol."""
    words = b"user\0tester\0database\0postgres\0\0"
    client.ask(struct.pack("!II", len(words) + 8, 196_608) + words, _is_ready)
    query = statement.encode() + b"\0"
    message = b"Q" + struct.pack("!I", len(query) + 4) + query
    client.took.clear()
    for _ in range(int(count)):
        client.ask(message, _is_ready)


def _is_ready(answer: bytes) -> bool:
    return answer[-6:-1] == b"Z\0\0\0\x05"


def streams(client: Client, count: str, think_us: str) -> None:
    """Have two streams ask on one connection, each waiting for its own answers only, as with HTTP/2."""
    answers = [threading.Semaphore(0), threading.Semaphore(0)]

    def ask(stream: int) -> None:
        for number in range(int(count)):
            client.sock.sendall(HEAD.pack(int(think_us) * (1 + stream), stream))
            answers[stream].acquire()
            time.sleep(number % 7 * 0.0002)

    asking = [threading.Thread(target=ask, args=(stream,)) for stream in (0, 1)]
    for one in asking:
        one.start()
    for _ in range(2 * int(count)):
        _, stream = HEAD.unpack(client.sock.recv(HEAD.size, socket.MSG_WAITALL))
        answers[stream].release()
    for one in asking:
        one.join()


def segments(client: Client, count: str, *_: str) -> None:
    """Ask for an echo of little."""
    for number in range(int(count)):
        client.ask(bytes([number % 256]) * 10, lambda answer: len(answer) == 10)


class _Stamped(io.RawIOBase):
    """A socket's stream that notes when a read ended and the next write began."""

    thinks: ClassVar[list[int]] = []

    def __init__(self, sock: socket.socket) -> None:
        self._sock, self._read_at = sock, 0

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override] # of bytes
        count = self._sock.recv_into(buffer)
        self._read_at = time.monotonic_ns()
        return count

    def write(self, data: bytes) -> int:  # type: ignore[override] # of bytes
        if self._read_at:
            self.thinks.append(time.monotonic_ns() - self._read_at)
            self._read_at = 0
        self._sock.sendall(data)
        return len(data)


class _Page(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        stream = _Stamped(self.connection)
        self.rfile, self.wfile = io.BufferedReader(stream), stream  # type: ignore[assignment] # streams both

    def do_GET(self) -> None:  # the name that http.server asks for
        time.sleep(int(self.path[1:]) / 1e6)
        self.send_response(200)
        self.send_header("Content-Length", "500")
        self.end_headers()
        self.wfile.write(bytes(500))

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def serve_http(host: str, port: str) -> None:
    """Serve one connection to its end."""
    with HTTPServer((host, int(port)), _Page) as server:
        server.handle_request()
    sys.stdout.write(json.dumps(_Stamped.thinks))


class _Pages(ThreadingHTTPServer):
    request_queue_size = 64


def serve_pages(host: str, port: str) -> None:
    """Serve any number of connections at once, until told to end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with _Pages((host, int(port)), _Page) as server, suppress(SystemExit):
        server.serve_forever()
    sys.stdout.write(json.dumps(_Stamped.thinks))


def serve_streams(host: str, port: str) -> None:
    """Answer each frame after the time that it says, whatever else is under way."""
    with _accepted(host, port) as sock:
        while head := sock.recv(HEAD.size, socket.MSG_WAITALL):
            think_us, stream = HEAD.unpack(head)
            answer = HEAD.pack(0, stream)
            threading.Timer(think_us / 1e6, sock.sendall, (answer,)).start()


def serve_echo(host: str, port: str) -> None:
    """Answer at once."""
    with _accepted(host, port) as sock:
        while data := sock.recv(100):
            sock.sendall(data)


@contextmanager
def _accepted(host: str, port: str) -> Iterator[socket.socket]:
    with socket.create_server((host, int(port))) as server:
        sock, _ = server.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with sock:
            yield sock


CLIENTS = {one.__name__: one for one in (http, redis, redis_ahead, postgres, streams, segments)}
SERVERS = {one.__name__: one for one in (serve_http, serve_pages, serve_streams, serve_echo)}


def main() -> None:
    """Run what the arguments say."""
    name, what, host, port, *words = sys.argv[1:]
    Path("/proc/self/comm").write_text(name, encoding="ascii")
    if what in SERVERS:
        SERVERS[what](host, port)
        return
    client = Client(host, port)
    CLIENTS[what](client, *words)
    sys.stdout.write(json.dumps(client.took))


if __name__ == "__main__":
    main()
