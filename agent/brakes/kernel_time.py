# SPDX-License-Identifier: Apache-2.0
"""How long the BPF programs run: measured one second in twenty, in between reckoned from the events.

The programs run for all sockets of the host, also for those that filters leave out; what was measured beyond
MOST_NS an event is taken for that, and to go on evenly. Where the kernel does not let us measure (it takes
CAP_SYS_ADMIN) and kernel.bpf_stats_enabled is 0, ESTIMATE_NS stands for each event.
"""

import os
from collections.abc import Callable

from agent.kernel.counters import Counters

ESTIMATE_NS = 400
"""An event, on a slow core: measured were 160 to 280 (bench/README.md)."""
MOST_NS = 2_000
"""An event, at most: the rest is of other sockets."""
PERIOD = 20
"""Updates from one measurement to the next."""


class KernelTime:
    """Total time in the programs; ``enable`` has the kernel measure until its descriptor is closed."""

    def __init__(self, enable: Callable[[], int]) -> None:
        self._enable = enable
        self._before = (0, 0, 0)
        self._until_next = 0
        self._open: int | None = None
        self._refused = False
        self._time_ns = self._events = 0.0
        self._ns_per_event = float(ESTIMATE_NS)
        self._ns_per_second = 0.0
        self._seconds: float | None = None
        self.total_ns = 0.0
        """Only grows, over all captures."""

    def update(self, counters: Counters, now_seconds: float) -> None:
        """Take the kernel's account of now; about once a second."""
        before, self._seconds = self._seconds, now_seconds
        seconds = now_seconds - (now_seconds if before is None else before)
        now = (counters.run_time_ns, counters.run_cnt, counters.attempts)
        time_ns, runs, events = (new - old for new, old in zip(now, self._before, strict=True))
        self._before = now
        if runs > 0 or self._open is not None:
            self.total_ns += time_ns
            # The last measurement counts as much as all before it: an event's cost depends on what is kept.
            self._time_ns, self._events = self._time_ns / 2 + time_ns, self._events / 2 + events
            self._ns_per_event = min(time_ns / events, MOST_NS) if events else self._ns_per_event
            self._ns_per_second = (time_ns - events * self._ns_per_event) / seconds if seconds else 0.0
        else:
            self.total_ns += events * self._ns_per_event + seconds * self._ns_per_second
        self._turn()

    def restart(self) -> None:
        """The programs were loaded anew: their account begins at 0."""
        self._before, self._seconds = (0, 0, 0), None

    def close(self) -> None:
        """Let the kernel measure no more."""
        if self._open is not None:
            os.close(self._open)
            self._open = None

    @property
    def us_per_event(self) -> float | None:
        """Measured; None where nothing was."""
        return round(self._time_ns / self._events / 1000, 3) if self._events else None

    def _turn(self) -> None:
        """Open or close a measurement, so that it lasts from one update to the next."""
        self.close()
        self._until_next -= 1
        if self._until_next >= 0 or self._refused:
            return
        self._until_next = PERIOD - 1
        try:
            self._open = self._enable()
        except OSError:
            self._refused = True
