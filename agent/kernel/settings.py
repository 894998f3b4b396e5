# SPDX-License-Identifier: Apache-2.0
"""What to trace, as the kernel needs it: numbers only."""

from typing import Literal

import msgspec

FILTER_PORTS, FILTER_NETNS, FILTER_CGROUPS, FILTER_EXCLUDED_PORTS = 1, 2, 4, 8
"""Bits of ``struct settings.filters`` (bpf/state.h)."""


Backend = Literal["auto", "raw", "fentry", "kprobe"]
"""What to prefer for each hook; see agent/kernel/hooks.py."""
TELL_LIVES, SAMPLING = 1 << 16, 1 << 17
"""Beside them: tell of connects, retransmits and closes; keep a part of the events."""

PAGE_BYTES, SLOT_BYTES = 4096, 64


class CaptureSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All lists empty = every TCP connection of the host but the agent's own."""

    ports: tuple[int, ...] = ()
    """Trace only connections with one of these ports at either end."""
    exclude_ports: tuple[int, ...] = ()
    """Leave out connections with one of these ports at either end."""
    netns: tuple[int, ...] = ()
    """Inode numbers of network namespaces."""
    cgroups: tuple[int, ...] = ()
    """Inode numbers of cgroup v2 folders: of the cgroup that made the socket."""
    ring_pages: int = 128
    """Pages of perf buffer on each CPU, a power of two."""
    batch: int = 128
    """Events in a record, a power of two from 1 to 256."""
    connections: int = 65_536
    """Connections followed at once; the longest unused gives way, and is told of anew."""

    backend: Backend = "auto"
    """Which kind of hook to prefer where the kernel offers several."""
    lives: bool = False
    """Whether connects, retransmits and closes are told too, with the kernel's totals."""

    def __post_init__(self) -> None:
        """Check what BPF would refuse with less to say."""
        for name, value, most in (("ring_pages", self.ring_pages, 1 << 20), ("batch", self.batch, 256)):
            if not 1 <= value <= most or value & value - 1:
                raise ValueError(f"{name} is {value}: allowed is a power of two from 1 to {most}")

    @property
    def filters(self) -> int:
        """Which filters are set, and what is told beside events, as bits."""
        return (
            (FILTER_PORTS if self.ports else 0)
            | (FILTER_NETNS if self.netns else 0)
            | (FILTER_CGROUPS if self.cgroups else 0)
            | (FILTER_EXCLUDED_PORTS if self.exclude_ports else 0)
            | (TELL_LIVES if self.lives else 0)
        )

    @property
    def wakeup_records(self) -> int:
        """Full records after which a ring wakes the agent: a quarter of what it holds.

        Fewer wait for the next flush.
        """
        return max(1, self.ring_pages * PAGE_BYTES // (self.batch * SLOT_BYTES) // 4)
