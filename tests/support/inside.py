# SPDX-License-Identifier: Apache-2.0
"""What the processes in a guest are asked to do: network, agent, clocks held against one another.

The truth about two guests' clocks comes from a page of memory that both share (QEMU's ivshmem): one writes
a number, the other sees it, reads its clocks and writes them beside it. Its reading lies between the first
one's looks at its own clock before and after, whatever the kernels, the emulator or this host did meanwhile.
"""

import ctypes
import mmap
import os
import subprocess
import time
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import NamedTuple

from agent.clocks import _LIBC, _Timeval, _Timex, adjtimex
from support.netns import Host, add
from support.whole_way import AgentProcess, Names

PAIR = "pair"
"""The namespace that is traced, and the interface in it."""
HERE = Host(PAIR, PAIR, "", "")
_CLOCKSOURCE = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
_IVSHMEM = "0x1af4", "0x1110"
_PING, _PONG, _MONOTONIC, _RAW = 0, 8, 16, 17
_PATIENCE_SECONDS = 60.0
_ADJ_FREQUENCY, _ADJ_SETOFFSET, _ADJ_NANO = 0x2, 0x100, 0x2000
_PPM = 1 << 16


class Look(NamedTuple):
    """Both guests' clocks at one moment, ns: the other's was read between two looks at the first one's."""

    before: int
    after: int
    there: int
    raw_before: int
    raw_after: int
    raw_there: int


class Said(NamedTuple):
    """A guest's own account of itself."""

    release: str
    boot: str
    clocksource: str
    namespace: int


def join(number: int, out: str, pair: str) -> Said:
    """Give the guest addresses: to the host outside and, in a namespace of its own, to the other guest."""
    way_out, way = _interface(out), _interface(pair)
    _run("ip", "address", "add", f"10.0.2.{15 + number}/24", "dev", way_out)
    _run("ip", "link", "set", way_out, "up")
    add(PAIR, ExitStack())  # it goes with the guest
    _run("ip", "link", "set", way, "netns", PAIR, "name", PAIR)
    HERE.run("ip", "address", "add", f"{address(number)}/24", "dev", PAIR)
    HERE.run("ip", "link", "set", PAIR, "up")
    HERE.run("ip", "link", "set", "lo", "up")
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return Said(os.uname().release, boot, _CLOCKSOURCE.read_text().strip(), HERE.inode)


def address(number: int) -> str:
    """Return a guest's address towards the other."""
    return f"10.98.0.{1 + number}"


def _interface(mac: str) -> str:
    return next(
        file.parent.name
        for file in Path("/sys/class/net").glob("*/address")
        if file.read_text().strip() == mac
    )


def impair(*netem: str) -> None:
    """Delay and lose what this guest sends to the other one, by tc-netem(8)."""
    HERE.run("tc", "qdisc", "replace", "dev", PAIR, "root", "netem", *netem)


_agents: list[AgentProcess] = []


def start_agent(names: Names, *more: str) -> None:
    """Trace the namespace of the pair; returns once it does."""
    _agents.append(AgentProcess(names, (HERE.inode,), *more).__enter__())


def stop_agent() -> dict[str, int]:
    """End the agent in good order; returns its last totals."""
    agent = _agents.pop()
    agent.__exit__(None, None, None)
    return agent.totals


def look(first: int, rounds: int) -> Look:
    """Return the tightest of some rounds with a guest that does `be_looked_at` of the same arguments."""
    page, best = _shared(), None
    for number in range(first, first + rounds):
        before, raw_before = _monotonic(), _raw()
        page[_PING] = number
        _await(page, _PONG, number)
        raw_after, after = _raw(), _monotonic()
        one = Look(before, after, page[_MONOTONIC], raw_before, raw_after, page[_RAW])
        if best is None or one.after - one.before < best.after - best.before:
            best = one
    assert best is not None
    return best


def be_looked_at(first: int, rounds: int) -> None:
    """Show this guest's clocks whenever the other one asks."""
    page = _shared()
    for number in range(first, first + rounds):
        _await(page, _PING, number)
        page[_MONOTONIC], page[_RAW] = _monotonic(), _raw()
        page[_PONG] = number


def _await(page: memoryview, word: int, number: int) -> None:
    late = _monotonic() + int(_PATIENCE_SECONDS * 1e9)
    while True:
        for _ in range(1000):
            if page[word] == number:
                return
        assert _monotonic() < late, "the other guest does not answer"


def _monotonic() -> int:
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def _raw() -> int:
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)


@cache
def _shared() -> memoryview:
    """The memory that both guests have, as 64-bit words."""
    device = next(
        place
        for place in Path("/sys/bus/pci/devices").iterdir()
        if tuple((place / name).read_text().strip() for name in ("vendor", "device")) == _IVSHMEM
    )
    (device / "enable").write_text("1")
    with (device / "resource2").open("r+b", buffering=0) as memory:
        return memoryview(mmap.mmap(memory.fileno(), mmap.PAGESIZE)).cast("Q")


def step(nanoseconds: int) -> None:
    """Set CLOCK_REALTIME ahead by so much, at once."""
    seconds, part = divmod(nanoseconds, 1_000_000_000)
    _change(_Timex(modes=_ADJ_SETOFFSET | _ADJ_NANO, time=_Timeval(seconds, part)))


def slew(ppm: float) -> None:
    """Have CLOCK_MONOTONIC and CLOCK_REALTIME run faster, as NTP does; CLOCK_MONOTONIC_RAW stays as it is."""
    frequency = round(ppm * _PPM)
    _change(_Timex(modes=_ADJ_FREQUENCY, freq=frequency))
    state = adjtimex()
    assert state is not None
    assert state.freq == frequency


def _change(wanted: _Timex) -> None:
    if _LIBC.adjtimex(ctypes.byref(wanted)) < 0:
        raise OSError(ctypes.get_errno(), "adjtimex")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
