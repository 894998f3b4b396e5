# SPDX-License-Identifier: Apache-2.0
"""The marks of an event are numbered alike in the kernel's header and on the wire."""

import re
from pathlib import Path

import bpf
from schemas.event import Flag, Kind

HEADER = (Path(bpf.__file__).parent / "event.h").read_text(encoding="ascii")


def test_flags_of_the_header_are_the_flags_of_the_wire() -> None:
    """Every FLAG_… of bpf/event.h is a Flag of the same bit, and none is missing on either side."""
    defined = {name: 1 << int(bit) for name, bit in re.findall(r"#define FLAG_(\w+) \(1 << (\d+)\)", HEADER)}
    assert defined == {flag.name: flag.value for flag in Flag}


def test_kinds_of_the_header_are_the_kinds_of_the_wire() -> None:
    """Sends, receives and arrivals have one number each, from the slot to the record."""
    defined = {name: int(number) for name, number in re.findall(r"#define KIND_(\w+) (\d+)", HEADER)}
    assert {kind.name: kind.value for kind in Kind}.items() <= defined.items()
