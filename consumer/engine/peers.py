# SPDX-License-Identifier: Apache-2.0
"""What an engine is told of other hosts, and what follows for the events that wait for them.

A host that is *behind* has events that are not in this partition yet: what waits for it closes by the host's
watermark (a time of the broker up to which all its events are here), not by the broker's own. A *silent* host
is waited for no longer; what closes then says so. The rest closes by the broker's time.
"""

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from consumer.latency.intervals import I64

if TYPE_CHECKING:
    from consumer.engine.flows import Flows
    from consumer.engine.streams import Key

MOST = 16_384
"""Addresses, and agent runs with gaps, that are remembered: those heard last."""
_LOOPBACK = bytes(10) + b"\xff\xff\x7f"
_LOOPBACK6 = bytes(15) + b"\x01"


class Peers(msgspec.Struct, frozen=True, array_like=True):
    """What is known of hosts at a moment; hosts that are neither behind nor silent are left out."""

    behind: dict[str, int] = {}
    """Host -> its watermark, broker ms."""
    silent: tuple[str, ...] = ()
    """Hosts whose agent said nothing for long, or said good-bye, sorted."""


NOBODY = Peers()


def limits(flows: "Flows", peers: Peers, expire_before: int, horizon_ms: int) -> I64 | None:
    """Return (flows,) by end: up to when what waits for it was born that closes now; None: alike for all."""
    if not peers.behind:
        return None
    found = np.full(flows.flows, expire_before, dtype=np.int64)
    for at in range(flows.flows):
        watermark = peers.behind.get(flows.home(at))
        if watermark is not None:
            found[at] = min(expire_before, watermark - horizon_ms)
    return found


class Homes:
    """Address -> the host that has it, as far as its agent was heard here: names an end not heard of yet.

    Where several hosts have an address (containers of different machines) it is that of the host heard last.
    """

    def __init__(self) -> None:
        self.hosts: dict[bytes, str] = {}

    def note(self, address: bytes, host: str) -> None:
        """Remember whose address it is."""
        if is_loopback(address):
            return
        self.hosts.pop(address, None)
        self.hosts[address] = host
        if len(self.hosts) > MOST:
            del self.hosts[next(iter(self.hosts))]


def is_loopback(address: bytes) -> bool:
    """Say whether each host has this address."""
    return address.startswith(_LOOPBACK) or address == _LOOPBACK6


class Gaps:
    """Agent runs in whose batches there is a gap, with the broker's time (ms) at which it last grew."""

    def __init__(self) -> None:
        self.runs: dict[Key, int] = {}

    def note(self, key: "Key", grown: int, left: int, broker_ms: int) -> None:
        """Take into account that a gap grew by so many events and is now so large."""
        if grown > 0:
            self.runs.pop(key, None)
            self.runs[key] = broker_ms
            if len(self.runs) > MOST:
                del self.runs[next(iter(self.runs))]
        elif not left:
            self.runs.pop(key, None)

    def forget(self, before_ms: int) -> None:
        """Forget what did not grow since a time of the broker."""
        self.runs = {key: at for key, at in self.runs.items() if at >= before_ms}

    def hosts(self) -> set[str]:
        """Return the hosts of these runs."""
        return {key[0] for key in self.runs}
