# SPDX-License-Identifier: Apache-2.0
"""Kprobes as named events of tracefs: only those have room for sleeping calls and tell what they missed.

Guarantee: every hit of a place is a run of its program or counted by `misses`, on kernels too that skip
programs without a word. Attached by perf_event_open alone, a return probe follows about ten sleeping calls.
An agent killed by SIGKILL leaves its names, disabled; `remove_stale`, at the next start, takes them away.
"""

import fcntl
import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from agent.kernel import hooks, perf
from agent.kernel.hooks import Hook
from agent.kernel.settings import Backend

PLACES = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))
GROUP = "wirelag"
_SLEEPERS = 4096
"""Calls a return probe can follow at once, the most the kernel gives: one that blocks holds its place."""
_SET_BPF, _ENABLE = 0x40042408, 0x2400
_QUIET_TRIES = 20
_NEEDS_ROOT = "tracefs, through which they are attached, is for root"
_serial = itertools.count()


class _Probe(NamedTuple):
    """One attached program."""

    name: str
    """Of the event; one such name exists once on a host."""
    descriptor: int
    offset: int
    """Hits without a run before it was attached."""


class Probes:
    """The kprobes of one capture, until `detach`. ``runs`` says how often a program has run."""

    def __init__(self, runs: Callable[[str], int], places: tuple[Path, ...] = PLACES) -> None:
        self._runs = runs
        self._places = places
        self._probes: dict[str, _Probe] = {}
        self._misses: dict[str, int] = {}

    def attach(self, hook: Hook, program: int, cpu: int) -> None:
        """Run the loaded ``program`` (file descriptor) at a function; ``cpu`` is any that is online.

        Raises:
            OSError: the kernel refuses, or this process may not write to tracefs.
        """
        folder = tracefs(self._places)
        if not self._probes:
            remove_stale(folder)
        name = f"{hook.program}_{os.getpid()}_{next(_serial)}"
        kind = f"r{_SLEEPERS}" if hook.returns else "p"
        _write(folder, f"{kind}:{GROUP}/{name} {hook.function}")
        try:
            number = int((folder / "events" / GROUP / name / "id").read_text(encoding="ascii"))
            descriptor = perf.open_event(perf.TRACEPOINT, number, cpu)
        except BaseException:
            _write(folder, f"-:{GROUP}/{name}")
            raise
        self._probes[hook.program] = _Probe(name, descriptor, 0)
        fcntl.ioctl(descriptor, _SET_BPF, program)
        fcntl.ioctl(descriptor, _ENABLE, 0)
        self._probes[hook.program] = _Probe(name, descriptor, self._unseen(hook.program, name))

    def misses(self) -> dict[str, int]:
        """Return, by program, how often its place was hit and it did not run. Never falls.

        Runs under way are not taken for misses, so while much happens it may lag.
        """
        profile = dict(_profile(tracefs(self._places))) if self._probes else {}
        for program, probe in self._probes.items():
            hits, missed = profile.get(probe.name, (0, 0))
            skipped = hits - self._runs(program) - probe.offset
            self._misses[program] = max(self._misses.get(program, 0), missed + skipped)
        return dict(self._misses)

    def detach(self) -> None:
        """Leave nothing behind; what `misses` says stays."""
        if self._probes:
            self.misses()
        while self._probes:
            _, probe = self._probes.popitem()
            os.close(probe.descriptor)
            _write(tracefs(self._places), f"-:{GROUP}/{probe.name}")

    def _unseen(self, program: str, name: str) -> int:
        """Return the hits of the moment of attachment that no program saw."""
        unseen, again = 0, -1
        for _ in range(_QUIET_TRIES):
            hits, _ = dict(_profile(tracefs(self._places)))[name]
            unseen = hits - self._runs(program)
            if hits == again:
                break
            again = hits
        return unseen


def tracefs(places: tuple[Path, ...] = PLACES) -> Path:
    """Return the folder through which kprobes are named.

    Raises:
        OSError: there is none, or it may not be seen.
    """
    for place in places:
        with suppress(FileNotFoundError, NotADirectoryError):
            (place / "kprobe_events").stat()
            return place
    raise FileNotFoundError(
        "tracefs with kprobe_events is not mounted: mount -t tracefs none /sys/kernel/tracing"
    )


def refused(places: tuple[Path, ...] = PLACES) -> str | None:
    """Return in a line why this process cannot use kprobes, None where it can."""
    try:
        file = tracefs(places) / "kprobe_events"
    except PermissionError:
        return _NEEDS_ROOT
    except OSError as error:
        return str(error)
    return None if os.access(file, os.W_OK) else _NEEDS_ROOT


def choose(
    kernel: hooks.Names, backend: Backend, unusable: dict[str, str], places: tuple[Path, ...] = PLACES
) -> list[Hook]:
    """Choose hooks, kprobes among them only if this process can use them; adds to ``unusable`` if it cannot.

    Raises:
        KernelUnfitError: something cannot be seen by any means that is left.
    """
    chosen = hooks.choose(kernel, backend, unusable)
    why = refused(places) if any(hook.means == hooks.KPROBE for hook in chosen) else None
    if why is None:
        return chosen
    unusable[hooks.KPROBE] = why
    return hooks.choose(kernel, backend, unusable)


def remove_stale(folder: Path) -> list[str]:
    """Remove the names that agents left who are no more, and return them. One in use is never removed."""
    removed = []
    for line in (folder / "kprobe_events").read_text(encoding="ascii").splitlines():
        group, _, name = line.partition(" ")[0].partition(":")[2].partition("/")
        owner = name.split("_")[-2:-1]
        if group != GROUP or not owner or (owner != [str(os.getpid())] and Path("/proc", owner[0]).exists()):
            continue
        with suppress(OSError):  # in use
            _write(folder, f"-:{GROUP}/{name}")
            removed.append(name)
    return removed


def _profile(folder: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield the name of each event with its hits and those the probe itself missed."""
    for line in (folder / "kprobe_profile").read_text(encoding="ascii").splitlines():
        name, hits, missed = line.split()
        yield name, (int(hits), int(missed))


def _write(folder: Path, line: str) -> None:
    # No open() of Python's: to append it seeks the end, which tracefs refuses.
    descriptor = os.open(folder / "kprobe_events", os.O_WRONLY | os.O_APPEND)
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)
