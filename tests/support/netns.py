# SPDX-License-Identifier: Apache-2.0
"""Network namespaces of a test's own: two hosts on one kernel, joined by a veth pair, gone at the end."""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

_CLONE_NEWNET = 0x40000000
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


class VethPair:
    """Context manager for a `Network`; `label` keeps several apart."""

    def __init__(self, label: str = "0") -> None:
        tag = f"{os.getpid() % 1_000_000:x}{label}"
        self._network = Network(
            Host(f"wl{tag}a", f"wv{tag}a", "10.99.0.1", "fd99::1"),
            Host(f"wl{tag}b", f"wv{tag}b", "10.99.0.2", "fd99::2"),
        )

    def __enter__(self) -> Network:
        a, b = self._network
        try:
            for host in (a, b):
                add(host.name)
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
        except BaseException:
            self._remove()
            raise
        return self._network

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def _remove(self) -> None:
        for host in self._network:
            subprocess.run(["ip", "netns", "delete", host.name], check=False, capture_output=True)


def hosts_of(network: Network) -> tuple[int, int]:
    """Return the inode numbers to trace for this network's traffic alone."""
    return (network.a.inode, network.b.inode)


def _setns(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET) < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"setns: {os.strerror(code)}")


def add(name: str) -> None:
    """Make a network namespace; one of the same name is of a killed process that had this one's number."""
    subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)
    _run("ip", "netns", "add", name)


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
