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
        self._recent = (self._since, self._used)

    @property
    def used_seconds(self) -> float:
        """Processor time since the start."""
        return self._cpu() - self._used

    def recent_percent(self) -> float:
        """Return per cent of one core since this was last asked."""
        before, self._recent = self._recent, (self._now(), self._cpu())
        return round(100 * (self._recent[1] - before[1]) / max(self._recent[0] - before[0], 1e-9), 2)

    def read(self) -> dict[str, float]:
        """Return per cent of one core since the start, and the resident size in MiB now."""
        percent = 100 * (self._cpu() - self._used) / max(self._now() - self._since, 1e-9)
        return {"cpu_percent": round(percent, 2), "rss_mib": round(resident_bytes() / 2**20, 1)}
