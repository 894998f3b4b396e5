# SPDX-License-Identifier: Apache-2.0
"""Made sends, reads and arrivals of many connections and of one that carries a quarter of all: columns.

Reads are not sends: of the bytes of several sends many are taken by one read, and some sends by several, so
which read took a send's last byte is a question of intervals. One in 200 of all is lost. The rows come as
they come to the consumer: in batches of one host, each sorted by flow.
"""

from typing import Any, NamedTuple, TypeVar

import numpy as np

from consumer.latency.intervals import DTYPES, I64, Arrivals, Receives, Sends

HOSTS = 50
BATCH = 2_000
"""Rows of one kind in one batch of one host."""
SECONDS = 10
LOST = 0.005
COALESCED, CUT = 0.3, 0.2
"""Share of the sends' ends at which no read ends, and reads that end within a send for each send."""

_Table = TypeVar("_Table", Sends, Receives, Arrivals)


class Made(NamedTuple):
    """The open events of one tick; flow numbers are below ``flows``."""

    sends: Sends
    receives: Receives
    arrivals: Arrivals
    flows: int

    @property
    def events(self) -> int:
        """All rows."""
        return sum(table.flow.size for table in (self.sends, self.receives, self.arrivals))


class _Flow(NamedTuple):
    """One flow: (begin, end, time) of its sends and reads, (end, time) of its arrivals."""

    sends: tuple[I64, I64, I64]
    receives: tuple[I64, I64, I64]
    arrivals: tuple[I64, I64]


def make(events: int, connections: int, *, arrivals: bool, seed: int = 8) -> Made:
    """Return about so many events, both flows of each connection used."""
    rng = np.random.default_rng(seed)
    # A send comes with 0.9 reads, and each read with an arrival.
    sends = events / (2.8 if arrivals else 1.9)
    busy = rng.pareto(1.2, 2 * connections - 1) + 0.2
    shares = np.concatenate(([0.25], 0.75 * busy / busy.sum()))
    flows = [
        _flow(rng, max(1, round(sends * share)), 16_000.0 if number == 0 else 600.0)
        for number, share in enumerate(shares)
    ]
    return Made(
        _table(Sends, rng, ("begin", "end", "time"), [flow.sends for flow in flows]),
        _table(Receives, rng, ("begin", "end", "time"), [flow.receives for flow in flows]),
        _table(Arrivals, rng, ("end", "time"), [flow.arrivals for flow in flows if arrivals]),
        len(flows),
    )


def _flow(rng: np.random.Generator, sends: int, median_bytes: float) -> _Flow:
    size = np.maximum(rng.lognormal(np.log(median_bytes), 1.2, sends), 1).astype(np.int64)
    end = np.cumsum(size)
    time = np.sort(rng.integers(0, SECONDS * 10**9, sends))
    kept = rng.random(sends) >= COALESCED
    kept[-1] = True
    taken = np.unique(np.concatenate((end[kept], rng.integers(1, end[-1] + 1, round(sends * CUT)))))
    sent = time[np.searchsorted(end, taken)]
    came = np.maximum.accumulate(sent + 30_000 + rng.exponential(20_000, taken.size).astype(np.int64))
    read = np.maximum.accumulate(came + rng.exponential(10_000, taken.size).astype(np.int64))
    begin = np.concatenate(([0], taken[:-1]))
    return _Flow((end - size, end, time), (begin, taken, read), (taken, came))


def _table(
    kind: type[_Table], rng: np.random.Generator, names: tuple[str, ...], flows: list[tuple[I64, ...]]
) -> _Table:
    """Return the rows of all flows as batches bring them; columns not given are zero."""
    columns: dict[str, Any] = {
        name: np.concatenate([flow[place] for flow in flows] or [np.zeros(0, dtype=np.int64)])
        for place, name in enumerate(names)
    }
    columns["flow"] = np.repeat(np.arange(len(flows)), [flow[0].size for flow in flows])
    order = _as_sent(columns["flow"], columns["time"])
    order = order[rng.random(order.size) >= LOST]
    made: list[Any] = [
        columns.get(name, np.ones_like(columns["flow"]))[order].astype(DTYPES[name]) for name in kind._fields
    ]
    return kind(*made)


def _as_sent(flow: I64, time: I64) -> I64:
    """Return the order in which rows come: hosts fill batches, and send them when they are full."""
    order = np.lexsort((time, flow % HOSTS))
    host = flow[order] % HOSTS
    first = np.searchsorted(host, host)
    batch = host * (flow.size // BATCH + 2) + (np.arange(flow.size) - first) // BATCH
    names, of = np.unique(batch, return_inverse=True)
    full = np.zeros(names.size, dtype=np.int64)
    np.maximum.at(full, of, time[order])
    answer: I64 = order[np.lexsort((time[order], flow[order], of, full[of]))]
    return answer
