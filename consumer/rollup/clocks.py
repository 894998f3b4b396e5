# SPDX-License-Identifier: Apache-2.0
"""What the clocks of minutes are solved from: rows of kinds clock and reading in them and a minute around.

They are given in one order, whatever files they come from, so that the same rows have the same solution.
"""

from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from common.units import MINUTE_NS
from consumer.latency.intervals import I64
from consumer.rollup.matches import Solved
from consumer.rollup.sums import numbers
from lake.inputs import EVER, Inputs, Range
from lake.parquet import PRUNED
from schemas.tables import KINDS

Solve = Callable[[int, int, pa.Table, pa.Table], Solved]
"""Of a window's begin and length, and the rows of kinds clock and reading in and a minute around it."""
_ORDER = {
    "clock": ("at_ns", "sender_boot", "receiver_boot", "topic_partition", "tick"),
    "reading": ("at_ns", "boot", "epoch", "topic_partition", "tick"),
}


class Clocks:
    """The rows that some minutes are solved from."""

    def __init__(self, own: Inputs, near: Inputs, span: Range) -> None:
        wide = Range(
            max(span.begin, EVER.begin + MINUTE_NS) - MINUTE_NS,
            min(span.end, EVER.end - MINUTE_NS) + MINUTE_NS,
        )
        self._tables: dict[str, pa.Table] = {}
        self._times: dict[str, I64] = {}
        self.own = 0
        """Rows of ``own`` in the span."""
        self.minutes: set[int] = set()
        """Where they are."""
        for kind, order in _ORDER.items():
            table = near.read(kind, wide).cast(KINDS[kind])
            self._tables[kind] = table.sort_by([(name, "ascending") for name in order]).combine_chunks()
            self._times[kind] = numbers(self._tables[kind]["at_ns"])
            mine = counted(own.read(kind, span, PRUNED[kind]))
            self.own += sum(mine.values())
            self.minutes |= set(mine)

    def solve(self, solve: Solve, messages: pa.Table, minutes: Iterable[int]) -> dict[int, Solved]:
        """Return the clocks of those minutes of which anything is known: begin -> clocks.

        A minute without rows of its own has some around it, and messages between hosts.
        """
        asked = counted(messages.filter(pc.is_valid(messages["sender_boot"])).select(PRUNED["match"]))
        near = {at: self._around(at) for at in minutes if at in self.minutes or at in asked}
        return {at: solve(at, MINUTE_NS, *rows) for at, rows in near.items() if any(t.num_rows for t in rows)}

    def digest(self, begin: int) -> bytes:
        """Return what is another where a minute is solved from other rows."""
        digest = blake2b(digest_size=16)
        for rows in self._around(begin):
            for column in rows.columns:
                for part in _told(column):
                    digest.update(part)
        return digest.digest()

    def _around(self, begin: int) -> list[pa.Table]:
        found = []
        for kind, table in self._tables.items():
            first, last = np.searchsorted(self._times[kind], [begin - MINUTE_NS, begin + 2 * MINUTE_NS])
            found.append(table.slice(first, last - first))
        return found


def counted(times: pa.Table) -> dict[int, int]:
    """Return how many times, in a table's one column, are in each minute: begin -> count."""
    begin, count = np.unique(numbers(times[0]) // MINUTE_NS * MINUTE_NS, return_counts=True)
    return dict(zip(begin.tolist(), count.tolist(), strict=True))


def _told(column: pa.ChunkedArray) -> Iterator[bytes]:
    """Yield bytes that are alike where values are, however the column lies in memory."""
    yield np.asarray(pc.is_valid(column)).tobytes()
    if pa.types.is_list(column.type):
        yield numbers(pc.list_value_length(column)).tobytes()
        yield numbers(pc.list_flatten(column)).tobytes()
    elif column.type == pa.string():
        yield "\0".join(pc.fill_null(column, "").to_pylist()).encode()
    else:
        yield numbers(column).tobytes()
