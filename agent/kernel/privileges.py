# SPDX-License-Identifier: Apache-2.0
"""Which rights tracing needs."""

import re
from pathlib import Path

from agent.kernel import perf
from agent.kernel.errors import KernelUnfitError

_SYS_ADMIN = 21
_LOCKDOWN = Path("/sys/kernel/security/lockdown")
NEEDED = {"CAP_PERFMON": 38, "CAP_BPF": 39}


CONFIDENTIAL = "lockdown is confidentiality, so BPF may not read the kernel: boot with lockdown=integrity"


def confidential(lockdown: str) -> bool:
    """Say whether the text of the kernel's lockdown file means that nothing may read the kernel."""
    return "[confidentiality]" in lockdown


def missing(effective: int) -> list[str]:
    """Return the capabilities that are not in the set ``effective`` (bits); CAP_SYS_ADMIN stands for all."""
    if effective >> _SYS_ADMIN & 1:
        return []
    return [name for name, bit in NEEDED.items() if not effective >> bit & 1]


def check(status: Path = Path("/proc/self/status")) -> None:
    """Read this process's capabilities, and see whether they open a ring.

    Raises:
        KernelUnfitError: some are missing.
    """
    found = re.search(
        r"^CapEff:\s*([0-9a-f]+)$", status.read_text(encoding="ascii", errors="replace"), re.MULTILINE
    )
    lacking = missing(int(found[1], 16) if found else 0)
    if lacking:
        names = " and ".join(lacking)
        raise KernelUnfitError(f"loading BPF programs needs {names}: run as root, or grant the capabilities")
    if confidential(_read(_LOCKDOWN)):
        raise KernelUnfitError(CONFIDENTIAL)
    refused = perf.refused()
    if refused:
        raise KernelUnfitError(refused)


def _read(file: Path) -> str:
    """Return a file's text, empty where it cannot be read."""
    try:
        return file.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
