# SPDX-License-Identifier: Apache-2.0
"""``wirelag-agent trace --as-article``: what the article's second program means by a time, labelled so.

A thread's ``tcp_sendmsg`` starts a clock; the next ``tcp_v4_do_rcv`` that runs in that thread reads it,
whatever socket that packet belongs to. It is no latency of a message (docs/article.md). It needs a hook on
the function tcp_v4_do_rcv, by fentry or a kprobe: ``BACKENDS``.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from agent.kernel.entries import HITS, SENDMSG, Entries
from agent.kernel.errors import KernelUnfitError
from agent.kernel.hooks import FENTRY, KPROBE
from agent.live import show
from agent.live.source import WAIT_MS, Stop

LIMIT = 65_536
SYSFS = Path("/sys")
FUNCTION = "tcp_v4_do_rcv"
LABEL = "article's tcp_time (thread's tcp_sendmsg -> next tcp_v4_do_rcv in it; not a message's latency)"


class Functions(Protocol):
    """A capture of the two functions' entries."""

    def start(self) -> None:
        """Load and attach."""

    def hits(self, wait_ms: int) -> HITS:
        """Wait at most so long; return (n,) of HIT_DTYPE, oldest first within a thread."""

    def stop(self) -> int:
        """Leave nothing in the kernel; return how many entries were lost."""


BACKENDS: dict[str, Callable[[], Functions]] = {
    "fentry": lambda: Entries((FENTRY, KPROBE)),
    "kprobe": lambda: Entries((KPROBE,)),
}
"""By what the kernel offers: what is tried, in order."""


class Time(NamedTuple):
    """One figure as the article prints it."""

    tid: int
    comm: bytes
    sent_ns: int
    tcp_time_ns: int


class Clocks:
    """The article's hash of start times by thread, bounded; asked for in numpy, answered in Python."""

    def __init__(self) -> None:
        self._started: dict[int, int] = {}

    def take(self, hits: HITS) -> list[Time]:
        """Return a time for each tcp_v4_do_rcv that found its thread's clock started; it stops the clock."""
        found = []
        for time_ns, tid, _tgid, function, comm in hits.tolist():
            if function == SENDMSG:
                self._started.pop(tid, None)
                self._started[tid] = time_ns
                if len(self._started) > LIMIT:
                    del self._started[next(iter(self._started))]
            elif tid in self._started:
                sent_ns = self._started.pop(tid)
                found.append(Time(tid, comm, sent_ns, time_ns - sent_ns))
        return found


def follow(
    functions: Functions, stop: Stop, *, json: bool, on_started: Callable[[], None] = lambda: None
) -> None:
    """Print a line a time until ``stop`` is set, and a summary; ``on_started`` is called once it traces."""
    functions.start()
    clocks, shown = Clocks(), 0
    try:
        on_started()
        if not json:
            print(LABEL)
        while not stop.is_set():
            for one in clocks.take(functions.hits(WAIT_MS)):
                shown += 1
                _print(one, json=json)
    finally:
        lost = functions.stop()
    if json:
        told = {"kind": "summary", "times": shown, "lost": lost}
        print(msgspec.json.encode(told).decode(), flush=True)
    else:
        print(f"{shown} times; {lost} entries of the two functions lost", flush=True)


def _print(one: Time, *, json: bool) -> None:
    name = one.comm.decode("utf-8", "replace")
    if json:
        told = {"kind": "article-tcp-time", "thread": one.tid, "name": name, "tcp_time_ns": one.tcp_time_ns}
        print(msgspec.json.encode(told).decode(), flush=True)
    else:
        print(f"{show.clean(name)}[{one.tid}]  tcp_time {show.duration(one.tcp_time_ns)}", flush=True)


def backend(sysfs: Path = SYSFS, backends: dict[str, Callable[[], Functions]] | None = None) -> Functions:
    """Return a capture of the two functions.

    Raises:
        KernelUnfitError: this kernel offers no hook on tcp_v4_do_rcv.
    """
    ways = offers(sysfs)
    if not ways:
        raise KernelUnfitError(f"--as-article: {reason(sysfs)}")
    return (BACKENDS if backends is None else backends)[ways[0]]()


def offers(sysfs: Path = SYSFS) -> list[str]:
    """Return by which means this kernel lets a program run at a function's entry."""
    found = []
    functions = sysfs / "kernel/tracing/available_filter_functions"
    try:
        if FUNCTION in functions.read_text(encoding="ascii").split():
            found.append("fentry")
    except OSError:  # no tracefs here, or the kernel is locked down
        pass
    if (sysfs / "bus/event_source/devices/kprobe/type").exists():
        found.append("kprobe")
    return found


def reason(sysfs: Path = SYSFS) -> str | None:
    """Return in a line why there is no such figure here, None where there is."""
    if offers(sysfs):
        return None
    return (
        f"this kernel offers no hook on {FUNCTION} (neither kprobes nor fentry) and the function "
        "has no tracepoint; `trace` alone measures what was meant: each send to the read of its last byte"
    )
