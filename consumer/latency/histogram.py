# SPDX-License-Identifier: Apache-2.0
"""Fill many exponential histograms at once from columns of nanoseconds.

The bucket of every integer up to 2^53 is exact, also at the bounds: it is found by comparing the bits of the
float with bounds that were computed in integers. What a bucket number means is in ``schemas/histogram.py``.
"""

from math import isqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from consumer.latency.intervals import I32, I64, Bools, Index
from schemas.histogram import SCALE

_BIAS = 1023
_MANTISSA = 52
_CELL_BITS = 11
_DOUBLINGS = 64
_PER_DOUBLING = 1 << SCALE
BUCKETS = _DOUBLINGS * _PER_DOUBLING + 1
"""Bucket numbers of int64 values lie in [-1, BUCKETS - 1)."""
_DENSE = 1 << 22
_BLOCK = 8_192
"""Values at a time, so that what is between two steps stays in the processor's cache."""


def _bound_bits() -> I64:
    """Return, for each bucket from -1 on, the bits of the largest float that it holds.

    2^(j/32) is found as the 32nd root of an integer, by five integer square roots: no rounding of a
    logarithm.
    """
    bits = []
    for bucket in range(-1, BUCKETS - 1):
        doubling, step = divmod(bucket + 1, _PER_DOUBLING)
        root = 1 << (_PER_DOUBLING * 60 + step)
        for _ in range(SCALE):
            root = isqrt(root)
        mantissa = (root >> (60 - _MANTISSA)) - (1 << _MANTISSA)
        bits.append(((doubling + _BIAS) << _MANTISSA) + mantissa)
    return np.array(bits, dtype=np.int64)


_BOUNDS = _bound_bits()
_FIRST_CELL = _BIAS << _CELL_BITS
_GUESS = (
    np.searchsorted(
        _BOUNDS,
        (np.arange(_DOUBLINGS << _CELL_BITS, dtype=np.int64) + _FIRST_CELL) << (_MANTISSA - _CELL_BITS),
    )
    - 1
)
"""Bucket of the first float of each cell; narrower than a bucket, a cell reaches into one more at most."""


def bucket_of(values: I64) -> I64:
    """Return the (n,) bucket numbers of (n,) positive nanoseconds; those of values <= 0 mean nothing."""
    buckets = np.empty(values.size, dtype=np.int64)
    for start in range(0, values.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        bits = values[block].astype(np.float64).view(np.int64)
        cell = (bits >> (_MANTISSA - _CELL_BITS)) - _FIRST_CELL
        guess = np.take(_GUESS, cell, mode="clip")
        bound = np.take(_BOUNDS, guess + 1, mode="clip")
        np.add(guess, bits > bound, out=buckets[block])
    return buckets


class Parts(NamedTuple):
    """(g,) histograms of groups 0 … g - 1. ``offsets`` (g + 1,) cuts ``buckets`` and ``counts`` by group."""

    n: I64
    seen: I64
    negative: I64
    total: I64
    least: I64
    """Smallest value; the largest int64 where n is 0."""
    greatest: I64
    """Largest value; the smallest int64 where n is 0."""
    offsets: I64
    buckets: I32
    counts: I64


class Runs(NamedTuple):
    """Neighbouring rows of one group: where each run starts, how long it is, and its group."""

    starts: Index
    lengths: I64
    group: I64


def fill(runs: Runs, groups: int, values: I64, has: Bools) -> Parts:
    """Build one histogram a group from (n,) values; rows without ``has`` only count as seen."""
    order = np.argsort(runs.group, kind="stable")
    group = runs.group[order]
    heads = np.flatnonzero(np.diff(group, prepend=-1))
    present = group[heads]

    def each(operation: np.ufunc, column: NDArray[np.generic], otherwise: int) -> I64:
        answer = np.full(groups, otherwise, dtype=np.int64)
        if present.size:
            per_run = operation.reduceat(column, runs.starts, dtype=np.int64)
            answer[present] = operation.reduceat(per_run[order], heads)
        return answer

    whole = bool(has.all())
    largest, smallest = np.iinfo(np.int64).max, np.iinfo(np.int64).min
    offsets, buckets, counts = _buckets(np.repeat(runs.group, runs.lengths), groups, values, has)
    return Parts(
        n=each(np.add, has, 0),
        seen=np.bincount(runs.group, weights=runs.lengths, minlength=groups).astype(np.int64),
        negative=each(np.add, has & (values < 0), 0),
        total=each(np.add, values if whole else np.where(has, values, 0), 0),
        least=each(np.minimum, values if whole else np.where(has, values, largest), largest),
        greatest=each(np.maximum, values if whole else np.where(has, values, smallest), smallest),
        offsets=offsets,
        buckets=buckets,
        counts=counts,
    )


def _buckets(group: I64, groups: int, values: I64, has: Bools) -> tuple[I64, I32, I64]:
    counted = has & (values > 0)
    if not counted.all():
        group, values = group[counted], values[counted]
    if not group.size:
        return np.zeros(groups + 1, dtype=np.int64), np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int64)
    bucket = bucket_of(values)
    lowest = int(bucket.min())
    width = int(bucket.max()) - lowest + 1
    keys, counts = _count(group * width + (bucket - lowest), groups * width)
    owner, place = np.divmod(keys, width)
    offsets = np.searchsorted(owner, np.arange(groups + 1)).astype(np.int64)
    return offsets, (place + lowest).astype(np.int32), counts


def _count(keys: I64, size: int) -> tuple[I64, I64]:
    """Return the distinct keys (all below ``size``) in ascending order, and how often each occurs."""
    if size <= max(_DENSE, 4 * keys.size):
        found = np.bincount(keys, minlength=size)
        distinct = np.flatnonzero(found)
        return distinct, found[distinct]
    keys = np.sort(keys)
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    return keys[starts], np.diff(starts, append=keys.size)
