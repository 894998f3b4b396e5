# SPDX-License-Identifier: Apache-2.0
"""A small server and its client, each a thread with a socket of its own host: requests, pauses, responses."""

import socket
import threading
import time
from typing import NamedTuple

from support.netns import Network
from support.traffic import Call, End, joined


class Asked(NamedTuple):
    """One request as the two programs saw it: the calls around its turn at either end."""

    request_end: int
    response_begin: int
    last_send: Call
    """Of the client: the request's last bytes."""
    last_read: Call
    """Of the server: the same bytes."""
    first_send: Call
    """Of the server: the response's first bytes."""
    first_read: Call
    """Of the client: the same bytes."""
    think_ns: int
    """What the server was told to wait."""


class Talk(NamedTuple):
    """All of a connection; ``ports`` are the client's and the server's."""

    ports: tuple[int, int]
    asked: list[Asked]


def ask(network: Network, thinks_ns: list[int], request: list[int], response: list[int]) -> Talk:
    """Send requests of some parts, each answered after a pause; say all at the end (half-close) and read on.

    ``request`` and ``response`` are the sizes of the parts, each a call; the client reads 7,000 bytes a call.
    """
    with joined(network) as (client, server):
        serving = threading.Thread(target=_serve, args=(server, thinks_ns, sum(request), response))
        serving.start()
        for number in range(len(thinks_ns)):
            for size in request:
                client.send(bytes(size))
            if number == len(thinks_ns) - 1:
                client.sock.shutdown(socket.SHUT_WR)
            _read(client, sum(response))
        serving.join()
        return Talk((client.port, server.port), _asked(client, server, thinks_ns, request, response))


def overtake(network: Network, exchanges: int) -> tuple[int, int]:
    """Send each request before the one before is read, and have it arrive; return the ports."""
    with joined(network) as (client, server):
        client.send(bytes(100))
        for _ in range(exchanges):
            client.send(bytes(100))
            server.sock.recv(200, socket.MSG_PEEK | socket.MSG_WAITALL)
            server.receive_all(100)
            server.send(bytes(500))
            client.receive_all(500)
        return client.port, server.port


def _serve(server: End, thinks_ns: list[int], request: int, response: list[int]) -> None:
    for think in thinks_ns:
        server.receive_all(request)
        time.sleep(think / 1e9)
        for size in response:
            server.send(bytes(size))


def _read(end: End, size: int) -> None:
    while size:
        size -= len(end.receive(min(size, 7_000)))


def _asked(
    client: End, server: End, thinks_ns: list[int], request: list[int], response: list[int]
) -> list[Asked]:
    found = []
    for number, think in enumerate(thinks_ns):
        stop, begin = (number + 1) * sum(request), number * sum(response)
        one = Asked(
            stop,
            begin,
            _moving(client, "send", stop - 1),
            _moving(server, "receive", stop - 1),
            _moving(server, "send", begin),
            _moving(client, "receive", begin),
            think,
        )
        found.append(one)
    return found


def _moving(end: End, kind: str, byte: int) -> Call:
    """Return the call that moved a byte."""
    of_kind = (call for call in end.calls if call.kind == kind)
    return next(call for call in of_kind if call.position <= byte < call.position + call.length)
