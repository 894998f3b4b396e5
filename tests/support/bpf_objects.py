# SPDX-License-Identifier: Apache-2.0
"""What a process holds in the kernel, by the kernel's own numbers, and whether these still exist.

Numbers of programs, maps, links and types are given out in a circle, so one that is gone stays gone for long.
"""

import ctypes
import errno
import os
import platform
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from agent.kernel.testrun import NUMBERS

_GET_FD_BY_ID = {"prog": 13, "map": 14, "btf": 19, "link": 30}
"""Commands of bpf(2) by the word that /proc/PID/fdinfo uses before ``_id``."""
_NEXT_PROGRAM, _INFO_BY_FD = 11, 15
_ATTRIBUTE_BYTES, _NAME_AT, _INFO_BYTES = 128, 64, 80
"""Of ``union bpf_attr``, and of ``struct bpf_prog_info`` up to the end of its ``name``."""
_libc = ctypes.CDLL(None, use_errno=True)


class Held(NamedTuple):
    """The descriptors of one process that keep something in the kernel."""

    objects: frozenset[tuple[str, int]]
    """(kind, number), kinds as in ``_GET_FD_BY_ID``."""
    perf_events: int

    def of(self, kind: str) -> int:
        """Return how many of a kind."""
        return sum(name == kind for name, _ in self.objects)


def held(pid: int) -> Held:
    """Read a process's descriptors; complete while it is stopped."""
    objects: set[tuple[str, int]] = set()
    perf_events = 0
    for file in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(file.readlink())
            told = Path(f"/proc/{pid}/fdinfo/{file.name}").read_text(encoding="ascii")
        except FileNotFoundError:
            continue
        perf_events += "perf_event" in target
        if "bpf" in target or "btf" in target:
            found = re.findall(r"^(prog|map|link|btf)_id:\s*(\d+)$", told, re.MULTILINE)
            objects |= {(kind, int(number)) for kind, number in found}
    return Held(frozenset(objects), perf_events)


def left(objects: frozenset[tuple[str, int]]) -> set[tuple[str, int]]:
    """Return those that still exist."""
    return {(kind, number) for kind, number in objects if _exists(kind, number)}


def unheld_programs() -> set[tuple[str, int]]:
    """Return (name, number) of the programs in the kernel that no process is known to have a descriptor of.

    Those of a process that ended are among them until the kernel has freed them, and those of processes into
    which even root may not look.
    """
    processes = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    everywhere = {number for pid in processes for kind, number in _objects(pid) if kind == "prog"}
    return {(name, number) for number, name in _programs() if number not in everywhere}


def _objects(pid: int) -> frozenset[tuple[str, int]]:
    try:
        return held(pid).objects
    except OSError:  # it has gone, or may not be looked into
        return frozenset()


def _programs() -> Iterator[tuple[int, str]]:
    """Yield number and name of every program."""
    number = 0
    while True:
        attributes = ctypes.create_string_buffer(number.to_bytes(4, "little"), _ATTRIBUTE_BYTES)
        if _bpf(_NEXT_PROGRAM, attributes) < 0:
            return
        number = int.from_bytes(attributes.raw[4:8], "little")
        descriptor = _bpf(_GET_FD_BY_ID["prog"], _number(number))
        if descriptor >= 0:
            try:
                yield number, _name(descriptor)
            finally:
                os.close(descriptor)


def _name(program: int) -> str:
    told = ctypes.create_string_buffer(_INFO_BYTES)
    attributes = struct.pack("=IIQ", program, _INFO_BYTES, ctypes.addressof(told))
    _bpf(_INFO_BY_FD, ctypes.create_string_buffer(attributes, _ATTRIBUTE_BYTES))
    return told.raw[_NAME_AT:_INFO_BYTES].split(b"\0")[0].decode("ascii", "replace")


def _exists(kind: str, number: int) -> bool:
    descriptor = _bpf(_GET_FD_BY_ID[kind], _number(number))
    if descriptor >= 0:
        os.close(descriptor)
        return True
    code = ctypes.get_errno()
    if code == errno.ENOENT:
        return False
    raise OSError(code, f"{kind} {number}: {os.strerror(code)}")


def _number(number: int) -> ctypes.Array[ctypes.c_char]:
    return ctypes.create_string_buffer(number.to_bytes(4, "little"), _ATTRIBUTE_BYTES)


def _bpf(command: int, attributes: ctypes.Array[ctypes.c_char]) -> int:
    return int(_libc.syscall(NUMBERS[platform.machine()], command, attributes, _ATTRIBUTE_BYTES))
