# SPDX-License-Identifier: Apache-2.0
"""Packets of a namespace of a test's own, as a pcap file for other programs: a raw socket, no libpcap."""

import socket
import struct
import threading
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from support.netns import Host

_ALL_PROTOCOLS = 3
_SO_TIMESTAMPNS = 35
_NANOSECONDS, _ETHERNET, _MOST = 0xA1B23C4D, 1, 65_535
_TIME = struct.Struct("@qq")


class Pcap:
    """Writes what passes the host's interface, stamped by the kernel, while the block runs."""

    def __init__(self, host: Host, path: Path) -> None:
        self._host, self._path = host, path
        self._done = threading.Event()

    def __enter__(self) -> Self:
        with self._host.entered():
            self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_PROTOCOLS))
        self._sock.bind((self._host.interface, _ALL_PROTOCOLS))
        self._sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._sock.settimeout(0.05)
        self._thread = threading.Thread(target=self._write)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        self._sock.close()

    def _write(self) -> None:
        with self._path.open("wb") as file:
            file.write(struct.pack("<IHHiIII", _NANOSECONDS, 2, 4, 0, 0, _MOST, _ETHERNET))
            while self._one(file) or not self._done.is_set():
                pass

    def _one(self, file: BinaryIO) -> bool:
        """Write the next packet, unless none comes; says whether one did."""
        try:
            packet, control, _, _ = self._sock.recvmsg(_MOST, socket.CMSG_SPACE(_TIME.size))
        except TimeoutError:
            return False
        seconds, nanoseconds = _TIME.unpack(control[0][2])
        file.write(struct.pack("<IIII", seconds, nanoseconds, len(packet), len(packet)) + packet)
        return True
