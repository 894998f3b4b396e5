# SPDX-License-Identifier: Apache-2.0
"""Addresses, process names and labels as they may leave the host. Pure; one look-up a connection or process.

Applied where the directory learns of them, after the connection's name was computed from what the kernel
told: so matching is unchanged, and nothing behind the directory (records, spool, status, logs) has the raw
ones. Keyed forms are the same on all hosts with one key: equal addresses stay equal, and nothing else about
two pseudonyms tells whether their addresses were near each other.
"""

from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b

from agent.privacy.settings import IpMode, Shown

PSEUDONYMS = bytes.fromhex("fd77697265ff")
"""The first 48 bits of every pseudonym: fd77:6972:65ff::/48, of the range for private use (RFC 4193)."""
_MAPPED = bytes(10) + b"\xff\xff"
_V4_KEPT, _V6_KEPT = 15, 6
"""Bytes that truncating keeps, of 16: /24 of an IPv4 address, /48 of an IPv6 one."""
_HASH_BYTES = 6
_REMEMBERED = 16_384


class Veil:
    """Hides what the settings say; without arguments nothing."""

    def __init__(
        self, ip_mode: IpMode = "raw", comm: Shown = "raw", labels: Shown = "raw", secret: bytes = b""
    ) -> None:
        self._comm, self._labels = comm, labels
        self._key = blake2b(secret, digest_size=32, person=b"wirelag-privacy").digest()
        changed: dict[IpMode, Callable[[bytes], bytes]] = {
            "raw": bytes,
            "truncate": truncated,
            "pseudonym": lru_cache(_REMEMBERED)(self._pseudonym),
        }
        self.address = changed[ip_mode]
        """(16 bytes, IPv4 mapped) -> 16 bytes."""

    def name(self, name: str) -> str:
        """Return what is told of a process's name; of an empty one nothing."""
        if self._comm == "raw" or not name:
            return name
        return f"p-{self._hash(b'comm', name)}" if self._comm == "hash" else ""

    def label(self, label: str) -> str:
        """Return what is told of a label: with ``hash`` its kinds stay and each value is hashed."""
        if self._labels == "raw" or not label:
            return label
        if self._labels == "off":
            return ""
        parts = (part.partition(":") for part in label.split("/"))
        return "/".join(f"{kind}:{self._hash(kind.encode(), value)}" for kind, _, value in parts)

    def cgroup(self, number: int) -> int:
        """Return what is told of a cgroup's id."""
        return 0 if self._labels == "off" else number

    def _pseudonym(self, address: bytes) -> bytes:
        size = len(address) - len(PSEUDONYMS)
        return PSEUDONYMS + blake2b(address, digest_size=size, key=self._key, person=b"address").digest()

    def _hash(self, kind: bytes, text: str) -> str:
        content = text.encode("utf-8", "replace")
        return blake2b(content, digest_size=_HASH_BYTES, key=self._key, person=kind[:16]).hexdigest()


def truncated(address: bytes) -> bytes:
    """Return the network of an address: /24, or /48 of one that is not IPv4."""
    kept = _V4_KEPT if address.startswith(_MAPPED) else _V6_KEPT
    return address[:kept].ljust(len(address), b"\0")
