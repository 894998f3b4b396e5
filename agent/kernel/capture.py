# SPDX-License-Identifier: Apache-2.0
"""From the kernel's hooks to records, every event in exactly one place.

Guarantee: between `start` and `stop` each event of a traced connection is handed over once, by `cycle` or
`stop`, or is counted as lost, nested or missed (counters.py). Records come in no order across CPUs;
``Cycle.complete_until_ns`` says up to which moment there are no more to come.
"""

import errno
import struct
import time
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from agent.kernel import btf, counters, hooks, layout, memory, own, privileges, probes, source, testrun
from agent.kernel.counters import Counters
from agent.kernel.errors import HookRefusedError, KernelUnfitError
from agent.kernel.loader import Program, import_bcc
from agent.kernel.settings import SAMPLING, CaptureSettings
from schemas.batch import FULL_RATE

__all__ = ["Capture", "CaptureSettings", "Cycle", "Final", "KernelUnfitError"]

_TRIES = 50
_RINGLESS = 1 << 16
"""Of the flush program's result (bpf/flush.bpf.c)."""
_SETTINGS = struct.Struct("=4I")
_KEY_ZERO = bytes(4)


class Cycle(NamedTuple):
    """What one cycle brought."""

    records: list[bytes]
    complete_until_ns: int
    """CLOCK_MONOTONIC: every event emitted before has been handed over, now or earlier."""


class Final(NamedTuple):
    """What was left at the end."""

    records: list[bytes]
    counters: Counters


class Capture:
    """One set of programs in the kernel. The constructor touches nothing."""

    def __init__(self, settings: CaptureSettings) -> None:
        self._settings = settings
        self._program: Program | None = None
        self._chosen: list[hooks.Hook] = []
        self._records: list[bytes] = []
        self._complete_until_ns = 0
        self._epoch = 1
        self._flush_fd = -1
        self._rates = (FULL_RATE, FULL_RATE)

    @property
    def running(self) -> bool:
        """Whether it is attached."""
        return self._program is not None

    def leave_out(self, ports: Iterable[int]) -> None:
        """At the next `start` leave these ports out, too."""
        left_out = tuple(sorted({*self._settings.exclude_ports, *ports}))
        self._settings = msgspec.structs.replace(self._settings, exclude_ports=left_out)

    @property
    def hooks(self) -> str:
        """What it is attached to, for people."""
        return hooks.describe(self._chosen)

    @property
    def means(self) -> str:
        """The means by which it is attached, or was last, with commas."""
        return ",".join(sorted({hook.means for hook in self._chosen}))

    def probe(self) -> str:
        """Say in a line what `start` would use; loads nothing.

        Raises:
            KernelUnfitError: what is missing, with its remedy.
        """
        return hooks.describe(probes.choose(self._inspect(), self._settings.backend, {}))

    def start(self) -> None:
        """Load and attach. On an error nothing stays in the kernel.

        A means that the kernel refuses, though it lists the places, is replaced by the next.

        Raises:
            KernelUnfitError: what is missing, with its remedy.
        """
        types = self._inspect()
        macros = layout.macros(types) | hooks.macros(types)
        refused: dict[str, str] = {}
        while self._program is None:
            self._chosen = probes.choose(types, self._settings.backend, refused)
            try:
                self._program = self._armed(macros)
            except HookRefusedError as error:
                if error.means == hooks.RAW or error.means in refused:
                    raise
                refused[error.means] = str(error)

    def cycle(self) -> Cycle:
        """Have every CPU submit what its batches hold, and take all records that are there."""
        program = self._running()
        before = time.monotonic_ns()
        if self._flush(program):
            self._complete_until_ns = before
        program.consume()
        return Cycle(self._take(), self._complete_until_ns)

    def poll(self, timeout_ms: int) -> None:
        """Wait for full batches at most so long and keep them for the next `cycle`."""
        self._running().poll(timeout_ms)

    @property
    def held(self) -> int:
        """Number of records that ``poll`` has kept for the next ``cycle``."""
        return len(self._records)

    def counters(self) -> Counters:
        """Return the kernel's counters. While events flow, the residual is of another moment."""
        program = self._running()
        heads = program.per_cpu("hooks", range(len(counters.HOOK_NAMES)), counters.HEAD_DTYPE)
        return counters.add_up(heads, program.stats(self._chosen))

    def reannounce(self, socks: Iterable[int]) -> None:
        """Have connections told of again, by the next `cycle`; those that have gone stay untold."""
        reannounce = self._running().fds["reannounce"]
        for sock in socks:
            testrun.run(reannounce, argument=int(sock))

    def reannounce_all(self) -> None:
        """Have every connection and every thread told of again, at their next event."""
        self._epoch += 1
        self._put_settings(self._running())

    @property
    def rates(self) -> tuple[int, int]:
        """Of 65,536: how many connections are kept whole, how many blocks of 64 KiB."""
        return self._rates

    def sample(self, connection_rate: int, block_rate: int) -> None:
        """Keep from now on events by these rates; FULL_RATE for either keeps all (bpf/sampling.bpf.c).

        Holds until the next call, through `stop` and `start`.
        """
        if not (0 <= connection_rate <= FULL_RATE and 0 <= block_rate <= FULL_RATE):
            raise ValueError(f"rates ({connection_rate}, {block_rate}): allowed are 0 to {FULL_RATE}")
        self._rates = (connection_rate, block_rate)
        if self._program is not None:
            self._put_settings(self._program)

    def stop(self) -> Final:
        """Detach, take what is left, and free everything in the kernel."""
        program = self._running()
        try:
            program.detach()
            self._flush(program)
            program.consume()
            return Final(self._take(), self.counters())
        finally:
            program.close()
            self._program = None

    def _text(self) -> str:
        """Return the programs' text; tests that must fail put theirs here."""
        return source.text({hook.means for hook in self._chosen})

    def _inspect(self) -> btf.Btf:
        privileges.check()
        if not testrun.supported():
            raise KernelUnfitError("this processor architecture is not supported: use x86-64 or arm64")
        import_bcc()
        return btf.load()

    def _armed(self, macros: dict[str, int]) -> Program:
        """Compile, load and attach what was chosen."""
        sizes = {"BATCH": self._settings.batch, "CONNECTIONS": self._settings.connections}
        preemptible = {"PREEMPTIBLE": 1} if hooks.FENTRY in {hook.means for hook in self._chosen} else {}
        program = Program(self._text(), source.flags(macros | sizes | preemptible), source.STUBS)
        try:
            self._arm(program)
        except BaseException:
            program.close()
            raise
        return program

    def _arm(self, program: Program) -> None:
        settings = self._settings
        for hook in self._chosen:
            program.load(hook.program, hook.means)
        self._flush_fd = program.load("flush")
        program.load("reannounce")
        introduction = program.load("introduce_agent")
        sets = (
            ("ports", 2, settings.ports),
            ("excluded_ports", 2, settings.exclude_ports),
            ("namespaces", 4, settings.netns),
            ("cgroups", 8, settings.cgroups),
            ("own_listeners", 8, own.listening_keys()),
        )
        for table, width, values in sets:
            for value in values:
                program.put(table, value.to_bytes(width, "little"), b"\1")
        self._put_settings(program)
        testrun.run(introduction)
        program.open_rings("records", settings.ring_pages, self._records_append, settings.wakeup_records)
        memory.release()
        for hook in self._chosen:
            program.attach(hook)

    def _put_settings(self, program: Program) -> None:
        """Write what the programs go by; who the agent is they have found out themselves."""
        own = _SETTINGS.unpack(program.get("settings", _KEY_ZERO, _SETTINGS.size))[0]
        connection, block = self._rates
        sampling = SAMPLING if max(self._rates) < FULL_RATE else 0
        rates = connection << 16 | block if sampling else 0
        values = (own, self._epoch, self._settings.filters | sampling, rates)
        program.put("settings", _KEY_ZERO, _SETTINGS.pack(*values))

    def _records_append(self, record: bytes) -> None:
        self._records.append(record)

    def _take(self) -> list[bytes]:
        taken, self._records = self._records, []
        return taken

    def _flush(self, program: Program) -> bool:
        """Return whether every batch was submitted; one in use is tried again."""
        results = [self._flush_cpu(program, cpu) for cpu in program.follow_cpus()]
        return all(results)

    def _flush_cpu(self, program: Program, cpu: int) -> bool:
        for _ in range(_TRIES):
            try:
                result = testrun.run(self._flush_fd, cpu)
                if result & _RINGLESS:
                    program.renew_ring(cpu)
                if result & ~_RINGLESS == 0:
                    return True
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                return False  # it went offline just now
        return False

    def _running(self) -> Program:
        if self._program is None:
            raise RuntimeError("the capture is not running")
        return self._program
