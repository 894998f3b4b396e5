# SPDX-License-Identifier: Apache-2.0
"""How a connection is named: alike at both ends, unchanged by NAT, and of no use to forge a packet with.

The two initial sequence numbers of a connection are known to both ends at any time of its life and no
translator changes them. Their unordered pair goes through keyed BLAKE2b, so the numbers themselves never
leave the host.
"""

import hashlib
from typing import NamedTuple

FIXED_KEY = b"wirelag fixed key: set fleet-key-file"
_PERSON = b"wirelag-flow-key"


class ConnectionName(NamedTuple):
    """``connection`` is 64 bits and equal at both ends; ``end`` is 0 or 1 and differs between them."""

    connection: int
    end: int


def connection_name(secret: bytes, local_isn: int, remote_isn: int, *, passive: bool) -> ConnectionName:
    """Name the connection whose own and peer's initial sequence numbers (32 bits each) are given.

    ``secret`` is up to 64 bytes, one for the whole fleet. The end with the smaller number is end 0; should
    both be equal (once in 2^32), the active opener is.
    """
    low, high = sorted((local_isn, remote_isn))
    pair = low.to_bytes(4, "little") + high.to_bytes(4, "little")
    digest = hashlib.blake2b(pair, digest_size=8, key=secret[:64], person=_PERSON).digest()
    end = int(passive) if local_isn == remote_isn else int(local_isn > remote_isn)
    return ConnectionName(int.from_bytes(digest, "little"), end)


def shard_of(connection: int, shards: int) -> int:
    """Return the shard, which is the Kafka partition, that both ends of a connection meet in."""
    return connection % shards
