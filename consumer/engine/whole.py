# SPDX-License-Identifier: Apache-2.0
"""Which ends tell all their events although their agent samples: exchanges can be found at no others.

A batch with both rates below full holds all events of the connections whose hash is below its connection
rate, and some events of others. The hash is not told, but connects and closes are kept by it alone: one that
comes with a thinned batch says that the hash is below that batch's rate, at both ends.
"""

from collections.abc import Iterable

import numpy as np

from consumer.engine.collect import Collected
from consumer.engine.flows import Flows
from consumer.latency.intervals import I32
from consumer.latency.sampling import rates_of
from schemas.batch import FULL_RATE
from schemas.event import Kind

_BY_CONNECTION = (Kind.CONNECT, Kind.CLOSE)


class Whole:
    """What is known of the hashes of connections."""

    def __init__(self) -> None:
        self.below: dict[int, int] = {}
        """Connection number -> a rate that its hash is below."""

    def partial(self, collected: Iterable[Collected], flows: Flows) -> I32:
        """Take what batches tell; return the ends of which they may leave out events. Flows were entered."""
        thinned = [item for item in collected if not rates_of(item.batch).everything]
        for item in thinned:
            self._note(item, flows)
        found = {
            2 * number + flow.end
            for item in thinned
            for flow in item.batch.flows
            if self.below.get(number := flows.numbers[flow.connection], FULL_RATE)
            > item.batch.connection_rate
        }
        return np.array(sorted(found), dtype=np.int32)

    def _note(self, item: Collected, flows: Flows) -> None:
        rate = item.batch.connection_rate
        for kind in _BY_CONNECTION:
            if kind in item.tables:
                for index in np.unique(item.tables[kind]["flow"]).tolist():
                    number = flows.numbers[item.batch.flows[index].connection]
                    self.below[number] = min(rate, self.below.get(number, FULL_RATE))

    def renumber(self, number: I32) -> None:
        """Take new flow numbers, -1 for those forgotten."""
        moved = {int(number[2 * old]) >> 1: rate for old, rate in self.below.items()}
        self.below = {new: rate for new, rate in moved.items() if new >= 0}
