# SPDX-License-Identifier: Apache-2.0
"""What a sample says of all: weighted percentiles, totals, and how far both may be off. Pure.

Each message stands for 1 / keep messages, keep being the chance that sampling had to keep it (Horvitz and
Thompson). Messages are not kept one by one: a block of 64 KiB is kept whole, and so is a connection. What is
off is therefore worked out of *blocks*, and of pairs of blocks of one connection, by the chances of each pair
(Horvitz and Thompson's variance); a percentile's limits are those of the share below it, turned into values
(Woodruff 1952). docs/sampling.md has what this was tested against.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.histogram import estimates as middles

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Z95 = 1.959964
"""95 % of a normal distribution lie within so many standard deviations."""
FEWEST = 4.0
"""As many independent messages must be expected on either side of a percentile for limits to be given."""
FREEST = 2.5
"""And so many degrees of freedom must be behind the variance."""
WHOLE = 10.0
"""And so many connections must be expected among those seen that were kept whole: nothing else shows by how
much connections differ, and a sample that happens to have none would seem to be better than it is."""


FEWEST_GROUPS = 8


class Weighted(NamedTuple):
    """Values in buckets by what they stand for. ``buckets`` ascend; ``mass`` (k,) is estimated messages."""

    scale: int
    buckets: NDArray[np.int32]
    mass: F64
    zeros: float
    negative: float
    least: int | None
    greatest: int | None

    @property
    def total(self) -> float:
        """Estimated messages."""
        return float(self.mass.sum()) + self.zeros + self.negative

    def quantile(self, q: float) -> float:
        """Return the least value with a share q of all at or below it, as ``schemas.histogram.quantile``."""
        if self.least is None or self.greatest is None or self.total <= 0:
            return float("nan")
        rest = min(max(q, 0.0), 1.0) * self.total * (1 - 1e-12)
        if self.negative and rest <= self.negative:
            return float(self.least)
        if rest <= self.negative + self.zeros or not self.mass.size:
            return 0.0 if self.zeros else float(self.greatest)
        sums = np.cumsum(self.mass) + (self.negative + self.zeros)
        at = min(int(np.searchsorted(sums, rest)), self.mass.size - 1)
        value = float(middles(self.buckets[at : at + 1], self.scale)[0])
        return min(max(value, float(self.least)), float(self.greatest))


class Blocks(NamedTuple):
    """(n,) blocks that were kept, or whatever else was kept or left out as one."""

    connection: I64
    """Number of the connection of each; blocks of two connections are independent."""
    keep: F64
    messages: F64
    """Kept in it."""
    below: F64
    """Of those, with a latency at or below some value."""


class Spread(NamedTuple):
    """Variance of an estimate, and how much is known of it."""

    variance: float
    freedom: float
    """Degrees of freedom: how many connections it rests on, by their weight in it."""
    whole: float
    """Connections expected to have been kept whole, of those of which anything was."""

    @property
    def known(self) -> bool:
        """There is enough behind it to be believed."""
        return self.freedom >= FREEST and self.whole >= WHOLE


def variance(blocks: Blocks, values: F64) -> Spread:
    """Return the spread of the estimated total of (n,) block totals ``values``, each standing for 1 / keep.

    With hashes of connections and of blocks below one rate r, a block is kept with 1 - (1 - r)^2 and two of a
    connection with r + (1 - r) r^2, whichever host has the lower r.
    """
    connections, of_block = np.unique(blocks.connection, return_inverse=True)
    size = connections.size
    weighted = values / blocks.keep
    own = (1 - blocks.keep) * weighted**2
    rate = 1 - np.sqrt(1 - blocks.keep)
    pair = rate + (1 - rate) * rate**2
    linked = np.clip((pair - blocks.keep**2) / pair, 0, None)
    root = np.sqrt(linked) * weighted
    together = np.bincount(of_block, root, size) ** 2 - np.bincount(of_block, root**2, size)
    each = np.bincount(of_block, own, size) + together
    total = float(each.sum())
    parts = np.bincount(of_block, own, size) + np.abs(together)
    freedom = float(parts.sum() ** 2 / (parts**2).sum()) if parts.any() else float("inf")
    whole = float((np.bincount(of_block, rate, size) / np.bincount(of_block, minlength=size)).sum())
    return Spread(max(total, 0.0), freedom, whole)


def share_limits(blocks: Blocks, q: float) -> tuple[float, float] | None:
    """Return the shares of all between which the value with a share q below it lies, to 95 %.

    ``below`` of the blocks is by the estimated value. None where too little was kept to say.
    """
    weights = blocks.messages / blocks.keep
    total = float(weights.sum())
    if total <= 0:
        return None
    found = variance(blocks, (blocks.below - q * blocks.messages) / total)
    if found.variance == 0:
        return (q, q) if bool((blocks.keep >= 1).all()) else None
    independent = q * (1 - q) / found.variance
    if not found.known or independent * min(q, 1 - q) < FEWEST:
        return None
    return _wilson(q, independent, student(found.freedom))


def total_limits(blocks: Blocks) -> tuple[float, float] | None:
    """Return limits of how many messages there were, to 95 %; None where too little was kept to say.

    A factor up and down, as of the total's logarithm (delta method): where long connections happen not to be
    kept, both the total and its variance come out too low, and equal distances would miss the truth above.
    """
    total = float((blocks.messages / blocks.keep).sum())
    found = variance(blocks, blocks.messages)
    if not found.known or total <= 0:
        return None
    factor = float(np.exp(student(found.freedom) * found.variance**0.5 / total))
    return max(float(blocks.messages.sum()), total / factor), total * factor


def student(freedom: float) -> float:
    """Return within how many standard deviations 95 % of Student's distribution lie (from 3 degrees on)."""
    z = Z95
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return float(z + sum(term / freedom**nth for nth, term in enumerate(terms, 1)))


def _wilson(q: float, n: float, t: float) -> tuple[float, float]:
    """Return Wilson's limits of a share q of n independent ones."""
    middle = (q + t**2 / (2 * n)) / (1 + t**2 / n)
    half = t / (1 + t**2 / n) * (q * (1 - q) / n + t**2 / (4 * n**2)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def group_limits(parts: Blocks, q: float) -> tuple[float, float] | None:
    """Return the same as ``share_limits`` of parts of groups that are independent.

    ``connection`` names the group. Nothing has to be known of what was kept as one within a group, so the
    limits are wide; none are given of fewer than FEWEST_GROUPS groups.
    """
    groups, of_part = np.unique(parts.connection, return_inverse=True)
    weights = parts.messages / parts.keep
    total = float(weights.sum())
    if groups.size < FEWEST_GROUPS or total <= 0:
        return None
    values = (parts.below - q * parts.messages) / parts.keep / total
    each = np.bincount(of_part, values) ** 2
    squares = float(each.sum()) * (1 - float((parts.messages * parts.keep).sum() / parts.messages.sum()))
    if squares <= 0:
        return None
    freedom = float(each.sum() ** 2 / (each**2).sum())
    independent = q * (1 - q) / squares
    if freedom < FREEST or independent * min(q, 1 - q) < FEWEST:
        return None
    return _wilson(q, independent, student(freedom))
