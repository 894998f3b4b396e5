# SPDX-License-Identifier: Apache-2.0
"""What the agent itself costs: processor time and memory of this process."""

import resource
from collections.abc import Callable
from pathlib import Path


def cpu_seconds() -> float:
    """Return user and system time this process has used."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident_bytes() -> int:
    """Return how much memory of this process is resident."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


class Meter:
    """Counts from its construction on, which is after start-up (compiling the BPF program)."""

    def __init__(self, now: Callable[[], float], cpu: Callable[[], float]) -> None:
        self._now = now
        self._cpu = cpu
        self._since = now()
        self._used = cpu()

    def read(self) -> dict[str, float]:
        """Return per cent of one core since the start, and the resident size in MiB now."""
        percent = 100 * (self._cpu() - self._used) / max(self._now() - self._since, 1e-9)
        return {"cpu_percent": round(percent, 2), "rss_mib": round(resident_bytes() / 2**20, 1)}
