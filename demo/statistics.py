# SPDX-License-Identifier: Apache-2.0
"""Turns the kernel's own accounting of BPF run time on for a while, and back to what it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SWITCH = Path("/proc/sys/kernel/bpf_stats_enabled")


@contextmanager
def bpf_statistics() -> Iterator[None]:
    """Inside the block the kernel counts runs and nanoseconds of every BPF program."""
    before = SWITCH.read_text(encoding="ascii")
    SWITCH.write_text("1", encoding="ascii")
    try:
        yield
    finally:
        SWITCH.write_text(before, encoding="ascii")
