# SPDX-License-Identifier: Apache-2.0
"""The demo's traffic: a client asks and a server answers over eight connections, sizes from 1 B to 1 MB.

``python -m demo.traffic server ADDRESS PORT`` and ``… client PORT ADDRESS…``. The client prints what it did
as one JSON line, which is the truth the demo compares wirelag with.
"""

import json
import random
import socket
import sys
import threading
import time
from pathlib import Path

EXCHANGES = 250
REPLY_BYTES = 64
LARGEST = 1_000_000
HEADER = 8
CONNECTIONS_PER_ADDRESS = 4


def rename(name: str) -> None:
    """Call this process ``name``, so that edges read well."""
    Path("/proc/self/comm").write_text(name, encoding="ascii")


def read_exactly(connection: socket.socket, size: int) -> bytes:
    """Read ``size`` bytes, or fewer when the peer has closed."""
    parts = []
    while size:
        part = connection.recv(min(size, 262_144))
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def answer(connection: socket.socket) -> None:
    """Read requests (8 bytes of length, then as many bytes) and answer each with 64 bytes."""
    with connection:
        while len(header := read_exactly(connection, HEADER)) == HEADER:
            read_exactly(connection, int.from_bytes(header, "little") - HEADER)
            connection.sendall(bytes(REPLY_BYTES))


def serve(address: str, port: int) -> None:
    """Accept until killed; says "ready" once it listens."""
    rename("server")
    with socket.create_server(
        (address, port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64
    ) as listener:
        print("ready", flush=True)
        while True:
            threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()


def ask(address: str, port: int, seed: int, totals: list[int]) -> None:
    """Make the exchanges of one connection; adds (sends, bytes) of both directions to ``totals``."""
    dice = random.Random(seed)  # noqa: S311 - sizes, not secrets
    with socket.create_connection((address, port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(EXCHANGES):
            size = HEADER + int(LARGEST ** dice.random())
            connection.sendall(size.to_bytes(HEADER, "little") + bytes(size - HEADER))
            read_exactly(connection, REPLY_BYTES)
            totals[0] += 2
            totals[1] += size + REPLY_BYTES
            time.sleep(dice.expovariate(200))


def request(port: int, addresses: list[str]) -> None:
    """Run all connections at once and print the truth."""
    rename("client")
    totals = [[0, 0] for _ in range(CONNECTIONS_PER_ADDRESS * len(addresses))]
    threads = [
        threading.Thread(target=ask, args=(addresses[k % len(addresses)], port, k, totals[k]))
        for k in range(len(totals))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sends, size = (sum(column) for column in zip(*totals, strict=True))
    print(json.dumps({"connections": len(totals), "sends": sends, "bytes": size}), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "server":
        serve(sys.argv[2], int(sys.argv[3]))
    else:
        request(int(sys.argv[2]), sys.argv[3:])
