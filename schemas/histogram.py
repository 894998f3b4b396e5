# SPDX-License-Identifier: Apache-2.0
"""Base-2 exponential histograms: what a bucket number means, merging, roll-up and quantiles.

A bucket of scale s holds the values in (base^i, base^(i+1)] with base = 2^(2^-s): OpenTelemetry's exponential
histogram (https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram), for integer
nanoseconds. Only positive values have buckets. Negatives are counted in ``negative``; zeros are what ``n``
leaves after the negatives and the buckets, so they too survive every merge and roll-up without an own bucket.

Merging is addition: any order and any grouping of the same parts gives the same bytes. An answer for a
positive value lies within ``RELATIVE_ERROR`` of a value that was recorded.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SCALE = 5
"""Buckets a doubling: 2^5 = 32."""
RELATIVE_ERROR = (2 ** (2**-SCALE) - 1) / (2 ** (2**-SCALE) + 1)
"""0.01083: half the width of a bucket against the sum of its bounds."""
_SHIFT_LIMIT = 40


class Histogram(NamedTuple):
    """One histogram. ``buckets`` ascend without repeats, ``counts`` are positive; both are (k,)."""

    scale: int
    buckets: NDArray[np.int32]
    counts: NDArray[np.int64]
    n: int
    """Values recorded, of any sign."""
    negative: int
    """Values below zero."""
    total: int
    """Sum of all values, ns."""
    least: int | None
    """Smallest value, ns; None while n is 0."""
    greatest: int | None
    """Largest value, ns; None while n is 0."""


def relative_error(scale: int) -> float:
    """Return the largest relative error of an answer from buckets of a scale."""
    base: float = 2.0 ** (2.0**-scale)
    return (base - 1) / (base + 1)


def upper_bounds(buckets: NDArray[np.int32], scale: int) -> NDArray[np.float64]:
    """Return base^(i + 1) for (k,) bucket numbers: the largest value each holds."""
    bounds: NDArray[np.float64] = np.exp2((buckets.astype(np.float64) + 1) * 2.0**-scale)
    return bounds


def estimates(buckets: NDArray[np.int32], scale: int) -> NDArray[np.float64]:
    """Return for (k,) bucket numbers the value of least worst-case relative error: 2·lo·hi / (lo + hi)."""
    base = 2.0 ** (2.0**-scale)
    middle: NDArray[np.float64] = upper_bounds(buckets, scale) * (2 / (1 + base))
    return middle


def coarser(buckets: NDArray[np.int32], steps: int) -> NDArray[np.int32]:
    """Return the bucket numbers ``steps`` scales lower: exact, as each bucket lies in one coarser one."""
    return (buckets >> min(steps, 31)).astype(np.int32)


def scale_down(histogram: Histogram, scale: int) -> Histogram:
    """Return the histogram at a lower (or the same) scale; raises ValueError for a higher one."""
    steps = histogram.scale - scale
    if not 0 <= steps <= _SHIFT_LIMIT:
        raise ValueError(f"scale {histogram.scale} cannot become {scale}: a histogram only gets coarser")
    buckets, counts = _sum(coarser(histogram.buckets, steps), histogram.counts)
    return histogram._replace(scale=scale, buckets=buckets, counts=counts)


def merge(parts: Sequence[Histogram]) -> Histogram:
    """Return the sum of histograms (at least one), at the lowest scale among them."""
    scale = min(part.scale for part in parts)
    level = [scale_down(part, scale) for part in parts]
    buckets, counts = _sum(
        np.concatenate([part.buckets for part in level]), np.concatenate([part.counts for part in level])
    )
    return Histogram(
        scale=scale,
        buckets=buckets,
        counts=counts,
        n=sum(part.n for part in parts),
        negative=sum(part.negative for part in parts),
        total=sum(part.total for part in parts),
        least=min((part.least for part in parts if part.least is not None), default=None),
        greatest=max((part.greatest for part in parts if part.greatest is not None), default=None),
    )


def quantile(histogram: Histogram, q: float) -> float:
    """Return the value of rank ceil(q·n) (at least 1), in ns.

    Exact for ranks among the zeros and at both ends (``least``, ``greatest``); within
    ``relative_error(scale)`` for positive values; for a rank among the negatives, which have no buckets, it
    is ``least``. NaN while n is 0; raises ValueError where q is not in [0, 1].
    """
    if not 0 <= q <= 1:
        raise ValueError(f"quantile {q}, allowed are 0 to 1")
    if not histogram.n or histogram.least is None or histogram.greatest is None:
        return float("nan")
    rank = max(1, int(np.ceil(q * histogram.n)))
    if rank <= max(1, histogram.negative):
        return float(histogram.least)
    if rank >= histogram.n:
        return float(histogram.greatest)
    positive = int(histogram.counts.sum())
    rank -= histogram.n - positive
    if rank <= 0:
        return 0.0
    at = int(np.searchsorted(np.cumsum(histogram.counts), rank))
    value = float(estimates(histogram.buckets[at : at + 1], histogram.scale)[0])
    return min(max(value, float(histogram.least)), float(histogram.greatest))


def _sum(
    buckets: NDArray[np.int32], counts: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    if not buckets.size:
        return buckets, counts
    order = np.argsort(buckets, kind="stable")
    ordered = buckets[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    return ordered[starts], np.add.reduceat(counts[order], starts)
