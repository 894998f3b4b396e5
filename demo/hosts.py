# SPDX-License-Identifier: Apache-2.0
"""Two "hosts": network namespaces joined by a veth pair, with IPv4 and IPv6, gone when the block is left."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

V4 = ("192.0.2.1", "192.0.2.2")
V6 = ("2001:db8::1", "2001:db8::2")
"""Addresses set aside for documentation: no real host has them."""


class Host(NamedTuple):
    """One namespace."""

    name: str
    netns: str

    @property
    def path(self) -> Path:
        """Where the namespace can be named by a path."""
        return Path("/run/netns") / self.netns

    def command(self, *arguments: str) -> list[str]:
        """Return the command line that runs ``arguments`` inside."""
        return ["ip", "netns", "exec", self.netns, *arguments]


@contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """Make host-a and host-b and remove them again, also after a failure."""
    hosts = tuple(Host(f"host-{side}", f"wirelag-demo-{os.getpid()}-{side}") for side in "ab")
    made: list[Host] = []
    try:
        for host in hosts:
            _run("ip", "netns", "add", host.netns)
            made.append(host)
        first, second = hosts
        _run(
            "ip",
            "-n",
            first.netns,
            "link",
            "add",
            "veth0",
            "type",
            "veth",
            "peer",
            "name",
            "veth0",
            "netns",
            second.netns,
        )
        for index, host in enumerate(hosts):
            inside = ("ip", "-n", host.netns)
            _run(*inside, "address", "add", f"{V4[index]}/24", "dev", "veth0")
            _run(*inside, "address", "add", f"{V6[index]}/64", "dev", "veth0", "nodad")
            _run(*inside, "link", "set", "lo", "up")
            _run(*inside, "link", "set", "veth0", "up")
        yield first, second
    finally:
        for host in made:
            subprocess.run(["ip", "netns", "delete", host.netns], check=False)  # noqa: S603, S607


def _run(*arguments: str) -> None:
    subprocess.run(arguments, check=True, capture_output=True)  # noqa: S603
