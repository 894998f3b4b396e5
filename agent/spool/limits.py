# SPDX-License-Identifier: Apache-2.0
"""How much a spool may hold, and how much it holds."""

from typing import Literal, NamedTuple

WhenFull = Literal["drop-oldest", "drop-newest"]
FILES_AT_LEAST = 4
"""Files that the quota holds: with fewer, dropping the oldest one would drop most of what there is."""


class Limits(NamedTuple):
    """How much the folder may hold."""

    max_bytes: int
    max_disk_share: float
    file_bytes: int
    when_full: WhenFull


class Figures(NamedTuple):
    """How a spool stands."""

    bytes: int = 0
    limit: int = 0
    records: int = 0
    oldest_ns: int | None = None
    """Realtime nanoseconds of the oldest event in it, None: it is empty."""
    earlier_ns: int | None = None
    """The same, of what an earlier run left."""
