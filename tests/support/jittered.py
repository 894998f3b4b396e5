# SPDX-License-Identifier: Apache-2.0
"""Captured traffic whose messages took longer on their way, each by chance, which is known.

Between namespaces of one kernel delays are all but equal. Arrivals and reads are moved, sends are not, so
all that is true of messages stays true: it only takes each of them longer.
"""

from collections.abc import Callable

import numpy as np

from schemas.event import Kind
from support import bent
from support.corrected import Caught
from support.meshed import SIZE

_READ = {Kind.ARRIVAL, Kind.RECEIVE}


class Jittered(Caught):
    """What the agent saw (``meshed.talk``), with longer ways; ``truth`` has them in it."""

    mean_ns = 30_000
    """More, by chance (exponential), on average."""
    seed = 1

    def times(self, seed: int) -> Callable[[Kind], bent.I64]:
        """Return the true times of the events of each kind; a message takes as long whatever the seed."""
        at = super().times(seed)
        shape = len(self.events.flows), len(self.begins)
        more = np.random.default_rng(self.seed).exponential(self.mean_ns, shape).astype(np.int64)

        def moved(kind: Kind) -> bent.I64:
            if kind not in _READ:
                return at(kind)
            table = {name: column.astype(np.int64) for name, column in self.events.tables[kind].items()}
            end = table["position"] + (table["length"] if kind is Kind.RECEIVE else 0)
            late: bent.I64 = at(kind) + more[table["flow"], (end - 1) // SIZE]
            return late

        return moved
