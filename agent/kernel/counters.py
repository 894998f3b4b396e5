# SPDX-License-Identifier: Apache-2.0
"""What the kernel side counts, in events: where every one of them is.

attempts = delivered + lost + nested + sampled + residual    for each hook, exactly
misses                                                       runs the kernel skipped: outside of attempts
"""

import os
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

HOOK_NAMES = ("send", "receive", "arrival", "state", "retransmit")
"""By number, as in bpf/event.h."""
_STREAM = [("attempts", "<u8"), ("nested", "<u8"), ("submitted", "<u8"), ("lost", "<u8"), ("sampled", "<u8")]
HEAD_DTYPE = np.dtype(
    [
        ("events", _STREAM),
        ("facts", _STREAM),
        ("calls", "<u8"),
        ("orphans", "<u8"),
        ("identity_changes", "<u8"),
        ("inside", "<u8"),
        ("skipped", "<u8"),
        ("busy", "<u4"),
        ("event_count", "<u4"),
        ("fact_count", "<u4"),
        ("ringless", "<u4"),
    ]
)
"""How ``struct hook`` (bpf/state.h) begins."""
LONGEST_FDINFO = 4096
"""Bytes that the kernel says of a program, at most."""


class ProgramStats(NamedTuple):
    """One program's own figures; the times only move while kernel.bpf_stats_enabled is 1."""

    misses: int
    run_time_ns: int
    run_cnt: int


class HookCounters(NamedTuple):
    """Cumulative, in events (or facts)."""

    attempts: int = 0
    delivered: int = 0
    lost: int = 0
    nested: int = 0
    residual: int = 0
    misses: int = 0
    calls: int = 0
    """Calls that ended well (for arrival and state: events)."""
    orphans: int = 0
    """Reads of which a part was not seen, sends whose end was not."""
    identity_changes: int = 0
    """Sockets that became another connection unseen."""
    sampled: int = 0
    """Left out on purpose (bpf/sampling.bpf.c)."""

    @property
    def unaccounted(self) -> int:
        """What should be 0 whenever nothing runs."""
        return self.attempts - self.delivered - self.lost - self.nested - self.sampled - self.residual


class Counters(NamedTuple):
    """Everything, since the capture started."""

    hooks: dict[str, HookCounters]
    facts: HookCounters
    programs: dict[str, ProgramStats]

    def _total(self, name: str) -> int:
        return sum(getattr(hook, name) for hook in self.hooks.values())

    @property
    def attempts(self) -> int:
        """Events the programs wanted to emit."""
        return self._total("attempts")

    @property
    def delivered(self) -> int:
        """Events put into the perf buffer."""
        return self._total("delivered")

    @property
    def lost(self) -> int:
        """Events the perf buffer had no room for."""
        return self._total("lost")

    @property
    def nested(self) -> int:
        """Events given up because their batch was in use on the same CPU."""
        return self._total("nested")

    @property
    def sampled(self) -> int:
        """Events left out on purpose."""
        return self._total("sampled")

    @property
    def residual(self) -> int:
        """Events still in a batch."""
        return self._total("residual")

    @property
    def misses(self) -> int:
        """Runs of a program that were skipped because it, or one of the same hook, ran on that CPU."""
        return self._total("misses")

    @property
    def sends(self) -> int:
        """Calls of tcp_sendmsg that took bytes: the article's counter."""
        return self.hooks["send"].calls

    @property
    def run_time_ns(self) -> int:
        """Time in all programs; 0 unless kernel.bpf_stats_enabled is 1."""
        return sum(program.run_time_ns for program in self.programs.values())

    @property
    def run_cnt(self) -> int:
        """Runs of all programs; 0 unless kernel.bpf_stats_enabled is 1."""
        return sum(program.run_cnt for program in self.programs.values())


def program_stats(fd: int) -> ProgramStats:
    """Read the kernel's figures of the loaded program ``fd`` of this process."""
    file = os.open(f"/proc/self/fdinfo/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        lines = os.read(file, LONGEST_FDINFO).splitlines()
    finally:
        os.close(file)
    found = dict(line.partition(b":")[::2] for line in lines)
    return ProgramStats(*(int(found.get(k, 0)) for k in (b"recursion_misses", b"run_time_ns", b"run_cnt")))


def add_up(heads: NDArray[Any], programs: dict[str, tuple[str, ProgramStats]]) -> Counters:
    """Sum (hooks, cpus) of HEAD_DTYPE over the CPUs; ``programs`` are name → (hook, figures)."""
    misses = dict.fromkeys(HOOK_NAMES, 0)
    for hook, stats in programs.values():
        misses[hook] += stats.misses
    hooks = {
        name: _hook(heads[i], "events", "event_count")._replace(
            misses=misses[name] + int(heads[i]["skipped"].sum()),
            calls=int(heads[i]["calls"].sum()),
            orphans=int(heads[i]["orphans"].sum()),
            identity_changes=int(heads[i]["identity_changes"].sum()),
        )
        for i, name in enumerate(HOOK_NAMES)
    }
    facts = _hook(heads.reshape(-1), "facts", "fact_count")
    return Counters(hooks, facts, {name: stats for name, (_, stats) in programs.items()})


def _hook(heads: NDArray[Any], stream: str, count: str) -> HookCounters:
    names = ("attempts", "submitted", "lost", "nested", "sampled")
    attempts, submitted, lost, nested, sampled = (int(heads[stream][name].sum()) for name in names)
    return HookCounters(attempts, submitted, lost, nested, int(heads[count].sum()), sampled=sampled)
