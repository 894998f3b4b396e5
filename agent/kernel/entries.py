# SPDX-License-Identifier: Apache-2.0
"""Entries of the two functions that the article's program hooks, as they come: one record each.

Guarantee: hits are handed over in order of time; those that are not are counted, and `stop` returns how many.
"""

import time

import numpy as np
from numpy.typing import NDArray

from agent.kernel import privileges, source
from agent.kernel.errors import HookRefusedError, KernelUnfitError
from agent.kernel.hooks import FENTRY, KPROBE, Hook
from agent.kernel.loader import Program

HIT_DTYPE = np.dtype(
    [("time_ns", "=u8"), ("tid", "=u4"), ("tgid", "=u4"), ("function", "=u8"), ("comm", "S16")]
)
"""``struct hit`` of bpf/article.bpf.c."""
SENDMSG, DO_RCV = 1, 2
FUNCTIONS = ("tcp_sendmsg", "tcp_v4_do_rcv")
"""By number, from 1."""
HITS = NDArray[np.void]
_PAGES, _WAKEUP = 128, 64
_UNDER_WAY_NS = 1_000_000
"""A hit this old is in its ring."""
_COUNTER = np.dtype("<u8")


class Entries:
    """One capture of both functions, by the first means that works. The constructor touches nothing."""

    def __init__(self, means: tuple[str, ...] = (FENTRY, KPROBE)) -> None:
        self._means = means
        self._program: Program | None = None
        self._records: list[bytes] = []
        self._held = np.zeros(0, HIT_DTYPE)
        self.means = ""
        """How the functions are hooked, once started."""

    def start(self) -> None:
        """Load and attach. On an error nothing stays in the kernel.

        Raises:
            KernelUnfitError: what is missing, with its remedy.
        """
        privileges.check()
        why = []
        for means in self._means:
            try:
                self._program = self._attached(means)
            except HookRefusedError as error:
                why.append(f"{means} is refused: {error}")
            else:
                self.means = means
                return
        raise KernelUnfitError(f"{FUNCTIONS[1]} cannot be hooked; {'; '.join(why)}")

    def hits(self, wait_ms: int) -> HITS:
        """Wait at most so long; return (n,) of HIT_DTYPE, oldest first."""
        program = self._running()
        program.poll(wait_ms)
        before = time.monotonic_ns()
        program.consume()
        return self._take(before - _UNDER_WAY_NS)

    def stop(self) -> int:
        """Leave nothing in the kernel; return how many entries were not handed over."""
        program, self._program = self._running(), None
        try:
            program.detach()
            lost = program.per_cpu("lost", range(len(FUNCTIONS)), _COUNTER)
            missed = program.stats(self._hooks(self.means))
            return int(lost.sum()) + sum(stats.misses for _, stats in missed.values())
        finally:
            program.close()

    def _attached(self, means: str) -> Program:
        chosen = self._hooks(means)
        program = Program(
            source.article(), source.flags({}), source.STUBS, [f"{KPROBE}_{name}" for name in FUNCTIONS]
        )
        try:
            for hook in chosen:
                program.load(hook.program, means)
            program.open_rings("records", _PAGES, self._records.append, _WAKEUP)
            for hook in chosen:
                program.attach(hook)
        except BaseException:
            program.close()
            raise
        return program

    @staticmethod
    def _hooks(means: str) -> list[Hook]:
        return [Hook(means, name, "article") for name in FUNCTIONS]

    def _take(self, until_ns: int) -> HITS:
        """Return what is older; a thread's next hit may be in the ring of another CPU."""
        size = HIT_DTYPE.itemsize
        new = np.frombuffer(b"".join(record[:size] for record in self._records), HIT_DTYPE)
        self._records.clear()
        held = np.concatenate([self._held, new])
        held = held[np.argsort(held["time_ns"], kind="stable")]
        ready = int(np.searchsorted(held["time_ns"], until_ns))
        self._held = held[ready:]
        done: HITS = held[:ready]
        return done

    def _running(self) -> Program:
        if self._program is None:
            raise RuntimeError("it is not running")
        return self._program
