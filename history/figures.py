# SPDX-License-Identifier: Apache-2.0
"""The figures of one group and kind, from sums of its parts. Pure.

Where nothing was sampled out the percentiles are those of ``schemas.histogram``; where something was, each
part counts for as many messages as it stands for (``estimates``).
"""

from typing import Any, NamedTuple

import numpy as np

from history.coverage import Cover
from history.estimates import F64, I64, Weighted
from schemas.histogram import Histogram, quantile

SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
Limits = dict[str, tuple[int, int] | None]
"""Of ``p50``, ``p90``, ``p99`` and ``messages``."""


class Latency(NamedTuple):
    """The figures of one group and kind. Latencies are integer nanoseconds, None where n is 0."""

    group: str
    """The edge, host or minute; empty for ``measure``."""
    kind: str
    n: int
    """Values; where events were sampled, of what was kept."""
    seen: int
    p50_ns: int | None
    p90_ns: int | None
    p99_ns: int | None
    min_ns: int | None
    max_ns: int | None
    mean_ns: int | None
    negative: int
    clock_bound_ns: int | None
    """No value is off by more than this for want of one clock; None where all are of one clock."""
    complete: float | None
    kept: float | None
    """Share of the events of the group's hosts that was not sampled out, None without their ledgers."""
    cover: float | None
    """Share of the bytes that connections of the group moved that is in events, of those that closed in the
    span; None where none closed."""
    closed: int
    moved_bytes: int
    covered_bytes: int
    blind: int
    partial: int
    """These five as in ``coverage.Cover``."""
    spoiled: int | None
    """Exchanges left out, since another request was on its way; None but for turns."""
    messages: int
    """How many there were, estimated where some were sampled out."""
    messages_low: int | None
    messages_high: int | None
    p50_low_ns: int | None
    p50_high_ns: int | None
    p90_low_ns: int | None
    p90_high_ns: int | None
    p99_low_ns: int | None
    p99_high_ns: int | None
    """These eight: between them it lies, at 95 %, for what was sampled out; None where nothing was, or where
    too little was kept to say."""


class Cells(NamedTuple):
    """(k,) buckets of a group, ascending."""

    buckets: Any
    """int32."""
    counts: I64
    mass: F64
    """What the counts stand for."""


_BELOW = float(np.nextafter(1.0, 0.0))
NO_CELLS = Cells(np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int64), np.zeros(0))


class Sums(NamedTuple):
    """The sums of a group, ready to be asked for a value."""

    row: dict[str, Any]
    cells: Cells

    @property
    def sampled(self) -> bool:
        """Some of its messages were kept by chance."""
        return bool(self.row["keep"] < 1)

    def value(self, q: float) -> int | None:
        """Return a percentile, None where there is none."""
        if not int(self.row["n"]):
            return None
        return round(self._weighted.quantile(q) if self.sampled else quantile(self._histogram, q))

    @property
    def _histogram(self) -> Histogram:
        row, cells = self.row, self.cells
        return Histogram(
            row["scale"], cells.buckets, cells.counts, int(row["n"]), int(row["negative"]),
            int(row["total"]), row["least"], row["greatest"],
        )  # fmt: skip

    @property
    def _weighted(self) -> Weighted:
        row, cells = self.row, self.cells
        negative = float(row["negative_mass"])
        zeros = float(row["mass"]) - negative - float(cells.mass.sum())
        zeros = zeros if zeros > 1e-9 * float(row["mass"]) else 0.0
        return Weighted(
            row["scale"], cells.buckets, cells.mass, zeros, negative, row["least"], row["greatest"]
        )

    def figures(self, group: str, kept: float | None, cover: Cover, limits: Limits | None) -> Latency:
        """Return the figures; ``limits`` of what was sampled."""
        row, found = self.row, limits or {}
        n = int(row["n"])
        mean = int(row["total"]) // n if n else None
        if n and self.sampled:
            mean = round(float(row["total_mass"]) / float(row["mass"]))
        shares: dict[str, Any] = {f"{name}_ns": self.value(q) for name, q in SHARES.items()}
        around: dict[str, Any] = {
            f"{name}_{end}{'' if name == 'messages' else '_ns'}": (found.get(name) or (None, None))[at]
            for name in (*SHARES, "messages")
            for at, end in enumerate(("low", "high"))
        }
        return Latency(
            group=group,
            kind=row["measure"],
            n=n,
            seen=int(row["seen"]),
            min_ns=row["least"],
            max_ns=row["greatest"],
            mean_ns=mean,
            negative=int(row["negative"]),
            clock_bound_ns=row["bound"],
            complete=_complete(row),
            kept=kept,
            cover=cover.share,
            spoiled=int(row["spoiled"]) if row["turn"] else None,
            messages=round(float(row["mass"])) if self.sampled else n,
            **shares,
            **around,
            **cover._asdict(),
        )


def incomplete(figure: Latency) -> Latency:
    """Return figures that lack something nobody counted: never 100 %."""
    if figure.complete is None:
        return figure
    return figure._replace(complete=min(figure.complete, _BELOW))


def _complete(row: dict[str, Any]) -> float | None:
    """Return the share, below 1 whatever the rounding where anything at all is missing."""
    asked = int(row["seen"]) - int(row["spoiled"])
    if not row["known"] or not asked:
        return None
    if row["whole"] and row["n"] == asked:
        return 1.0
    return min(float(row["complete"]), _BELOW)
