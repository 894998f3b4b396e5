# SPDX-License-Identifier: Apache-2.0
"""Has the kernel measure the time in BPF programs while a descriptor is open (BPF_ENABLE_STATS, Linux 5.8).

Unlike the sysctl kernel.bpf_stats_enabled it changes nothing for good: it ends with the descriptor.
Measuring costs 20 to 40 ns a run.
"""

import ctypes
import os
import platform

from agent.kernel.testrun import NUMBERS

_ENABLE_STATS = 32
_RUN_TIME = 0
_libc = ctypes.CDLL(None, use_errno=True)


class _Attributes(ctypes.Structure):
    """The `enable_stats` member of union bpf_attr (include/uapi/linux/bpf.h)."""

    _fields_ = (("type", ctypes.c_uint32),)


def enable() -> int:
    """Begin to measure; return the descriptor that ends it when it is closed.

    Raises:
        OSError: the kernel refuses: EPERM without CAP_SYS_ADMIN, EINVAL before Linux 5.8.
    """
    attributes = _Attributes(_RUN_TIME)
    number = NUMBERS[platform.machine()]
    found = _libc.syscall(number, _ENABLE_STATS, ctypes.byref(attributes), ctypes.sizeof(attributes))
    if found < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"BPF_ENABLE_STATS: {os.strerror(code)}")
    return int(found)
