# SPDX-License-Identifier: Apache-2.0
"""A bound on the edges that one host names in a tick, for an agent may lie, and a host may meet the world.

Those beyond ``MAX_EDGES`` are one edge: ``other@HOST > other``. Their messages count in it like all others.
"""

from consumer.engine.flows import End
from consumer.engine.names import BETWEEN

MAX_EDGES = 10_000
"""Of a host in a tick, for each kind of rows."""
OTHER = "other"


class Crowd:
    """The edges of one tick and kind of rows, in their order."""

    def __init__(self) -> None:
        self._edges: dict[str, set[str]] = {}

    def of(self, ends: tuple[End | None, End | None], direction: int, edge: str) -> str:
        """Return an edge, or what stands for it: it is counted at the sender's host, else at the other."""
        teller = ends[direction] or ends[1 - direction]
        if teller is None:
            return edge
        known = self._edges.setdefault(teller.host, set())
        if edge not in known:
            if len(known) >= MAX_EDGES:
                return f"{OTHER}@{teller.host}{BETWEEN}{OTHER}"
            known.add(edge)
        return edge
