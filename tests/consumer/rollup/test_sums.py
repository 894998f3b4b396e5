# SPDX-License-Identifier: Apache-2.0
"""Rows are summed up as the contract of histograms merges them, whatever their windows and scales."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.units import HOUR_NS, MINUTE_NS
from consumer.latency.histogram import bucket_of
from consumer.rollup.sums import summed, widened
from schemas.histogram import SCALE, Histogram, merge, scale_down
from schemas.tables import KINDS
from tests.consumer.rollup.made import BEGIN, SECOND, part_row, seeded

values = st.lists(st.integers(-5, 2**40), max_size=8)


def histogram_of(found: list[int], scale: int) -> Histogram:
    """Fill one value by value."""
    buckets = bucket_of(np.array([one for one in found if one > 0], dtype=np.int64))
    distinct, counts = np.unique(buckets, return_counts=True)
    made = Histogram(
        SCALE, distinct.astype(np.int32), counts.astype(np.int64), len(found), sum(one < 0 for one in found),
        sum(found), min(found, default=None), max(found, default=None),
    )  # fmt: skip
    return scale_down(made, scale)


def row_of(made: Histogram, **given: Any) -> dict[str, Any]:
    own = {
        "n": made.n, "seen": made.n, "negative": made.negative, "sum_ns": made.total, "min_ns": made.least,
        "max_ns": made.greatest, "scale": made.scale, "buckets": made.buckets.tolist(),
        "counts": made.counts.tolist(), "measure": "delivery", "clock": "same_host", "edge": "a",
        "sender_host": None, "receiver_host": "b", "keep": None, "spoiled": None,
    }  # fmt: skip
    return part_row(seeded(1), BEGIN, values=[]) | own | given


@given(st.lists(st.tuples(values, st.integers(0, SCALE)), min_size=1, max_size=6))
def test_a_sum_is_the_merge_of_its_parts(parts: list[tuple[list[int], int]]) -> None:
    made = [histogram_of(found, scale) for found, scale in parts]
    wanted = merge(made)
    rows = summed(widened(pa.Table.from_pylist([row_of(one) for one in made], KINDS["histogram"]), MINUTE_NS))
    if not wanted.n:
        assert rows.num_rows == 0
        return
    (row,) = rows.to_pylist()
    found = tuple(
        row[name] for name in ("scale", "buckets", "counts", "n", "negative", "sum_ns", "min_ns", "max_ns")
    )
    assert found == (
        wanted.scale, wanted.buckets.tolist(), wanted.counts.tolist(), wanted.n, wanted.negative,
        wanted.total, wanted.least, wanted.greatest,
    )  # fmt: skip


@pytest.mark.parametrize(("seconds", "fine"), [(5, 60), (60, 60), (300, 300)])
def test_windows_become_a_minute_at_least_and_an_hour(seconds: int, fine: int) -> None:
    part = histogram_of([1, 2], SCALE)
    starts = [BEGIN + second * SECOND for second in range(0, 3600, 300)]
    given = [row_of(part, window_start_ns=at, window_ns=seconds * SECOND) for at in starts]
    rows = summed(widened(pa.Table.from_pylist(given, KINDS["histogram"]), MINUTE_NS))
    assert set(rows["window_ns"].to_pylist()) == {fine * SECOND}
    assert rows["window_start_ns"].to_pylist() == starts
    (hour,) = summed(widened(rows, HOUR_NS)).to_pylist()
    assert (hour["window_start_ns"], hour["window_ns"], hour["n"]) == (BEGIN, HOUR_NS, 24)
