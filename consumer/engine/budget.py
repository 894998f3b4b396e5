# SPDX-License-Identifier: Apache-2.0
"""Keeps the rows of kind ``match`` of a tick within a budget: of a block of 64 KiB of a stream all or none.

Histograms are filled from all messages before, so only single messages get fewer, and what is worked out from
them: cross-host latencies, by ``keep``. The share that is kept is a power of two, so that few chances occur.
Blocks are chosen by a hash of their own; by that of the agents (docs/sampling.md) what they had thinned would
be all kept or all left out. The slowest messages of each edge are kept beside, marked SLOWEST: they are there
to be looked at and count for nothing.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from consumer.engine.facts import Link
from consumer.latency.intervals import I64, Bools, Index, take
from consumer.latency.match import Closed
from consumer.latency.measure import Measured
from schemas.event import Flag
from schemas.tables import SLOWEST, SLOWEST_KEPT

_BLOCK = 16
"""Bits of a stream's position within a block."""
_ODD = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
"""The constants of splitmix64 (https://prng.di.unimi.it/splitmix64.c)."""


class Kept(NamedTuple):
    """Matches that get a row."""

    closed: Closed
    measured: Measured
    link: I64
    """(k,) as in the links of all."""
    share: float
    """Chance of each match to be one of these."""
    slow: NDArray[np.int32]
    """(k,) SLOWEST where a match is here for that alone."""


def kept(closed: Closed, measured: Measured, links: Sequence[Link], link: I64, most: int | None) -> Kept:
    """Return at most about ``most`` of (n,) matches, and the slowest; None: all."""
    if most is None or link.size <= most:
        return Kept(closed, measured, link, 1.0, np.zeros(link.size, dtype=np.int32))
    bits = int(np.ceil(np.log2(link.size / most)))
    chosen = _hash(closed, links, link) < np.uint64(1 << (64 - bits))
    slow = ~chosen & _slowest(closed, measured, links, link)
    at = np.flatnonzero(chosen | slow)
    return Kept(
        closed._replace(
            sends=take(closed.sends, at),
            receives=take(closed.receives, at),
            arrived=closed.arrived[at],
            arrival_flags=closed.arrival_flags[at],
        ),
        Measured(*(column[at] for column in measured)),
        link[at],
        2.0**-bits,
        np.where(slow[at], SLOWEST, 0).astype(np.int32),
    )


def _hash(closed: Closed, links: Sequence[Link], link: I64) -> NDArray[np.uint64]:
    """Return (n,) numbers that are equal for messages which end in the same block of a stream."""
    streams = [(one.connection << 1 | one.direction) & (2**64 - 1) for one in links]
    mixed = np.array(streams, dtype=np.uint64)[link]
    mixed += ((closed.sends.end - 1) >> _BLOCK).astype(np.uint64) * np.uint64(_ODD[0])
    for shift, odd in ((30, _ODD[1]), (27, _ODD[2])):
        mixed ^= mixed >> np.uint64(shift)
        mixed *= np.uint64(odd)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def _slowest(closed: Closed, measured: Measured, links: Sequence[Link], link: I64) -> Bools:
    """Say which messages are among the SLOWEST_KEPT of their edge and hosts, by delivery."""
    numbers: dict[tuple[str, tuple[str | None, str | None]], int] = {}
    of_link = np.array([numbers.setdefault((one.edge, one.hosts), len(numbers)) for one in links])
    whole: Index = np.flatnonzero((closed.sends.flags & Flag.LAST_PIECE) != 0)
    edge = of_link[link[whole]]
    order = np.lexsort((-measured.delivery[whole], edge))
    edge = edge[order]
    first = np.searchsorted(edge, edge)
    answer = np.zeros(link.size, dtype=bool)
    answer[whole[order[np.arange(edge.size) - first < SLOWEST_KEPT]]] = True
    return answer
