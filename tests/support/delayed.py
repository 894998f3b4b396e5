# SPDX-License-Identifier: Apache-2.0
"""A path that takes time between two hosts of a test's own: a TAP device in each, and a thread between them.

Kernels without netem have no other; how long a packet really takes depends on the thread, so it is to be
measured, not assumed.
"""

import fcntl
import os
import select
import struct
import threading
import time
from collections import deque
from types import TracebackType

from support.netns import Host, Network

_TUNSETIFF = 0x400454CA
_TAP, _NO_INFORMATION = 0x0002, 0x1000
_MOST = 65_536


class Delayed:
    """Context manager for the same two hosts with other addresses, a packet taking ``delay_ns`` each way."""

    def __init__(self, network: Network, delay_ns: int) -> None:
        tag = f"ws{os.getpid() % 1_000_000:x}"
        a, b = network
        self._network = Network(
            Host(a.name, f"{tag}a", "10.98.0.1", a.ipv6), Host(b.name, f"{tag}b", "10.98.0.2", b.ipv6)
        )
        self._delay_ns = delay_ns
        self._done = threading.Event()

    def __enter__(self) -> Network:
        self._ends = [_tap(host) for host in self._network]
        self._thread = threading.Thread(target=self._carry)
        self._thread.start()
        return self._network

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        for end in self._ends:
            os.close(end)

    def _carry(self) -> None:
        others = dict(zip(self._ends, reversed(self._ends), strict=True))
        waiting: deque[tuple[int, int, bytes]] = deque()
        while not self._done.is_set():
            left = waiting[0][0] - time.monotonic_ns() if waiting else 50_000_000
            for end in select.select(self._ends, [], [], max(left, 0) / 1e9)[0]:
                packet = os.read(end, _MOST)
                waiting.append((time.monotonic_ns() + self._delay_ns, others[end], packet))
            while waiting and waiting[0][0] <= time.monotonic_ns():
                _, end, packet = waiting.popleft()
                os.write(end, packet)


def _tap(host: Host) -> int:
    with host.entered():
        end = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(end, _TUNSETIFF, struct.pack("16sH22x", host.interface.encode(), _TAP | _NO_INFORMATION))
    host.run("ip", "address", "add", f"{host.ipv4}/24", "dev", host.interface)
    host.run("ip", "link", "set", host.interface, "up")
    return end
