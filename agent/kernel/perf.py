# SPDX-License-Identifier: Apache-2.0
"""Opens perf events: rings and kprobes are such, and a kernel that allows BPF may refuse them."""

import ctypes
import os
import platform
import struct
from pathlib import Path

SOFTWARE, TRACEPOINT = 1, 2
"""Types of events."""
_BPF_OUTPUT = 10
_NUMBERS = {"x86_64": 298, "aarch64": 241}
"""Of the system call, by machine."""
_ATTRIBUTES = struct.Struct("=IIQQQQQIIQ")
"""The first version of struct perf_event_attr: 64 bytes."""
_CLOSE_ON_EXEC = 8
PARANOID = Path("/proc/sys/kernel/perf_event_paranoid")
_libc = ctypes.CDLL(None, use_errno=True)


def open_event(kind: int, number: int, cpu: int) -> int:
    """Open an event of a CPU for all processes; return the descriptor.

    Raises:
        OSError: the kernel refuses.
    """
    attributes = _ATTRIBUTES.pack(kind, _ATTRIBUTES.size, number, 1, 0, 0, 0, 1, 0, 0)
    call = _NUMBERS[platform.machine()]
    descriptor = int(_libc.syscall(call, attributes, -1, cpu, -1, ctypes.c_ulong(_CLOSE_ON_EXEC)))
    if descriptor < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"perf_event_open: {os.strerror(code)}")
    return descriptor


def refused() -> str | None:
    """Return in a line why this process may not open a ring, None where it may. Leaves nothing open."""
    if platform.machine() not in _NUMBERS:
        return None
    try:
        os.close(open_event(SOFTWARE, _BPF_OUTPUT, min(os.sched_getaffinity(0))))
    except PermissionError as error:
        return (
            f"perf events are refused ({error.strerror}), kernel.perf_event_paranoid is {_paranoid()}: "
            "set it to 2 (Debian and Ubuntu want CAP_SYS_ADMIN above that), or grant CAP_SYS_ADMIN"
        )
    return None


def _paranoid() -> str:
    try:
        return PARANOID.read_text(encoding="ascii").strip()
    except OSError:
        return "not told"
