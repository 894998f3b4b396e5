# SPDX-License-Identifier: Apache-2.0
"""What a fuzz target is: a function that takes any bytes, and bytes to begin with.

The function returns where the code under test returned what it may return, or raised what its documentation
names. Whatever else it raises, a breach of a property among it, is a crasher.
"""

import atexit
import shutil
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import NamedTuple

GOLDEN = Path(__file__).parents[1] / "schemas" / "golden"


class Target(NamedTuple):
    """A reader of bytes from outside."""

    name: str
    one: Callable[[bytes], None]
    seeds: Callable[[], Sequence[bytes]]
    runs: int
    """Inputs in the test suite, a second or two of them."""


def golden(pattern: str) -> list[bytes]:
    """Return the golden records whose names match."""
    return [path.read_bytes() for path in sorted(GOLDEN.glob(pattern))]


@cache
def scratch() -> Path:
    """Return a folder of this process."""
    made = mkdtemp(prefix="wirelag-fuzz-")
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return Path(made)
