# SPDX-License-Identifier: Apache-2.0
"""Traffic with known calls, each as a function of the network that returns the truth of its connections."""

import ctypes
import os
import random
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from support.netns import Network
from support.traffic import Call, End, bound, joined, limit, listener


class Truth(NamedTuple):
    """One direction of one connection, as the two applications saw it."""

    sender_port: int
    receiver_port: int
    sends: list[Call]
    reads: list[Call]
    shared: bool = False
    """Several threads wrote or read, so the order of calls is not known, only their number and bytes."""

    @property
    def total(self) -> int:
        """Bytes written."""
        return sum(call.length for call in self.sends)


def truth_of(sender: End, receiver: End, *, shared: bool = False) -> Truth:
    """Return the truth of the bytes from ``sender`` to ``receiver``, both still open."""
    sends = [call for call in sender.calls if call.kind == "send"]
    reads = [call for call in receiver.calls if call.kind == "receive"]
    return Truth(sender.port, receiver.port, sends, reads, shared)


def both(client: End, server: End) -> list[Truth]:
    """Return both directions."""
    return [truth_of(client, server), truth_of(server, client)]


def sizes(network: Network, family: int = socket.AF_INET) -> list[Truth]:
    """From one byte to one megabyte, each answered."""
    with joined(network, family) as (client, server):
        for size in (1, 2, 63, 1448, 1449, 9000, 65_536, 262_144, 1_000_000):
            taker = threading.Thread(target=server.receive_all, args=(size,))
            taker.start()
            client.send(bytes(size))
            taker.join()
            server.send(b"ok")
            client.receive_all(2)
        return both(client, server)


def sizes_ipv6(network: Network) -> list[Truth]:
    """The same over IPv6."""
    return sizes(network, socket.AF_INET6)


def coalesced(network: Network) -> list[Truth]:
    """Many small sends, read at once; then one large send, read in small parts, peeked at and waited for."""
    with joined(network) as (client, server):
        for size in range(1, 40):
            client.send(bytes(size))
        server.receive_all(sum(range(1, 40)))
        client.send(bytes(5000))
        for _ in range(4):
            server.receive(100, socket.MSG_PEEK)
            server.receive_all(777)
        server.receive(5000 - 4 * 777, socket.MSG_WAITALL)
        waiting = threading.Thread(target=server.receive, args=(3000, socket.MSG_WAITALL))
        waiting.start()
        for _ in range(3):
            client.send(bytes(1000))
        waiting.join()
        return both(client, server)


def sendfile(network: Network) -> list[Truth]:
    """A file's bytes enter the stream without a copy."""
    with joined(network) as (client, server), tempfile.TemporaryFile() as file:
        file.write(random.Random(7).randbytes(300_000))  # noqa: S311
        taker = threading.Thread(target=server.receive_all, args=(300_000,))
        taker.start()
        place = 0
        while place < 300_000:
            before = time.monotonic_ns()
            moved = os.sendfile(client.sock.fileno(), file.fileno(), place, 300_000 - place)
            client.note("send", client.port, moved, before)
            place += moved
        taker.join()
        # The kernel cuts a sendfile into sends of its own, as many as it likes.
        return [truth_of(client, server, shared=True)._replace(sends=client.calls)]


def many_threads(network: Network) -> list[Truth]:
    """Twelve connections at once, each with a thread at both ends."""
    found: list[Truth] = []

    def talk(seed: int) -> None:
        dice = random.Random(seed)  # noqa: S311
        with joined(network) as (client, server):
            for _ in range(60):
                size = dice.randrange(1, 20_000)
                client.send(bytes(size))
                server.receive_all(size)
                server.send(bytes(dice.randrange(1, 300)))
                client.receive_all(server.calls[-1].length)
            found.extend(both(client, server))

    threads = [threading.Thread(target=talk, args=(seed,)) for seed in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def shared_socket(network: Network) -> list[Truth]:
    """Four threads write to one socket with little room, three read from its other end."""
    with joined(network) as (client, server):
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        writers = [threading.Thread(target=write, args=(client, 40, 9000)) for _ in range(4)]
        readers = [
            threading.Thread(target=read_to_the_end, args=(server, size)) for size in (700, 4000, 20_000)
        ]
        for thread in writers + readers:
            thread.start()
        for thread in writers:
            thread.join()
        client.sock.shutdown(socket.SHUT_WR)
        for thread in readers:
            thread.join()
        return [truth_of(client, server, shared=True)]


def half_close(network: Network) -> list[Truth]:
    """One end has said all, with its last bytes; the other goes on."""
    with joined(network) as (client, server):
        client.send(bytes(100), socket.MSG_MORE)
        client.sock.shutdown(socket.SHUT_WR)
        while server.receive(4096):
            pass
        for _ in range(5):
            server.send(bytes(2000))
        client.receive_all(10_000)
        return both(client, server)


def local_drops(network: Network) -> list[Truth]:
    """A token bucket on the sender's own interface drops segments, so that the kernel sends them again."""
    device = network.a.interface
    network.a.run(
        "tc", "qdisc", "add", "dev", device, "root", "tbf", "rate", "60mbit", "burst", "10k", "limit", "15k"
    )
    try:
        with joined(network) as (client, server):
            taker = threading.Thread(target=server.receive_all, args=(20 * 60_000,))
            taker.start()
            write(client, 20, 60_000)
            taker.join()
            return [truth_of(client, server)]
    finally:
        network.a.run("tc", "qdisc", "del", "dev", device, "root")


def reconnect(network: Network) -> list[Truth]:
    """One socket, two connections one after the other."""
    found: list[Truth] = []
    with bound(network.a) as active:
        for _ in range(2):
            with listener(network.b) as listening:
                active.connect(listening.getsockname())
                passive, _ = listening.accept()
                limit(passive)
                with passive:
                    client, server = End(active), End(passive)
                    for size in (10, 2000, 30):
                        client.send(bytes(size))
                        server.receive_all(size)
                    found += [truth_of(client, server)]
                    dissolve(active)
    return found


def dissolve(sock: socket.socket) -> None:
    """Connect to AF_UNSPEC: the connection ends, the socket can be used again."""
    unspecified = bytes(16)
    if ctypes.CDLL(None, use_errno=True).connect(sock.fileno(), unspecified, 16) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def write(end: End, calls: int, size: int) -> None:
    """Send ``size`` bytes, ``calls`` times."""
    for _ in range(calls):
        end.send(bytes(size))


def read_to_the_end(end: End, size: int) -> None:
    """Read until the peer has closed."""
    while end.receive(size):
        pass


SCENARIOS: dict[str, Callable[[Network], list[Truth]]] = {
    "sizes": sizes,
    "sizes over IPv6": sizes_ipv6,
    "coalesced and partial reads": coalesced,
    "sendfile": sendfile,
    "many threads": many_threads,
    "shared socket": shared_socket,
    "half-close": half_close,
    "drops on the sender's interface": local_drops,
    "reconnect": reconnect,
}
