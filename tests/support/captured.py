# SPDX-License-Identifier: Apache-2.0
"""A capture in a `Worker`: an agent's kernel side in a process of its own, with what rights that has."""

import ctypes
import errno
import platform
import re
import struct
from pathlib import Path

from agent.doctor import checks
from agent.doctor.host import Host
from agent.kernel import btf
from agent.kernel.capture import Capture, CaptureSettings, KernelUnfitError
from agent.kernel.settings import Backend
from agent.kernel.testrun import NUMBERS
from support.trace import Tracer

LEAST_RIGHTS = (
    *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
    *(f"--{kind}=-all,+bpf,+perfmon" for kind in ("bounding-set", "inh-caps", "ambient-caps")),
)
"""Runs a program as a user who is nobody, with CAP_BPF and CAP_PERFMON."""
_BY_ID = {"prog_id": 13, "map_id": 14}
"""Commands of bpf() that return a descriptor."""
_running: dict[str, Tracer] = {}


def start(netns: tuple[int, ...], backend: Backend) -> str:
    """Start the process's capture; return its hooks."""
    capture = Capture(CaptureSettings(netns=netns, backend=backend))
    capture.start()
    _running["capture"] = Tracer(capture)
    return capture.hooks


def told(backend: Backend) -> str:
    """Return what would be used, or the error; loads nothing."""
    try:
        return Capture(CaptureSettings(backend=backend)).probe()
    except KernelUnfitError as error:
        return str(error)


def unfit() -> list[str]:
    """Return the names of what doctor finds bad."""
    examined = checks.examine(Host(), lambda host: btf.load(host.btf), 128)
    return [check.name for check in examined.checks if check.state == "bad"]


def taken() -> int:
    """Return how many events came since the last time."""
    return len(_running["capture"].take().events)


def held(pid: int) -> list[tuple[str, int]]:
    """Return the BPF programs and maps that a process holds, as (prog_id or map_id, number)."""
    found = []
    for file in Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            text = file.read_text(encoding="ascii")
        except FileNotFoundError:
            continue
        ids = re.findall(r"^(prog_id|map_id):\s*(\d+)$", text, re.MULTILINE)
        found += [(kind, int(number)) for kind, number in ids]
    return found


def exists(kind: str, number: int) -> bool:
    """Say whether the kernel still has a program or map."""
    libc = ctypes.CDLL(None, use_errno=True)
    attributes = struct.pack("=I", number) + bytes(124)
    descriptor = libc.syscall(NUMBERS[platform.machine()], _BY_ID[kind], attributes, len(attributes))
    if descriptor >= 0:
        libc.close(descriptor)
        return True
    if ctypes.get_errno() != errno.ENOENT:
        raise OSError(ctypes.get_errno(), "bpf()")
    return False
