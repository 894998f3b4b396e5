# SPDX-License-Identifier: Apache-2.0
"""Puts the program's text together: the parts of bpf/ in order, offsets and sizes as macros.

BCC rewrites map calls in the main text only, so parts cannot include each other. No value of a user ever
becomes text: filters are maps.
"""

from collections.abc import Collection
from pathlib import Path

import bpf

FOLDER = Path(bpf.__file__).parent
STUBS = FOLDER / "stubs"
PARTS = (
    "maps",
    "batch",
    "sampling",
    "connection",
    "life",
    "facts",
    "fast_open",
    "send",
    "receive",
    "arrival",
    "retransmit",
    "lifecycle",
    "functions",
    "flush",
)
ATTACH = {"raw": "attach_raw_tracepoint", "fentry": "attach_fentry", "kprobe": "attach_kprobe"}
"""By means (agent/kernel/hooks.py)."""


def text(means: Collection[str] = ("raw",)) -> str:
    """Return the whole program for hooks of these means; messages of the compiler name the part and line."""
    parts = [*PARTS, *(part for name, part in ATTACH.items() if name in means)]
    return "\n".join(
        f'#line 1 "bpf/{part}.bpf.c"\n{(FOLDER / f"{part}.bpf.c").read_text()}' for part in parts
    )


def article() -> str:
    """Return the program of `trace --as-article`, which shares nothing with the others."""
    return (FOLDER / "article.bpf.c").read_text()


def flags(macros: dict[str, int]) -> list[str]:
    """Return the compiler's arguments."""
    return [f"-I{FOLDER}", "-Wno-unused-function", *(f"-D{name}={value}" for name, value in macros.items())]
