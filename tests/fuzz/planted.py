# SPDX-License-Identifier: Apache-2.0
"""Targets with a known fault, to see that the fuzzing finds one. Never among those that `make fuzz` runs."""

from fuzz.target import Target


def planted(data: bytes) -> None:
    """Fail at one input of 2^32, which only coverage leads to, byte by byte."""
    if data[:1] == b"l":  # noqa: SIM102 - each condition is a step
        if data[1:2] == b"a":  # noqa: SIM102
            if data[2:3] == b"g":  # noqa: SIM102
                if data[3:4] == b"!":
                    raise KeyError("planted")


def greedy(data: bytes) -> None:
    """Take as much memory as the input asks for."""
    bytes(int.from_bytes(data[:5], "big"))


def slow(data: bytes) -> None:
    """Never return."""
    while data:
        pass


TARGETS = [
    Target("planted", planted, lambda: [b"????"], 200_000),
    Target("greedy", greedy, lambda: [b"\0\0\1\0\0"], 20_000),
    Target("slow", slow, lambda: [b"????"], 1),
]
