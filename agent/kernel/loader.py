# SPDX-License-Identifier: Apache-2.0
"""The one file that knows BCC: compiles, loads, attaches, and reads maps and the perf buffer."""

import atexit
import ctypes
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.kernel.counters import ProgramStats, program_stats
from agent.kernel.errors import HookRefusedError, KernelUnfitError
from agent.kernel.hooks import KPROBE_PROGRAMS, Hook
from agent.kernel.probes import Probes

_POSSIBLE = Path("/sys/devices/system/cpu/possible")
_ONLINE = Path("/sys/devices/system/cpu/online")
_COUNTER = np.dtype("<u8")
_LONGEST_LIST = 4096
"""Bytes of a file in sysfs."""
_NO_RING = (
    "no ring of {pages} pages on CPU {cpu}, for want of memory that may be locked: take fewer "
    "capture.ring-pages, raise RLIMIT_MEMLOCK or kernel.perf_event_mlock_kb, or grant CAP_IPC_LOCK"
)
_BCC_REMEDY = "install the distribution's BCC (Debian and Ubuntu: apt install python3-bpfcc)"


def import_bcc() -> Any:  # noqa: ANN401 - it ships no types
    """Return the bcc module.

    Raises:
        KernelUnfitError: there is none, or it is the unrelated package of that name.
    """
    try:
        import bcc  # noqa: PLC0415 - 70 MB of compiler: only where a program is loaded
    except (ImportError, OSError) as error:
        remedy = f"{_BCC_REMEDY}, and a virtual environment made with --system-site-packages"
        raise KernelUnfitError(f"BCC cannot be used ({error}): {remedy}") from error
    if not hasattr(bcc, "BPF"):
        raise KernelUnfitError(f"the package bcc at {bcc.__file__} is an unrelated one: {_BCC_REMEDY}")
    return bcc


def _count_elsewhere(_lost: int) -> None:
    """Take BCC's report of lost records: the programs have counted their events already."""


class Program:
    """One compiled text, its programs and maps, until `close`."""

    def __init__(
        self, text: str, flags: Iterable[str], headers: Path, counted: Sequence[str] = KPROBE_PROGRAMS
    ) -> None:
        """Compile. ``counted`` are the programs of kprobes, in the order of the map ``runs``.

        Raises:
            KernelUnfitError: BCC is missing or cannot compile the text.
        """
        bcc = import_bcc()
        kind = bcc.BPF
        self._types = {"raw": kind.RAW_TRACEPOINT, "fentry": kind.TRACING, "kprobe": kind.KPROBE}
        self._lib = bcc.lib
        with _environment(BCC_KERNEL_SOURCE=str(headers)):
            try:
                self._bpf = _unattached(kind)(text=text.encode(), cflags=list(flags))
            except Exception as error:
                raise KernelUnfitError(f"BCC cannot compile the programs: {error}") from error
        self._counted = counted
        self._probes = Probes(self._runs)
        self._fds: dict[str, int] = {}
        self._rings: set[int] = set()
        self._online = os.open(_ONLINE, os.O_RDONLY | os.O_CLOEXEC)
        self._online_text = b""
        self._online_cpus: list[int] = []
        self._sizes: dict[str, int] = {}
        self._open_ring: Callable[[int], None] | None = None
        self._close_ring: Callable[[int], None] = self._rings.discard

    @property
    def fds(self) -> dict[str, int]:
        """File descriptors of the loaded programs by name."""
        return self._fds

    def load(self, name: str, means: str = "raw") -> int:
        """Load one program and return its file descriptor.

        Raises:
            HookRefusedError: the kernel refuses it.
        """
        try:
            self._fds[name] = self._bpf.load_func(name.encode(), self._types[means]).fd
        except Exception as error:
            raise HookRefusedError(means, f"the kernel refuses the program {name}: {error}") from error
        return self._fds[name]

    def attach(self, hook: Hook) -> None:
        """Attach a loaded program.

        Raises:
            HookRefusedError: the kernel refuses.
        """
        function, program = hook.function.encode(), hook.program.encode()
        try:
            if hook.means == "raw":
                self._bpf.attach_raw_tracepoint(tp=function, fn_name=program)
            elif hook.means == "fentry":
                attach = self._bpf.attach_kretfunc if hook.returns else self._bpf.attach_kfunc
                attach(fn_name=program)
            else:
                self._probes.attach(
                    hook, self._fds[hook.program], _cpus(_ONLINE.read_text(encoding="ascii"))[0]
                )
        except Exception as error:
            raise HookRefusedError(hook.means, f"cannot attach to {hook.place}: {error}") from error

    def detach(self) -> None:
        """Detach everything; maps and the perf buffer stay."""
        for attached, detach in (
            (self._bpf.raw_tracepoint_fds, self._bpf.detach_raw_tracepoint),
            (self._bpf.kfunc_entry_fds, self._bpf.detach_kfunc),
            (self._bpf.kfunc_exit_fds, self._bpf.detach_kretfunc),
        ):
            for place in list(attached):
                detach(place)
        self._probes.detach()

    def stats(self, chosen: Iterable[Hook]) -> dict[str, tuple[str, ProgramStats]]:
        """Return, by program, the hook its events are counted under and the kernel's figures."""
        skipped = self._probes.misses()
        return {
            hook.program: (
                hook.counted,
                told._replace(misses=skipped[hook.program]) if hook.program in skipped else told,
            )
            for hook in chosen
            for told in [program_stats(self._fds[hook.program])]
        }

    def open_rings(
        self,
        table: str,
        pages: int,
        on_record: Callable[[bytes], None],
        wakeup_records: int = 1,
        on_lost: Callable[[int], None] = _count_elsewhere,
    ) -> None:
        """Open the perf buffer ``table`` on every online CPU; ``on_record`` gets a copy of each record.

        A CPU wakes ``poll`` once so many records are new; fewer wait for ``consume``. ``on_lost`` gets the
        number of records for which there was no room, where a program does not count them itself.
        """
        output = self._bpf[table.encode()]

        def copy(_cpu: int, data: int, size: int) -> None:
            on_record(ctypes.string_at(data, size))

        def open_one(cpu: int) -> None:
            try:
                output._open_perf_buffer(cpu, copy, pages, on_lost, wakeup_records)  # noqa: SLF001 - one CPU
            except Exception as error:
                raise KernelUnfitError(_NO_RING.format(cpu=cpu, pages=pages)) from error

        def close_one(cpu: int) -> None:
            self.consume()
            del output[cpu]

        self._open_ring, self._close_ring = open_one, close_one
        self.follow_cpus()

    def follow_cpus(self) -> list[int]:
        """Open a ring on CPUs that came online, close those of CPUs that went, and return all online ones.

        A ring does not outlive the absence of its CPU.
        """
        text = os.pread(self._online, _LONGEST_LIST, 0)
        if text != self._online_text:
            self._online_text, self._online_cpus = text, _cpus(text.decode("ascii"))
            for cpu in self._rings.difference(self._online_cpus):
                self._close_ring(cpu)
                self._rings.discard(cpu)
        for cpu in self._online_cpus:
            if cpu not in self._rings and self._open_ring is not None:
                self._open_ring(cpu)
                self._rings.add(cpu)
        return self._online_cpus

    def renew_ring(self, cpu: int) -> None:
        """Open a CPU's ring anew, once what it holds is handed over: the CPU was away unseen."""
        self._close_ring(cpu)
        self._rings.discard(cpu)
        self.follow_cpus()

    def poll(self, timeout_ms: int) -> None:
        """Wait for a record at most so long, and hand over what is there."""
        self._bpf.perf_buffer_poll(timeout_ms)

    def consume(self) -> None:
        """Hand over what is there."""
        self._bpf.perf_buffer_consume()

    def put(self, table: str, key: bytes, value: bytes) -> None:
        """Write one map entry."""
        if self._lib.bpf_update_elem(self._map(table), key, value, 0) < 0:
            code = ctypes.get_errno()
            raise OSError(code, f"map {table}: {os.strerror(code)}")

    def get(self, table: str, key: bytes, size: int) -> bytes:
        """Read one map entry of ``size`` bytes."""
        buffer = ctypes.create_string_buffer(size)
        if self._lib.bpf_lookup_elem(self._map(table), key, buffer) < 0:
            code = ctypes.get_errno()
            raise OSError(code, f"map {table}: {os.strerror(code)}")
        return buffer.raw

    def per_cpu(self, table: str, entries: Iterable[int], head: np.dtype[Any]) -> NDArray[Any]:
        """Read the first bytes of some values of a per-CPU array: (entries, CPUs) of ``head``."""
        size = self._sizes.get(table) or self._sizes.setdefault(table, self._value_size(table) + 7 & ~7)
        cpus = len(_cpus(_POSSIBLE.read_text(encoding="ascii")))
        rows = []
        for entry in entries:
            raw = self.get(table, entry.to_bytes(4, "little"), size * cpus)
            rows.append(np.ndarray((cpus,), head, raw, 0, (size,)))
        return np.stack(rows)

    def close(self) -> None:
        """Detach and free everything, in the kernel and here."""
        # They hold the perf buffer, which must go before its map.
        self._open_ring, self._close_ring = None, self._rings.discard
        os.close(self._online)
        atexit.unregister(self._bpf.cleanup)
        self._bpf.cleanup()

    def _runs(self, program: str) -> int:
        """Return how often a kprobe's program has run."""
        return int(self.per_cpu("runs", [self._counted.index(program)], _COUNTER).sum())

    def _value_size(self, table: str) -> int:
        """Ask the kernel; BCC's own idea of a struct with nested arrays is wrong."""
        text = Path(f"/proc/self/fdinfo/{self._map(table)}").read_text(encoding="ascii")
        return int(text.partition("value_size:")[2].split(maxsplit=1)[0])

    def _map(self, table: str) -> int:
        return int(self._bpf[table.encode()].map_fd)


def _unattached(kind: Any) -> Any:  # noqa: ANN401 - BCC ships no types
    """Return BCC's class without its habit to attach, at once, programs whose names say where."""
    return type("BPF", (kind,), {"_trace_autoload": lambda _self: None})


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Set variables for BCC, and give it no temporary folder: it would only unpack kernel headers there.

    A folder of its own would stay where the process is killed meanwhile.
    """
    values |= {"TMPDIR": "/nonexistent"}
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, old in before.items():
            os.environ.pop(name, None)
            if old is not None:
                os.environ[name] = old


def _cpus(text: str) -> list[int]:
    """Read a list such as ``0-3,8``."""
    ranges = (part.partition("-") for part in text.strip().split(","))
    return [cpu for first, _, last in ranges for cpu in range(int(first), int(last or first) + 1)]
