# SPDX-License-Identifier: Apache-2.0
"""The reference for goal 1: one perf_submit and one wake-up for every event."""

from pathlib import Path

from agent.kernel import btf, counters, layout, source
from agent.kernel.hooks import RAW, Hook
from agent.kernel.loader import Program

HOOKS = (
    Hook(RAW, "sock_send_length", "send"),
    Hook(RAW, "sock_recv_length", "receive"),
    Hook(RAW, "sk_data_ready", "arrival"),
)
PAGES = 64


class NaiveCapture:
    """Counts the events it gets; has the part of ``Capture`` that a benchmark needs."""

    def __init__(self, namespaces: tuple[int, ...]) -> None:
        self._namespaces = namespaces
        self.events = 0
        self.lost = 0
        """As the ring tells: a record says how many before it found no room."""

    def start(self) -> None:
        """Load and attach."""
        flags = source.flags(layout.macros(btf.load()))
        text = (Path(__file__).parent / "kernel.bpf.c").read_text(encoding="ascii")
        self._program = Program(text, flags, source.STUBS)
        for inode in self._namespaces:
            self._program.put("namespaces", inode.to_bytes(4, "little"), b"\1")
        self._program.open_rings("naive_events", PAGES, self._take, on_lost=self._miss)
        for hook in HOOKS:
            self._program.load(hook.program)
            self._program.attach(hook)

    def poll(self, timeout_ms: int) -> None:
        """Wait for events and take each by its own call-back."""
        self._program.poll(timeout_ms)

    def stats(self) -> tuple[int, int]:
        """Return (nanoseconds, events) of all programs so far; needs kernel.bpf_stats_enabled."""
        figures = [counters.program_stats(fd) for fd in self._program.fds.values()]
        return sum(one.run_time_ns for one in figures), self.events

    def stop(self) -> None:
        """Detach and free everything."""
        self._program.close()

    def _take(self, _record: bytes) -> None:
        self.events += 1

    def _miss(self, records: int) -> None:
        self.lost += records
