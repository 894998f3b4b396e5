# SPDX-License-Identifier: Apache-2.0
"""What doctor reads of a host. Nothing is written, loaded or mounted; the root folder may be another."""

import ctypes
import os
import resource
from pathlib import Path
from typing import NamedTuple

from agent.kernel import perf, probes

_libc = ctypes.CDLL(None, use_errno=True)
_STATUS_UNSYNC = 0x40
_TIMEX_WORDS = 64
_FULL = 1 << 40


class ClockSync(NamedTuple):
    """What the kernel knows of its own clock (adjtimex, asked and not set)."""

    synchronised: bool
    max_error_us: int
    """Bound that the time daemon gave, growing since."""


class Host:
    """One host, below ``root``: tests give a folder that lacks something."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root

    @property
    def btf(self) -> Path:
        """Where the kernel's type description should be."""
        return self.root / "sys/kernel/btf/vmlinux"

    @property
    def sysfs(self) -> Path:
        """The folder /sys."""
        return self.root / "sys"

    @property
    def tracefs(self) -> tuple[Path, ...]:
        """The folders at which tracefs may be."""
        return tuple(self.root / place.relative_to("/") for place in probes.PLACES)

    def text(self, path: str) -> str | None:
        """Return a file's text without white space around, None where it cannot be read."""
        try:
            return (self.root / path).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return None

    def number(self, path: str) -> int | None:
        """Return a file's number, None where there is none."""
        text = self.text(path)
        return int(text) if text is not None and text.lstrip("-").isdigit() else None

    def exists(self, path: str) -> bool:
        """Say whether a path is there and may be seen."""
        return os.access(self.root / path, os.F_OK)

    def status(self) -> dict[str, str]:
        """Return /proc/self/status by name."""
        lines = (self.text("proc/self/status") or "").splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def capabilities(self) -> int:
        """Return this process's effective capabilities as bits."""
        return int(self.status().get("CapEff", "0"), 16)

    def ring_refused(self) -> str | None:
        """Return why this process may not open a ring, None where it may or another host is meant."""
        return perf.refused() if self.root == Path("/") else None

    def file_system(self, folder: str) -> str | None:
        """Return the type of what is mounted at a folder, None where nothing is."""
        rows = [line.split() for line in (self.text("proc/self/mounts") or "").splitlines()]
        return next((row[2] for row in rows if row[1] == folder), None)


def locked_memory_limit() -> int | None:
    """Return RLIMIT_MEMLOCK in bytes, None where there is no limit."""
    soft = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    return None if soft in {resource.RLIM_INFINITY, -1} or soft > _FULL else soft


def clock_sync() -> ClockSync | None:
    """Ask the kernel about its clock; None where it does not say."""
    timex = (ctypes.c_long * _TIMEX_WORDS)()  # modes 0 in the first word: ask, change nothing
    if _libc.adjtimex(timex) < 0:
        return None
    # struct timex: modes, offset, freq, maxerror, esterror, status (an int), ... in words of a long
    return ClockSync(not timex[5] & _STATUS_UNSYNC, int(timex[3]))
