# SPDX-License-Identifier: Apache-2.0
"""Two hosts on one kernel with a path between them that delays, jitters and loses, unlike there and back.

Each has a TUN device; a process of its own carries packets from one to the other. What is delayed is what the
kernels sent, retransmissions and acknowledgements too.
"""

import fcntl
import heapq
import os
import select
import struct
import time
from contextlib import ExitStack
from typing import NamedTuple

import numpy as np

from support.meshed import ip
from support.netns import Host, Namespaces, Network, add
from support.worker import Worker

_TUNSETIFF, _TUN, _NO_PI = 0x400454CA, 0x0001, 0x1000
_MTU = 1500
_opened: list[int] = []


class Way(NamedTuple):
    """One direction of the path."""

    floor_ns: int
    """No packet takes less."""
    jitter_ns: int
    """More, by chance (exponential), on average."""
    loss: float = 0.0
    """The share of packets that never come."""


class SlowPath(Namespaces[Network]):
    """Context manager for the two hosts; ``there`` is from a to b."""

    def __init__(self, there: Way, back: Way) -> None:
        super().__init__()
        self._network = Network(
            Host(f"wl{self.tag}a", f"wt{self.tag}a", "10.96.0.1", "fd96::1"),
            Host(f"wl{self.tag}b", f"wt{self.tag}b", "10.96.0.2", "fd96::2"),
        )
        self._ways = there, back

    def _make(self, stack: ExitStack) -> Network:
        for host in self._network:
            add(host.name, stack)
        carrier = stack.enter_context(Worker())
        carrier.run(_open, self._network)
        for host, other in (self._network, reversed(self._network)):
            ip(
                host.name,
                f"address add {host.ipv4}/32 peer {other.ipv4} dev {host.interface}",
                f"link set {host.interface} up",
                "link set lo up",
                # A packet lost costs 0.2 s else.
                f"route replace {other.ipv4} dev {host.interface} rto_min 5ms",
            )
        carrier.start(_carry, *self._ways)
        return self._network


def _open(network: Network) -> None:
    for host in network:
        with host.entered():
            device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", host.interface.encode(), _TUN | _NO_PI))
        _opened.append(device)


def _carry(there: Way, back: Way) -> None:
    """Carry packets until this process is ended; one that left later may arrive first."""
    rng = np.random.default_rng(1)
    ways = {_opened[0]: (_opened[1], there), _opened[1]: (_opened[0], back)}
    waiting: list[tuple[int, int, int, bytes]] = []
    number = 0
    while True:
        left = max(0, waiting[0][0] - time.monotonic_ns()) / 1e9 if waiting else None
        for device in select.select(list(ways), [], [], left)[0]:
            packet, now = os.read(device, _MTU), time.monotonic_ns()
            target, way = ways[device]
            if rng.random() >= way.loss:
                due = now + way.floor_ns + int(rng.exponential(way.jitter_ns))
                number += 1
                heapq.heappush(waiting, (due, number, target, packet))
        while waiting and waiting[0][0] <= time.monotonic_ns():
            _, _, target, packet = heapq.heappop(waiting)
            os.write(target, packet)
