# SPDX-License-Identifier: Apache-2.0
"""Gives back what the compiler in BCC leaves resident: it is needed once, at the start."""

import ctypes
import re
from collections.abc import Iterator
from pathlib import Path

_DONTNEED = 4
_COMPILER = ("libLLVM", "libclang-cpp", "libbcc")
_HEAD = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) r-.p \S+ \S+ \d+ +(/.*)$")
_libc = ctypes.CDLL(None, use_errno=True)


def release() -> None:
    """Drop the compiler's clean pages and what the allocator holds free.

    A page needed again is read again.
    """
    for start, end in clean_mappings(Path("/proc/self/smaps").read_text(encoding="utf-8", errors="replace")):
        _libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _DONTNEED)
    _libc.malloc_trim(0)


def clean_mappings(smaps: str) -> Iterator[tuple[int, int]]:
    """Yield the read-only mappings of the compiler's libraries that equal their files.

    Relocated data are read-only too, but a copy of this process's own: dropping them would undo it.
    """
    mapping: tuple[int, int] | None = None
    for line in smaps.splitlines():
        name, _, value = line.partition(":")
        if not name.isidentifier():
            found = _HEAD.match(line)
            ours = found and Path(found[3]).name.startswith(_COMPILER)
            mapping = (int(found[1], 16), int(found[2], 16)) if found and ours else None
        elif name == "Anonymous" and mapping and value.split() == ["0", "kB"]:
            yield mapping
