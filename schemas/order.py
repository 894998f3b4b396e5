# SPDX-License-Identifier: Apache-2.0
"""An order to agents: stop tracing, or start again (JSON, partition 1 of ``wirelag.control.v1``).

The key is the list of host patterns as text, so compaction keeps the last order of each list. Of all orders
whose patterns match a host the one with the highest number counts. ``decode`` returns an order within its
limits, or raises RecordError.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas import text_record
from schemas.control import Name, Nanoseconds

VERSION = 1
HEARTBEATS, ORDERS = 0, 1
"""Partitions of the control topic. Agents read the second alone, and not the whole fleet's heartbeats."""
MAX_PATTERNS = 512

Pattern = Annotated[str, Meta(min_length=1, max_length=255)]
Action = Literal["stop", "start"]


class Order(msgspec.Struct, frozen=True, tag="order"):
    """What agents of some hosts are to do; a heartbeat's ``order`` says which one its agent carried out."""

    version: int
    """Schema version."""
    number: Nanoseconds
    """Realtime nanoseconds at which it was written: of two orders the one with the higher number counts."""
    hosts: Annotated[tuple[Pattern, ...], Meta(min_length=1, max_length=MAX_PATTERNS)]
    """Patterns of host names (``*``, ``?``, ``[abc]``; case counts); one that matches is enough."""
    action: Action
    """``stop``: detach from the kernel and stay so; ``start``: attach again."""
    issued_at_ns: Nanoseconds
    """CLOCK_REALTIME of whoever wrote it."""
    why: Annotated[str, Meta(max_length=200)] = ""
    """For people; heartbeat and status repeat it."""
    by: Name = ""
    """Who wrote it."""
    until_ns: Nanoseconds = 0
    """CLOCK_REALTIME from which it counts no more, 0 = for ever."""

    def concerns(self, host: str) -> bool:
        """Say whether a host is meant."""
        return any(fnmatchcase(host, pattern) for pattern in self.hosts)

    def key(self) -> bytes:
        """Return the record's key."""
        return ",".join(self.hosts).encode()


def newest(orders: Iterable[Order], host: str, now_ns: int) -> Order | None:
    """Return the order that counts for a host at a realtime moment, None if there is none."""
    meant = [one for one in orders if one.concerns(host) and (not one.until_ns or now_ns < one.until_ns)]
    return max(meant, key=lambda one: one.number, default=None)


def encode(order: Order) -> bytes:
    """Return the record's value."""
    return msgspec.json.encode(order)


def decode(value: bytes) -> Order:
    """Return the order in a record's value; raises RecordError only."""
    return text_record.read(value, Order, "an order", VERSION)
