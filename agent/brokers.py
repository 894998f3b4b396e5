# SPDX-License-Identifier: Apache-2.0
"""Which ports to leave out because Kafka brokers of ours listen there: their traffic is made of our records.

Where a broker runs on this host, each record of events would be a read, a write and a replica of its own,
which would be events again. Of a broker that listens on several ports only the one that clients are told is
known.
"""

import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, NamedTuple

OWN_NAMESPACE = Path("/proc/self/ns/net")
Exclude = Literal["auto", "always", "never"]


class Broker(NamedTuple):
    """As the cluster tells its clients."""

    host: str
    port: int


def ports_left_out(
    mode: Exclude, brokers: Iterable[Broker], netns: tuple[int, ...], is_local: Callable[[str], bool]
) -> tuple[int, ...]:
    """Return the brokers' ports that nothing is to be traced of, sorted.

    Args:
        mode: ``auto``: of those that run on this host; ``always``: of all; ``never``: none.
        brokers: of the cluster.
        netns: the only namespaces that are traced, empty = all; without our own no broker is seen here.
        is_local: whether a host's name or address is one of this host.
    """
    if mode == "never":
        return ()
    if mode == "auto" and netns and OWN_NAMESPACE.stat().st_ino not in netns:
        return ()
    return tuple(sorted({one.port for one in brokers if mode == "always" or is_local(one.host)}))


def is_local(host: str) -> bool:
    """Say whether a name or address is of this host: whether one can listen there."""
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_DGRAM)
    except OSError:
        return False
    return any(_can_bind(family, address) for family, _, _, _, address in found)


def _can_bind(family: int, address: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]) -> bool:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind(address)
    except OSError:
        return False
    return True
