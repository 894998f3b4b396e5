# SPDX-License-Identifier: Apache-2.0
"""The open events of a partition as columns: one NamedTuple of equally long arrays for each kind of event.

A *flow* here is one direction of one connection, named by a dense number: ``2 * connection number +
direction``, where the direction is the ``end`` of the sender. Times are nanoseconds of the observing host's
CLOCK_MONOTONIC, ``offset`` is what makes them realtime, ``born`` is the broker's time (milliseconds) of the
record that brought the event. Positions are below 2^63, every range is at least one byte long.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]
I32 = NDArray[np.int32]
Bools = NDArray[np.bool_]
Index = NDArray[np.intp]


class Sends(NamedTuple):
    """Bytes [begin, end) of each flow that one piece of one send call put in."""

    flow: I32
    begin: I64
    end: I64
    time: I64
    offset: I64
    duration: I64
    process: I32
    flags: I32
    born: I64


class Receives(NamedTuple):
    """Bytes [begin, end) of each flow that one read took out; ``time`` is when the read ended."""

    flow: I32
    begin: I64
    end: I64
    time: I64
    offset: I64
    process: I32
    flags: I32
    born: I64


class Reads(NamedTuple):
    """What the row of a match says of its receive."""

    time: I64
    offset: I64
    process: I32
    flags: I32


class Arrivals(NamedTuple):
    """All bytes below ``end`` had reached the receiving kernel at ``time``."""

    flow: I32
    end: I64
    time: I64
    flags: I32
    born: I64


Table = TypeVar("Table", Sends, Receives, Reads, Arrivals)
DTYPES: dict[str, Any] = {
    name: np.int32 if name in {"flow", "process", "flags"} else np.int64 for name in Sends._fields
}
"""Column name -> dtype, the same in all tables."""


def empty(kind: type[Table]) -> Table:
    """Return a table of no rows."""
    columns: Iterable[Any] = (np.zeros(0, dtype=DTYPES[name]) for name in kind._fields)
    return kind(*columns)


def take(table: Table, index: Index | Bools) -> Table:
    """Return the rows that an index or a mask picks."""
    return _made(table, (column[index] for column in table))


def join(tables: Sequence[Table]) -> Table:
    """Return the rows of all tables (at least one), in order; a lone table is returned as it is."""
    filled = [table for table in tables if table.time.size] or tables[:1]
    if len(filled) == 1:
        return filled[0]
    return _made(filled[0], (np.concatenate(columns) for columns in zip(*filled, strict=True)))


def _made(like: Table, columns: Iterable[Any]) -> Table:
    return type(like)(*columns)
