# SPDX-License-Identifier: Apache-2.0
"""Network namespaces of a test's own, gone at the end: two hosts on one kernel, joined by a veth pair.

No two have one name, in whatever process: the capture of one test goes by the namespace's number, and that of
a namespace that was taken away may soon be another's.
"""

import ctypes
import os
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Generic, NamedTuple, TypeVar

Made = TypeVar("Made")
_CLONE_NEWNET = 0x40000000
_numbers = count()
_libc = ctypes.CDLL(None, use_errno=True)


class Host(NamedTuple):
    """One namespace with one interface. Plain data: it may be sent to another process."""

    name: str
    interface: str
    ipv4: str
    ipv6: str

    @property
    def inode(self) -> int:
        """The namespace's number, as the kernel programs filter by it."""
        return self._path.stat().st_ino

    @property
    def _path(self) -> Path:
        return Path("/run/netns") / self.name

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Put this thread into the namespace: sockets made meanwhile belong to it for good."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            inside = os.open(self._path, os.O_RDONLY)
            try:
                _setns(inside)
            finally:
                os.close(inside)
            yield
        finally:
            _setns(before)
            os.close(before)

    def run(self, *command: str) -> None:
        """Run a program in the namespace."""
        _run("ip", "netns", "exec", self.name, *command)

    def sysctl(self, name: str, value: object) -> None:
        """Set one of the namespace's own kernel settings."""
        with self.entered():
            Path("/proc/sys", *name.split(".")).write_text(str(value), encoding="ascii")


class Network(NamedTuple):
    """Two hosts on one link."""

    a: Host
    b: Host

    @property
    def hosts(self) -> tuple[Host, Host]:
        """Both."""
        return (self.a, self.b)


class Namespaces(ABC, Generic[Made]):
    """Context manager for what `_make` makes; all of it goes at the end, or when making it fails."""

    def __init__(self) -> None:
        self.tag = f"{os.getpid() % 1_000_000:x}-{next(_numbers)}"

    @abstractmethod
    def _make(self, stack: ExitStack) -> Made:
        """Make it, and leave with the stack how it goes."""

    def __enter__(self) -> Made:
        with ExitStack() as stack:
            made = self._make(stack)
            self._stack = stack.pop_all()
        return made

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


class VethPair(Namespaces[Network]):
    """Context manager for a `Network`."""

    def _make(self, stack: ExitStack) -> Network:
        a, b = (
            Host(f"wl{self.tag}{end}", f"wv{self.tag}{end}", f"10.99.0.{last}", f"fd99::{last}")
            for end, last in (("a", 1), ("b", 2))
        )
        for host in (a, b):
            add(host.name, stack)
        _run("ip", "link", "add", a.interface, "netns", a.name, "type", "veth",
             "peer", "name", b.interface, "netns", b.name)  # fmt: skip
        for host in (a, b):
            host.run("ip", "address", "add", f"{host.ipv4}/24", "dev", host.interface)
            host.run("ip", "address", "add", f"{host.ipv6}/64", "dev", host.interface, "nodad")
            host.run("ip", "link", "set", host.interface, "up")
            host.run("ip", "link", "set", "lo", "up")
        # A port then names its host too.
        a.sysctl("net.ipv4.ip_local_port_range", "20000 29999")
        b.sysctl("net.ipv4.ip_local_port_range", "30000 39999")
        return Network(a, b)


def hosts_of(network: Network) -> tuple[int, int]:
    """Return the inode numbers to trace for this network's traffic alone."""
    return (network.a.inode, network.b.inode)


def _setns(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET) < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"setns: {os.strerror(code)}")


def add(name: str, stack: ExitStack) -> None:
    """Make a network namespace, which goes with the stack.

    One of the same name is of a killed process that had this one's number.
    """
    _delete(name)
    _run("ip", "netns", "add", name)
    stack.callback(_delete, name)


def _delete(name: str) -> None:
    subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
