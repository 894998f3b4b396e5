# SPDX-License-Identifier: Apache-2.0
"""The same connection, address for address and port for port, in several networks at once."""

import socket
import struct
from contextlib import ExitStack

from support.netns import Host, Network
from support.traffic import End, limit

CLIENT_PORT, SERVER_PORT = 20_001, 30_001
_RESET = struct.pack("ii", 1, 0)


def side_by_side(networks: list[Network], lives: int, messages: int) -> list[list[int]]:
    """In every network connect, talk and reset ``lives`` times, all networks in step; runs in a `Worker`.

    Both ends send each of a network's lengths once a life. Returns these lengths, network by network.
    """
    lengths = [
        [1 + number + (messages * place) for number in range(messages)] for place in range(len(networks))
    ]
    with ExitStack() as stack:
        listeners = [stack.enter_context(_listener(network.b)) for network in networks]
        for _ in range(lives):
            _life(networks, listeners, lengths)
    return lengths


def _life(networks: list[Network], listeners: list[socket.socket], lengths: list[list[int]]) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(_bound(network.a, CLIENT_PORT)) for network in networks]
        for client, listener in zip(clients, listeners, strict=True):
            client.connect(listener.getsockname())
        servers = [stack.enter_context(listener.accept()[0]) for listener in listeners]
        pairs = [(End(one), End(other)) for one, other in zip(clients, servers, strict=True)]
        for number in range(len(lengths[0])):
            for ends, mine in zip(pairs, lengths, strict=True):
                for sender, receiver in (ends, ends[::-1]):
                    sender.send(bytes(mine[number]))
                    receiver.receive_all(mine[number])
        for sock in clients:  # so that the ports are free at once
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def _bound(host: Host, port: int) -> socket.socket:
    with host.entered():
        sock = socket.socket()
    limit(sock)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host.ipv4, port))
    return sock


def _listener(host: Host) -> socket.socket:
    sock = _bound(host, SERVER_PORT)
    sock.listen(1)
    return sock
