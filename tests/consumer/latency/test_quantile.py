# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.latency.histogram import Runs, fill
from schemas.histogram import (
    RELATIVE_ERROR,
    SCALE,
    Histogram,
    coarser,
    merge,
    quantile,
    relative_error,
    scale_down,
    upper_bounds,
)

VALUES = st.lists(st.integers(1, 10**12) | st.integers(-3, 100), min_size=1, max_size=200)
POSITIVE = st.lists(st.integers(1, 10**15), min_size=1, max_size=200)
QUANTILES = st.sampled_from([0.0, 0.01, 0.5, 0.9, 0.99, 0.999, 1.0]) | st.floats(0, 1)


def histogram(values: list[int]) -> Histogram:
    column = np.array(values, dtype=np.int64)
    one = np.zeros(1, dtype=np.int64)
    parts = fill(Runs(one, np.array([column.size]), one), 1, column, np.ones(column.size, dtype=bool))
    bounds = (int(parts.least[0]), int(parts.greatest[0]))
    totals = (int(parts.n[0]), int(parts.negative[0]), int(parts.total[0]))
    return Histogram(SCALE, parts.buckets, parts.counts, *totals, *bounds)


def as_bytes(one: Histogram) -> tuple[object, ...]:
    return (one.scale, one.buckets.tobytes(), one.counts.tobytes(), *one[3:])


def test_the_stated_error_is_that_of_the_scale() -> None:
    """1.083 % is what 32 buckets a doubling allow."""
    assert pytest.approx(0.01083, abs=1e-5) == RELATIVE_ERROR == relative_error(SCALE)


@given(POSITIVE, QUANTILES)
def test_every_quantile_lies_within_the_stated_error(values: list[int], q: float) -> None:
    """The answer differs from the value of that rank by at most 1.083 %."""
    exact = sorted(values)[max(1, math.ceil(q * len(values))) - 1]
    assert quantile(histogram(values), q) == pytest.approx(exact, rel=RELATIVE_ERROR * (1 + 1e-9))


@given(VALUES, QUANTILES)
def test_zeros_are_exact_and_negatives_give_the_least(values: list[int], q: float) -> None:
    """Ranks among the negatives answer the smallest value, ranks among zeros 0."""
    exact = sorted(values)[max(1, math.ceil(q * len(values))) - 1]
    answer = quantile(histogram(values), q)
    if exact < 0:
        assert answer <= exact
    else:
        assert answer == pytest.approx(exact, rel=RELATIVE_ERROR * (1 + 1e-9), abs=0)


def test_ranks_run_over_negatives_then_zeros_then_buckets() -> None:
    """Of -7, 0, 0, 5, 10 and 20 each rank answers its own value."""
    one = histogram([10, 0, -7, 20, 5, 0])
    answers = [quantile(one, rank / 6) for rank in range(1, 7)]
    assert answers == [-7, 0, 0, pytest.approx(5, rel=0.011), pytest.approx(10, rel=0.011), 20]


@given(st.lists(VALUES, min_size=2, max_size=6), st.data())
def test_merging_in_any_order_gives_the_same_bytes(parts: list[list[int]], data: st.DataObject) -> None:
    """Merged parts are the histogram of all values, however they are ordered and nested."""
    whole = histogram([value for part in parts for value in part])
    shuffled = data.draw(st.permutations([histogram(part) for part in parts]))
    at = data.draw(st.integers(1, len(parts) - 1))
    assert as_bytes(merge(shuffled)) == as_bytes(whole)
    assert as_bytes(merge([merge(shuffled[:at]), merge(shuffled[at:])])) == as_bytes(whole)


@given(POSITIVE, st.integers(0, SCALE))
def test_a_coarser_histogram_is_that_of_coarser_buckets(values: list[int], steps: int) -> None:
    """Shifting bucket numbers is lossless: each value lies in its bucket of the lower scale."""
    down = scale_down(histogram(values), SCALE - steps)
    highest = upper_bounds(down.buckets, down.scale)
    assert down.counts.sum() == len(values)
    assert float(max(values)) <= highest[-1] * (1 + 1e-12)
    middle = sorted(values)[math.ceil(0.5 * len(values)) - 1]
    assert quantile(down, 0.5) == pytest.approx(middle, rel=relative_error(down.scale) * (1 + 1e-9))


@given(VALUES, VALUES, st.integers(0, 4))
def test_parts_of_different_scales_merge_at_the_lower_one(
    one: list[int], other: list[int], scale: int
) -> None:
    """Scaling down and merging commute."""
    first, second = histogram(one), histogram(other)
    mixed = merge([scale_down(first, scale), second])
    assert as_bytes(mixed) == as_bytes(scale_down(merge([first, second]), scale))


@given(st.integers(-2, 2000), st.integers(0, 8), st.integers(0, 8))
def test_scale_downs_add_up(bucket: int, one: int, other: int) -> None:
    """Two steps down are one of their sum."""
    number = np.array([bucket], dtype=np.int32)
    assert coarser(coarser(number, one), other) == coarser(number, one + other)


def test_a_scale_cannot_rise() -> None:
    """What was merged cannot be told apart again."""
    with pytest.raises(ValueError, match="scale 5 cannot become 6"):
        scale_down(histogram([1]), 6)


def test_an_empty_histogram_has_no_quantile() -> None:
    """Without values the answer is not a number; a quantile outside [0, 1] is refused."""
    none = np.zeros(0, dtype=np.int64)
    empty = Histogram(SCALE, none.astype(np.int32), none, 0, 0, 0, None, None)
    assert math.isnan(quantile(empty, 0.5))
    assert as_bytes(merge([empty, histogram([5, 7])])) == as_bytes(histogram([5, 7]))
    with pytest.raises(ValueError, match="allowed are 0 to 1"):
        quantile(empty, 1.5)
