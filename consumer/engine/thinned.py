# SPDX-License-Identifier: Apache-2.0
"""Which hosts lately sampled events out (docs/wire-format.md), so that what finds no partner says so.

An end that was heard of is known by its host. One that was not, perhaps because all of its events were
sampled out, is known by its address alone: where two hosts share one, the reason may name the wrong cause.
"""

from typing import TYPE_CHECKING, TypeVar

from schemas.batch import FULL_RATE, EventBatch

if TYPE_CHECKING:
    from consumer.engine.flows import End

_Name = TypeVar("_Name", str, bytes)

MOST = 65_536
"""Hosts, and addresses, remembered: those heard last."""


class Thinned:
    """The broker's time (ms) of the last thinned batch of each host and of each address that it has."""

    def __init__(self) -> None:
        self.hosts: dict[str, int] = {}
        self.addresses: dict[bytes, int] = {}

    def note(self, batch: EventBatch, broker_ms: int) -> None:
        """Take a batch into account; only one with both rates below full misses events."""
        if batch.block_rate >= FULL_RATE or batch.connection_rate >= FULL_RATE:
            return
        _put(self.hosts, batch.host, broker_ms)
        for flow in batch.flows:
            _put(self.addresses, flow.local_address, broker_ms)

    def forget(self, before_ms: int) -> None:
        """Forget what was last heard before a time of the broker."""
        self.hosts = {host: at for host, at in self.hosts.items() if at >= before_ms}
        self.addresses = {address: at for address, at in self.addresses.items() if at >= before_ms}

    def touches(self, ends: "tuple[End | None, End | None]") -> bool:
        """Say whether either end of a connection is on such a host; at least one is known."""
        if not self.hosts:
            return False
        for end, other in (ends, ends[::-1]):
            if end is not None and end.host in self.hosts:
                return True
            if end is None and other is not None and other.flow.remote_address in self.addresses:
                return True
        return False


def _put(known: dict[_Name, int], name: _Name, broker_ms: int) -> None:
    known.pop(name, None)
    known[name] = broker_ms
    if len(known) > MOST:
        del known[next(iter(known))]
