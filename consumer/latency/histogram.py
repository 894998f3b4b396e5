# SPDX-License-Identifier: Apache-2.0
"""Fill many exponential histograms at once from columns of nanoseconds.

The bucket of every integer up to 2^53 is exact, also at the bounds: it is found by comparing the bits of the
float with bounds that were computed in integers. What a bucket number means is in ``schemas/histogram.py``.
"""

from math import isqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from consumer.latency.axis import heads_of
from consumer.latency.intervals import I32, I64, Bools, Index
from schemas.histogram import SCALE

_BIAS = 1023
_MANTISSA = 52
_CELL_BITS = 6
_REST = _MANTISSA - _CELL_BITS
_DOUBLINGS = 64
_PER_DOUBLING = 1 << SCALE
BUCKETS = _DOUBLINGS * _PER_DOUBLING + 1
"""Bucket numbers of int64 values lie in [-1, BUCKETS - 1)."""
_PLACE_BITS = BUCKETS.bit_length()
"""Behind the group in a key."""
_LARGEST, _SMALLEST = np.iinfo(np.int64).max, np.iinfo(np.int64).min
_BLOCK = (1 << 14) - (1 << 7)
"""Values at a time, so that what is between two steps stays in the processor's cache.

Columns of whole pages would lie one behind the other so that the last twelve bits of what is read and what is
written agree but for a few bytes: then a processor takes the one for the other, and waits.
"""

_Bits = NDArray[np.uint64]
"""Of floats: unsigned, because vector units shift these and few of them shift signed ones."""


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


def _to_buckets() -> _Bits:
    """Return for each cell what makes the bits of its floats, once added, begin with bucket + 1.

    A cell is what floats of the same upper bits have in common. It is narrower than any bucket, so one bound
    lies in it at most: what is added puts the carry between the bound and the next float. Cells of values
    below 1 are never asked for, and their memory is never touched.
    """
    cells = np.arange(_FIRST_CELL, _FIRST_CELL + (_DOUBLINGS << _CELL_BITS), dtype=np.int64)
    place = np.searchsorted(_BOUNDS, cells << _REST)
    bound = np.minimum(np.append(_BOUNDS, np.iinfo(np.int64).max)[place], ((cells + 1) << _REST) - 1)
    table = np.zeros(_FIRST_CELL + cells.size, dtype=np.int64)
    table[_FIRST_CELL:] = ((place + 1) << _REST) - 1 - bound
    return table.view(np.uint64)


_TO_BUCKETS = _to_buckets()


def bucket_of(values: I64) -> I64:
    """Return the (n,) bucket numbers of (n,) positive nanoseconds; those of values <= 0 mean nothing."""
    buckets = np.empty(values.size, dtype=np.int64)
    for start in range(0, values.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        np.subtract(_places(values[part]), 1, out=buckets[part])
    return buckets


def _places(values: I64) -> I64:
    """Return bucket + 1 of each value of a block."""
    bits = values.astype(np.float64).view(np.uint64)
    cells = (bits >> _REST).view(np.int64)
    bits += _TO_BUCKETS.take(cells, mode="clip")
    bits >>= _REST
    return bits.view(np.int64)


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
    if groups == 1:
        return _of_one(values if has.all() else values[has], values.size)
    order = np.argsort(runs.group, kind="stable")
    group = runs.group[order]
    heads = heads_of(group)
    present = group[heads]

    def each(operation: np.ufunc, column: NDArray[np.generic], otherwise: int) -> I64:
        answer = np.full(groups, otherwise, dtype=np.int64)
        if present.size:
            per_run = operation.reduceat(column, runs.starts, dtype=np.int64)
            answer[present] = operation.reduceat(per_run[order], heads)
        return answer

    whole = bool(has.all())
    seen = np.bincount(runs.group, weights=runs.lengths, minlength=groups).astype(np.int64)
    least = each(np.minimum, values if whole else np.where(has, values, _LARGEST), _LARGEST)
    greatest = each(np.maximum, values if whole else np.where(has, values, _SMALLEST), _SMALLEST)
    total = each(np.add, values if whole else np.where(has, values, 0), 0)
    all_positive = whole and bool((least > 0).all())
    counted = None if all_positive else has & (values > 0)
    offsets, buckets, counts = _buckets(runs, groups, values, counted)
    return Parts(
        n=seen.copy() if whole else each(np.add, has, 0),
        seen=seen,
        negative=np.zeros(groups, dtype=np.int64) if all_positive else each(np.add, has & (values < 0), 0),
        total=total,
        least=least,
        greatest=greatest,
        offsets=offsets,
        buckets=buckets,
        counts=counts,
    )


def _buckets(runs: Runs, groups: int, values: I64, counted: Bools | None) -> tuple[I64, I32, I64]:
    """Return offsets, buckets and counts of the values that count, None: all."""
    # 32 bits where they suffice: sorting those takes half as long.
    width = np.uint32 if groups <= 1 << (32 - _PLACE_BITS) else np.uint64
    keys = np.repeat((runs.group << _PLACE_BITS).astype(width), runs.lengths)
    if counted is not None:
        values, keys = values[counted], keys[counted]
    for start in range(0, values.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        keys[block] += _places(values[block]).astype(width)
    distinct, counts = _count(keys, groups << _PLACE_BITS)
    offsets = np.searchsorted(distinct, np.arange(groups + 1) << _PLACE_BITS).astype(np.int64)
    return offsets, (distinct & ((1 << _PLACE_BITS) - 1)).astype(np.int32) - 1, counts


def _of_one(values: I64, seen: int) -> Parts:
    """Return the histogram of one group: all that is asked of a block of values while the cache has it."""
    found, top, negative = np.zeros(BUCKETS, dtype=np.int64), 0, 0
    sums, lows, highs = [], [_LARGEST], [_SMALLEST]
    for start in range(0, values.size, _BLOCK):
        block = positive = values[start : start + _BLOCK]
        sums.append(np.add.reduce(block))
        low = np.minimum.reduce(block)
        lows.append(low)
        if low <= 0:
            negative += int(np.count_nonzero(block < 0))
            positive = block[block > 0]
        counts = np.bincount(_places(positive))
        found[: counts.size] += counts
        if counts.size >= top:  # else the greatest value is in a block before
            top = counts.size
            highs.append(np.maximum.reduce(block))
    present = np.flatnonzero(found)
    return Parts(
        n=np.array([values.size]),
        seen=np.array([seen]),
        negative=np.array([negative]),
        total=np.array(sums, dtype=np.int64).sum(keepdims=True),
        least=np.array([min(lows)]),
        greatest=np.array([max(highs)]),
        offsets=np.array([0, present.size]),
        buckets=(present - 1).astype(np.int32),
        counts=found[present],
    )


def _count(keys: NDArray[np.unsignedinteger], size: int) -> tuple[I64, I64]:
    """Return the distinct keys (all below ``size``) in ascending order, and how often each occurs."""
    if size <= keys.size:
        found = np.bincount(keys.astype(np.int64))
        distinct = np.flatnonzero(found)
        return distinct, found[distinct]
    keys.sort()
    starts = heads_of(keys)
    return keys[starts].astype(np.int64), np.diff(starts, append=keys.size)
