# SPDX-License-Identifier: Apache-2.0
"""What can go wrong with the lake. Every message says what was found and what to do.

    RuntimeFailure
    └── LakeError
        ├── StalePositionError    another writer owns the partition now; nothing was committed
        ├── CommitUnknownError    the commit may or may not be in the table
        ├── LakeCorruptError      what the table says and what is stored differ
        └── LakeUnavailableError  the storage did not answer or is full; nothing was committed

After each of the first two, and after the last one from a commit, a writer forgets what it holds in memory,
calls `Facts.resume` for its partitions and reads Kafka from there.
A misuse of the interface (one partition twice in a commit, unknown columns) is a plain ValueError.
"""

import re

from common.errors import RuntimeFailure

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_FRAMES = re.compile(r"\n\s*[0-9]+: .*", re.DOTALL)


class LakeError(RuntimeFailure):
    """The base of what the lake raises."""


class StalePositionError(LakeError):
    """The table is not where this writer left it, so another one has committed: this writer is a zombie."""


class CommitUnknownError(LakeError):
    """A commit raised. It may be durable all the same, so only the table can tell."""


class LakeCorruptError(LakeError):
    """The table and its files contradict one another. `name` says which object is wrong, within the table."""

    def __init__(self, message: str, *, name: str) -> None:
        super().__init__(message)
        self.name = name


class LakeUnavailableError(LakeError):
    """The table could not be read or written."""


def reason(error: Exception) -> str:
    """Return what deltalake says on one line, without its colours, arrows and the way through its code."""
    text = _FRAMES.sub("", _COLOURS.sub("", str(error))).replace("↳", "\n")
    return ": ".join(line.strip().rstrip(":") for line in text.splitlines() if line.strip())
