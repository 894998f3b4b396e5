# SPDX-License-Identifier: Apache-2.0
"""Lets glibc keep freed memory for the next use of it.

Work on large columns comes in rounds, which free nearly all that they take. By itself glibc returns that to
the kernel and fetches it anew, page by page, round by round; what a process holds at most is the same.
"""

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 512 * 2**20
_LARGE_BYTES = 32 * 2**20
"""The most that every glibc takes."""


def keep_freed() -> bool:
    """Set both limits for this process; return whether the C library has them and took them."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES) and mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES))
