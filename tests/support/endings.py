# SPDX-License-Identifier: Apache-2.0
"""Connections that end in known ways. Runs in a `Worker`; each returns (active port, passive port)."""

import socket
import struct

from support.netns import Network
from support.traffic import bound, joined, listener

_kept: dict[str, socket.socket] = {}


def orderly(network: Network) -> tuple[int, int]:
    """The opener sends 700 bytes, gets 30, and closes first."""
    with joined(network) as (client, server):
        client.send(bytes(700))
        server.receive_all(700)
        server.send(bytes(30))
        client.receive_all(30)
        ports = client.port, server.port
        client.close()
        while server.receive(100):
            pass
        server.close()
        return ports


def unused(network: Network) -> tuple[int, int]:
    """Nobody sends anything; the acceptor closes first."""
    with joined(network) as (client, server):
        ports = client.port, server.port
        server.close()
        while client.receive(100):
            pass
        client.close()
        return ports


def aborted(network: Network) -> tuple[int, int]:
    """The opener sends 50 bytes and resets the connection."""
    with joined(network) as (client, server):
        client.send(bytes(50))
        server.receive_all(50)
        ports = client.port, server.port
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        return ports


def refused(network: Network) -> tuple[int, int]:
    """Nobody listens."""
    with listener(network.b) as listening:
        address = listening.getsockname()
    with bound(network.a) as active:
        port = active.getsockname()[1]
        try:
            active.connect(address)
        except ConnectionRefusedError:
            return port, address[1]
    raise AssertionError("somebody listened")


def half(network: Network) -> tuple[int, int]:
    """The opener closes; the acceptor never does, while this process lives."""
    with joined(network) as (client, server):
        client.send(bytes(11))
        server.receive_all(11)
        server.send(bytes(5))
        client.receive_all(5)
        ports = client.port, server.port
        _kept["half"] = server.sock.dup()
        client.close()
        return ports
