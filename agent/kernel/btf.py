# SPDX-License-Identifier: Apache-2.0
"""Reads the running kernel's own description of its types (BTF).

Pure but for `load`: names in, byte offsets out. Format: Documentation/bpf/btf.rst of the kernel.
"""

import struct
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from agent.kernel.errors import KernelUnfitError

VMLINUX = Path("/sys/kernel/btf/vmlinux")
_MAGIC = 0xEB9F
_HEADER = struct.Struct("<HBBIIIII")
_STRUCT, _UNION, _TYPEDEF, _FUNCTION = 4, 5, 8, 12
_MODIFIERS = {8, 9, 10, 11, 18}
"""Typedef, volatile, const, restrict, type tag: what stands before the type itself."""
_EXTRA_WORDS = {1: 1, 3: 3, 14: 1, 17: 1}
_WORDS_PER_MEMBER = {4: 3, 5: 3, 6: 2, 13: 2, 15: 3, 19: 3}


class Field(NamedTuple):
    """Where a member lies within the outermost struct."""

    offset: int
    """Bytes."""
    size: int
    """Bytes; of a bit field, of the bytes that hold it."""
    mask: int
    """Of a bit field, its bits within the byte at ``offset`` (0 = not a bit field)."""


class Btf:
    """All types of one kernel. Looking up costs nothing but the members passed on the way."""

    def __init__(self, data: bytes) -> None:
        """Index the types in ``data``.

        Raises:
            KernelUnfitError: it is not little-endian BTF.
        """
        if len(data) < _HEADER.size or _HEADER.unpack_from(data)[0] != _MAGIC:
            raise KernelUnfitError("the kernel's BTF cannot be read: not little-endian BTF")
        _, _, _, header, type_start, type_size, text_start, text_size = _HEADER.unpack_from(data)
        types = data[header + type_start : header + type_start + type_size]
        self._words = array("I", types)
        self._text = data[header + text_start : header + text_start + text_size]
        self._start = _index(self._words)
        self._named = _names(self._words, self._start)

    def has_tracepoint(self, name: str) -> bool:
        """Say whether the kernel has the tracepoint ``name``."""
        return self._find(_TYPEDEF, f"btf_trace_{name}") is not None

    def parameters(self, function: str) -> tuple[str, ...] | None:
        """Return the names of a function's parameters in order, None where there is no such function."""
        number = self._find(_FUNCTION, function)
        if number is None:
            return None
        at = self._start[self._words[self._start[number] + 2]]
        count = self._words[at + 1] & 0xFFFF
        return tuple(self._string(self._words[at + 3 + 2 * i]) for i in range(count))

    def field(self, path: str) -> Field:
        """Return where ``struct.member.member`` lies; anonymous structs and unions are passed through.

        Raises:
            KernelUnfitError: this kernel has no such member.
        """
        name, *members = path.split(".")
        number = self._find(_STRUCT, name)
        bits, mask = 0, 0
        for member in members:
            found = self._member(number, member) if number is not None else None
            if found is None:
                raise KernelUnfitError(
                    f"this kernel's BTF has no {path}: it cannot be traced by this version"
                )
            number, more, width = found
            bits += more
            mask = ((1 << width) - 1) << bits % 8 if width else 0
        return Field(bits // 8, self._size(number), mask)

    def _find(self, kind: int, name: str) -> int | None:
        wanted = b"\0" + name.encode() + b"\0"
        at = self._text.find(wanted)
        while at >= 0:
            number = self._named.get((kind, at + 1))
            if number is not None:
                return number
            at = self._text.find(wanted, at + 1)
        return None

    def _string(self, at: int) -> str:
        return self._text[at : self._text.index(b"\0", at)].decode()

    def _bare(self, number: int) -> int:
        while self._kind(number) in _MODIFIERS:
            number = self._words[self._start[number] + 2]
        return number

    def _kind(self, number: int) -> int:
        return self._words[self._start[number] + 1] >> 24 & 31

    def _size(self, number: int | None) -> int:
        if number is None:
            return 0
        number = self._bare(number)
        kind, at = self._kind(number), self._start[number]
        if kind == 2:  # noqa: PLR2004 - a pointer
            return 8
        if kind == 3:  # noqa: PLR2004 - an array: element type, index type, count
            return self._size(self._words[at + 3]) * self._words[at + 5]
        return self._words[at + 2]

    def _member(self, number: int, name: str) -> tuple[int, int, int] | None:
        """Return (type, offset in bits, width in bits or 0) of a member, None if there is none."""
        number = self._bare(number)
        if self._kind(number) not in (_STRUCT, _UNION):
            return None
        at, words = self._start[number], self._words
        has_widths = words[at + 1] >> 31
        wanted = name.encode() + b"\0"
        for i in range(at + 3, at + 3 + 3 * (words[at + 1] & 0xFFFF), 3):
            text, kind, where = words[i : i + 3]
            offset, width = (where & 0xFFFFFF, where >> 24) if has_widths else (where, 0)
            if text and self._text.startswith(wanted, text):
                return kind, offset, width
            inner = None if text else self._member(kind, name)
            if inner is not None:
                return inner[0], offset + inner[1], inner[2]
        return None


def _names(words: Sequence[int], start: Sequence[int]) -> dict[tuple[int, int], int]:
    """Return the numbers of named structs, typedefs and functions by (kind, place of the name)."""
    found: dict[tuple[int, int], int] = {}
    for number, at in enumerate(start):
        kind = words[at + 1] >> 24 & 31
        if kind in (_STRUCT, _TYPEDEF, _FUNCTION) and words[at]:
            found.setdefault((kind, words[at]), number)
    return found


def _index(words: Sequence[int]) -> Sequence[int]:
    """Return the position of each type's first word; type 0 is void and shares that of type 1."""
    start, at, end = array("I", (0,)), 0, len(words)
    while at < end:
        start.append(at)
        info = words[at + 1]
        kind = info >> 24 & 31
        at += 3 + _EXTRA_WORDS.get(kind, 0) + _WORDS_PER_MEMBER.get(kind, 0) * (info & 0xFFFF)
    return start


def load(path: Path = VMLINUX) -> Btf:
    """Read the running kernel's BTF.

    Raises:
        KernelUnfitError: there is none.
    """
    try:
        return Btf(path.read_bytes())
    except OSError as error:
        remedy = (
            "use a kernel built with CONFIG_DEBUG_INFO_BTF=y (Debian 11, Ubuntu 20.10, RHEL 8.2 or later)"
        )
        raise KernelUnfitError(f"the kernel has no BTF ({path}: {error.strerror}): {remedy}") from error
