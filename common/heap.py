# SPDX-License-Identifier: Apache-2.0
"""Lets glibc keep freed memory for the next use of it, and asks the kernel for huge pages for that.

Work on large columns comes in rounds, which free nearly all that they take. By itself glibc returns that to
the kernel and fetches it anew, page by page, round by round; what a process holds at most is the same. The
columns of a round lie on more small pages than a processor has entries for, huge ones need few.
"""

import ctypes
import mmap

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_KEPT_BYTES = 512 * 2**20
_LARGE_BYTES = 32 * 2**20
"""The most that every glibc takes."""
_BLOCK_BYTES = _LARGE_BYTES // 2


def keep_freed() -> bool:
    """Set the limits for this process; return whether the C library has them and took them.

    Nearly as much as is kept becomes the heap's at once, as addresses: memory it takes when it is used. Where
    a limit forbids that, or the kernel has no huge pages, pages are small and nothing else is different.
    """
    library = ctypes.CDLL(None)
    mallopt = getattr(library, "mallopt", None)
    if mallopt is None:
        return False
    # What is left of a heap that is cut is less than would be cut again.
    limits = (
        (_M_MMAP_THRESHOLD, _LARGE_BYTES),
        (_M_TRIM_THRESHOLD, _KEPT_BYTES),
        (_M_TOP_PAD, _KEPT_BYTES - _LARGE_BYTES),
    )
    taken = all(mallopt(*limit) for limit in limits)
    _grow(library)
    return taken


def _grow(library: ctypes.CDLL) -> None:
    """Let the heap grow, and ask for huge pages for what it grew by: what comes later would have none."""
    library.malloc.argtypes, library.malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
    library.free.argtypes, library.free.restype = [ctypes.c_void_p], None
    library.sbrk.argtypes, library.sbrk.restype = [ctypes.c_ssize_t], ctypes.c_void_p
    library.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    end = library.sbrk(0)
    begin = -(-end // mmap.PAGESIZE) * mmap.PAGESIZE
    blocks: list[int | None] = []
    while library.sbrk(0) == end and len(blocks) * _BLOCK_BYTES < _KEPT_BYTES:
        blocks.append(library.malloc(_BLOCK_BYTES))
    for block in blocks:
        library.free(block)
    size = library.sbrk(0) - begin
    if size > 0:
        library.madvise(begin, size, mmap.MADV_HUGEPAGE)
