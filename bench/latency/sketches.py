# SPDX-License-Identifier: Apache-2.0
"""The same values into our histogram and into a ddsketch of 1 %: n, sum, least, greatest and the buckets.

Each gets the values as it takes them: a column of integers, a list of floats. Both are held to their word: no
quantile may be further from the exact one than the relative error that each states.
"""

import ddsketch
import numpy as np

from consumer.latency.histogram import Parts, Runs, fill
from consumer.latency.intervals import I64
from schemas.histogram import SCALE

RELATIVE = 0.01
OURS = (2 ** (2**-SCALE) - 1) / (2 ** (2**-SCALE) + 1)
"""A bucket's middle from either of its ends: 1.083 %."""
QUANTILES = (0.01, 0.1, 0.5, 0.9, 0.99, 0.999)


def values(size: int, seed: int = 8) -> I64:
    """Return (size,) latencies in ns: around 200 us, a tail to seconds."""
    drawn = np.random.default_rng(seed).lognormal(np.log(2e5), 1.5, size)
    return np.maximum(drawn, 1).astype(np.int64)


def ours(column: I64, groups: int = 1) -> Parts:
    """Return the histograms of so many equal neighbouring parts of a column."""
    starts = np.arange(groups) * (column.size // groups)
    runs = Runs(starts, np.diff(starts, append=column.size), np.arange(groups))
    return fill(runs, groups, column, np.ones(column.size, dtype=bool))


def theirs(listed: list[float]) -> ddsketch.DDSketch:
    """Return the sketch of a list."""
    sketch = ddsketch.DDSketch(RELATIVE)
    for value in listed:
        sketch.add(value)
    return sketch


def check(column: I64) -> None:
    """Raise AssertionError where either breaks its word on these values."""
    exact = np.quantile(column, QUANTILES, method="lower")
    parts, sketch = ours(column), theirs(column.astype(float).tolist())
    rank = np.floor(np.array(QUANTILES) * (column.size - 1))
    bucket = parts.buckets[np.searchsorted(np.cumsum(parts.counts), rank, side="right")]
    low, high = 2.0 ** (bucket / 2**SCALE), 2.0 ** ((bucket + 1) / 2**SCALE)
    found = {
        "ours": (2 * low * high / (low + high), OURS),
        "theirs": (np.array([sketch.get_quantile_value(q) for q in QUANTILES]), RELATIVE),
    }
    for name, (answers, stated) in found.items():
        worst = float(np.abs(answers / exact - 1).max())
        assert worst <= stated * 1.0001, f"{name}: off by {worst:.3%}, which is more than {stated:.3%}"
        print(f"  {name}: quantiles off by {worst:.2%} at most, stated {stated:.3%}")
    assert int(parts.n[0]) == sketch.count == column.size
    assert int(parts.total[0]) == round(sketch.sum)
