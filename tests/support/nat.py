# SPDX-License-Identifier: Apache-2.0
"""Two hosts with a router between them, and the ways in which addresses and ports are translated on it.

The router is a namespace too; what it does to packets are nftables rules, given by a test.
"""

import socket
import subprocess
from contextlib import ExitStack
from typing import NamedTuple

from support.netns import Host, Namespaces, add
from support.traffic import End, limit


class Routed(NamedTuple):
    """Client and server, each on a link of its own with the router."""

    client: Host
    router: Host
    """Its address is the one on the client's link."""
    server: Host

    def translate(self, where: str, *rules: str) -> None:
        """Have these rules alone, each ``CHAIN RULE``, on the host ``where``; none on the others.

        CHAIN is prerouting, output or postrouting.
        """
        for name, host in self._asdict().items():
            text = ["table ip wirelag_test", "delete table ip wirelag_test"]
            text += _table(rules) if name == where else []
            subprocess.run(
                ["ip", "netns", "exec", host.name, "nft", "-f", "-"],
                input="\n".join(text),
                text=True,
                check=True,
            )

    @property
    def namespaces(self) -> tuple[int, int]:
        """Inode numbers of both ends' namespaces, the router's left out."""
        return (self.client.inode, self.server.inode)


def _table(rules: tuple[str, ...]) -> list[str]:
    priorities = {"prerouting": -100, "output": -100, "postrouting": 100}
    chains = [
        f"chain {hook} {{ type nat hook {hook} priority {priority}; }}"
        for hook, priority in priorities.items()
    ]
    added = [f"add rule ip wirelag_test {rule}" for rule in rules]
    return ["table ip wirelag_test {", *chains, "}", *added]


class Router(Namespaces[Routed]):
    """Context manager for a `Routed`."""

    def _make(self, stack: ExitStack) -> Routed:
        tag = self.tag
        side_of_server = f"wv{tag}s"
        hosts = client, router, server = Routed(
            Host(f"wl{tag}c", f"wv{tag}c", "10.98.1.2", "fd98:1::2"),
            Host(f"wl{tag}r", f"wv{tag}r", "10.98.1.1", "fd98:1::1"),
            Host(f"wl{tag}e", f"wv{tag}e", "10.98.2.2", "fd98:2::2"),
        )
        for host in hosts:
            add(host.name, stack)
            host.run("ip", "link", "set", "lo", "up")
        for end, side in ((client, router.interface), (server, side_of_server)):
            _ip("link", "add", end.interface, "netns", end.name, "type", "veth",
                "peer", "name", side, "netns", router.name)  # fmt: skip
            gateway = end.ipv4.rpartition(".")[0] + ".1"
            end.run("ip", "address", "add", f"{end.ipv4}/24", "dev", end.interface)
            end.run("ip", "link", "set", end.interface, "up")
            router.run("ip", "address", "add", f"{gateway}/24", "dev", side)
            router.run("ip", "link", "set", side, "up")
            end.run("ip", "route", "add", "default", "via", gateway)
        router.sysctl("net.ipv4.ip_forward", 1)
        return hosts


class Seen(NamedTuple):
    """One connection by both programs' own word: what getsockname and getpeername said."""

    client_local: tuple[str, int]
    client_remote: tuple[str, int]
    server_local: tuple[str, int]
    server_remote: tuple[str, int]
    messages: int
    """Sent by both ends together."""


def exchange(
    hosts: Routed, listening: tuple[str, int], target: tuple[str, int], connections: int, messages: int
) -> list[Seen]:
    """Have the client open connections to ``target`` and talk with the server; runs in a `Worker`."""
    with hosts.server.entered():
        acceptor = socket.create_server(listening, backlog=connections)
    limit(acceptor)
    with acceptor:
        return [_talk(hosts, acceptor, target, messages) for _ in range(connections)]


def _talk(hosts: Routed, acceptor: socket.socket, target: tuple[str, int], messages: int) -> Seen:
    with hosts.client.entered():
        active = socket.socket()
    limit(active)
    with active:
        active.connect(target)
        passive, _ = acceptor.accept()
        limit(passive)
        with passive:
            client, server = End(active), End(passive)
            for number in range(messages):
                client.send(bytes(1 + number))
                server.receive_all(1 + number)
                server.send(bytes(2 + number))
                client.receive_all(2 + number)
            names = [(sock.getsockname(), sock.getpeername()) for sock in (active, passive)]
            return Seen(*names[0], *names[1], 2 * messages)


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")
