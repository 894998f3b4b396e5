# SPDX-License-Identifier: Apache-2.0
"""Runs a loaded BPF program on a chosen CPU, now: the bpf() system call's BPF_PROG_TEST_RUN.

An idle CPU never runs a hook, and a timer may sleep with it; this wakes it. Measured 40 µs a call.
"""

import ctypes
import os
import platform

NUMBERS = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "loongarch64": 280, "s390x": 351, "ppc64le": 361}
"""Of the bpf() system call, by machine."""
_PROG_TEST_RUN = 10
_ON_CPU = 1
_libc = ctypes.CDLL(None, use_errno=True)


class _Attributes(ctypes.Structure):
    """The `test` member of union bpf_attr (include/uapi/linux/bpf.h)."""

    _fields_ = (
        ("prog_fd", ctypes.c_uint32),
        ("retval", ctypes.c_uint32),
        ("data_size_in", ctypes.c_uint32),
        ("data_size_out", ctypes.c_uint32),
        ("data_in", ctypes.c_uint64),
        ("data_out", ctypes.c_uint64),
        ("repeat", ctypes.c_uint32),
        ("duration", ctypes.c_uint32),
        ("ctx_size_in", ctypes.c_uint32),
        ("ctx_size_out", ctypes.c_uint32),
        ("ctx_in", ctypes.c_uint64),
        ("ctx_out", ctypes.c_uint64),
        ("flags", ctypes.c_uint32),
        ("cpu", ctypes.c_uint32),
        ("batch_size", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
    )


def supported() -> bool:
    """Say whether the number of the system call is known on this architecture."""
    return platform.machine() in NUMBERS


def run(program_fd: int, cpu: int | None = None, argument: int | None = None) -> int:
    """Run the program, on ``cpu`` or in the caller's own context, and return what it returned.

    ``argument`` is the first argument a tracepoint would give it.

    Raises:
        OSError: the kernel refused; ENXIO where the CPU is offline.
    """
    attributes = _Attributes(prog_fd=program_fd)
    if cpu is not None:
        attributes.flags, attributes.cpu = _ON_CPU, cpu
    if argument is not None:
        context = ctypes.c_uint64(argument)
        attributes.ctx_in, attributes.ctx_size_in = ctypes.addressof(context), ctypes.sizeof(context)
    number = NUMBERS[platform.machine()]
    if _libc.syscall(number, _PROG_TEST_RUN, ctypes.byref(attributes), ctypes.sizeof(attributes)) < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"BPF_PROG_TEST_RUN: {os.strerror(code)}")
    return int(attributes.retval)
