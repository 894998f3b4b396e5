# SPDX-License-Identifier: Apache-2.0
"""Several hosts on one kernel, each a network namespace, all on one bridge; and their traffic in bursts."""

import socket
import subprocess
import time
from contextlib import ExitStack
from itertools import combinations

from support.netns import Host, Namespaces, add
from support.traffic import bound, limit, listener

SIZE = 64


class Bridged(Namespaces[list[Host]]):
    """Context manager for so many hosts; the bridge has a namespace of its own, which is in no list."""

    def __init__(self, hosts: int) -> None:
        super().__init__()
        self._hub = f"wl{self.tag}h"
        self._hosts = [
            Host(f"wl{self.tag}{n}", f"wv{self.tag}{n}", f"10.97.0.{n + 1}", f"fd97::{n + 1}")
            for n in range(hosts)
        ]

    def _make(self, stack: ExitStack) -> list[Host]:
        add(self._hub, stack)
        ip(self._hub, "link add bridge type bridge", "link set bridge up")
        for number, host in enumerate(self._hosts):
            add(host.name, stack)
            ip(
                self._hub,
                f"link add port{number} type veth peer name {host.interface} netns {host.name}",
                f"link set port{number} master bridge up",
            )
            ip(
                host.name,
                f"address add {host.ipv4}/24 dev {host.interface}",
                f"link set {host.interface} up",
                "link set lo up",
            )
        return self._hosts


def ip(namespace: str, *commands: str) -> None:
    """Have the program do these commands in a namespace."""
    done = subprocess.run(
        ["ip", "-n", namespace, "-batch", "-"],
        input="\n".join(commands),
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"ip -n {namespace}: {commands}: {done.stderr.strip()}")


def talk(hosts: list[Host], deaf: Host | None, bursts: int) -> list[int]:
    """Let each two of the hosts exchange a message each way in each burst, and the first send to ``deaf``.

    Half-way through all open new connections. Runs in a `Worker`; returns when each burst began, ns of
    CLOCK_MONOTONIC: between two of them nothing is under way.
    """
    begins = []
    for half in (bursts // 2, bursts - bursts // 2):
        both = [_connect(one, other) for one, other in combinations(hosts, 2)]
        alone = _connect(hosts[0], deaf) if deaf else None
        for _ in range(half):
            begins.append(time.monotonic_ns())
            for one, other in both:
                _move(one, other)
                _move(other, one)
            if alone:
                _move(*alone)
        for pair in [*both, *([alone] if alone else [])]:
            for sock in pair:
                sock.close()
    return begins


def _connect(one: Host, other: Host) -> tuple[socket.socket, socket.socket]:
    active = bound(one)
    with listener(other) as listening:
        active.connect(listening.getsockname())
        passive, _ = listening.accept()
    limit(passive)
    for sock in (active, passive):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return active, passive


def _move(source: socket.socket, sink: socket.socket) -> None:
    source.sendall(bytes(SIZE))
    left = SIZE
    while left:
        left -= len(sink.recv(left))
