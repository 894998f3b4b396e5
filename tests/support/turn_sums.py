# SPDX-License-Identifier: Apache-2.0
"""Histogram rows of turns added up, as whoever asks would."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from schemas.histogram import SCALE, Histogram, quantile
from schemas.turns import MEASURES, invalid


class Sum(NamedTuple):
    """All rows of one measure."""

    n: int
    seen: int
    spoiled: int
    total: int
    counts: Counter[int]
    """Bucket -> exchanges."""
    least: int
    greatest: int

    @property
    def told(self) -> int:
        """Exchanges that have a value, or would have one without the others on their way."""
        return self.n + self.spoiled

    @property
    def missing(self) -> int:
        """Exchanges of which it is known that they were not told."""
        return self.seen - self.told

    @property
    def p50(self) -> float:
        """Median, ns."""
        buckets = sorted(self.counts)
        parts = Histogram(
            scale=SCALE,
            buckets=np.array(buckets, dtype=np.int32),
            counts=np.array([self.counts[bucket] for bucket in buckets], dtype=np.int64),
            n=self.n,
            negative=0,
            total=self.total,
            least=self.least,
            greatest=self.greatest,
        )
        return quantile(parts, 0.5)

    @property
    def invalid(self) -> str | None:
        """Why the gate rejects it."""
        return invalid(self.told, self.spoiled)


def added(rows: Iterable[dict[str, Any]]) -> dict[str, Sum]:
    """Return the sum of each measure of turns, of histogram rows of any."""
    found: dict[str, list[dict[str, Any]]] = {measure: [] for measure in MEASURES}
    for row in rows:
        found.get(row["measure"], []).append(row)
    return {measure: _sum(mine) for measure, mine in found.items()}


def _sum(rows: list[dict[str, Any]]) -> Sum:
    counts: Counter[int] = Counter()
    for row in rows:
        counts.update(dict(zip(row["buckets"], row["counts"], strict=True)))
    n, seen, spoiled, total = (sum(row[name] for row in rows) for name in ("n", "seen", "spoiled", "sum_ns"))
    least = min((row["min_ns"] for row in rows if row["n"] > 0), default=0)
    greatest = max((row["max_ns"] for row in rows if row["n"] > 0), default=0)
    return Sum(n, seen, spoiled, total, counts, least, greatest)
