# SPDX-License-Identifier: Apache-2.0
"""Parts of histograms: values grouped by (edge, hosts, keep, window), and one row for each group."""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from consumer.engine.arrow import Place, Spread, nullable, table
from consumer.engine.facts import Link
from consumer.latency.histogram import Parts, Runs, fill
from consumer.latency.intervals import I64, Bools
from schemas.histogram import SCALE


class Group(NamedTuple):
    """Rows cut into runs of one (edge, window); ``edge`` and ``window`` (g,) are those of each group."""

    runs: Runs
    edge: I64
    window: I64


class Edges:
    """The distinct edges between two hosts behind links, in the order of first mention.

    Rules may give ends on many hosts one name, and answers by host and their completeness need the hosts.
    Messages that were kept by other chances have other weights, so they are apart too, and so are measures
    where links have measures of their own.
    """

    def __init__(self, links: list[Link], keeps: list[float], measures: list[str] | None = None) -> None:
        first: dict[tuple[str, tuple[str | None, str | None], float, str], int] = {}
        keyed = zip(links, keeps, measures or [""] * len(links), strict=True)
        self._edge_of_link = np.array(
            [first.setdefault((link.edge, link.hosts, keep, name), len(first)) for link, keep, name in keyed],
            dtype=np.int64,
        )
        self.texts = [text for text, _, _, _ in first]
        self.hosts = [hosts for _, hosts, _, _ in first]
        self.keeps = [keep for _, _, keep, _ in first]
        self.measures = [measure for _, _, _, measure in first]

    def group(self, link: I64, window: I64) -> Group:
        """Group (n,) rows by edge and window; neighbours that share both cost one step."""
        fresh = np.ones(link.size, dtype=bool)
        fresh[1:] = (link[1:] != link[:-1]) | (window[1:] != window[:-1])
        starts = np.flatnonzero(fresh)
        edges, windows = self._edge_of_link[link[starts]], window[starts]
        order = np.lexsort((windows, edges))
        edges, windows = edges[order], windows[order]
        first = np.ones(starts.size, dtype=bool)
        first[1:] = (edges[1:] != edges[:-1]) | (windows[1:] != windows[:-1])
        number = np.empty(starts.size, dtype=np.int64)
        number[order] = np.cumsum(first) - 1
        runs = Runs(starts, np.diff(starts, append=link.size), number)
        return Group(runs, edges[first], windows[first])


class Measure(NamedTuple):
    """Values of one measure, row by row of a group."""

    name: str | None
    """None: that of each edge."""
    clock: str
    values: I64
    has: Bools
    """Which rows have a value."""
    spoils: bool = False
    """A row without one is an exchange that is spoiled."""
    missing: Bools | None = None
    """Which rows are of exchanges that were not told, so not spoiled either; None: none."""


def part_rows(place: Place, edges: Edges, group: Group, measure: Measure, window_ns: int) -> pa.Table:
    """Return the histogram rows of one measure, one for each group."""
    parts = fill(group.runs, group.edge.size, measure.values, measure.has)
    spread, same = Spread(group.edge), Spread(np.zeros(group.edge.size, dtype=np.int64))
    start = group.window * window_ns
    columns: dict[str, Any] = {
        "window_start_ns": start,
        "window_ns": np.full(start.size, window_ns, dtype=np.int64),
        "edge": spread.texts(edges.texts),
        "sender_host": spread.texts([hosts[0] for hosts in edges.hosts]),
        "receiver_host": spread.texts([hosts[1] for hosts in edges.hosts]),
        "measure": spread.texts(edges.measures) if measure.name is None else same.texts([measure.name]),
        "clock": same.texts([measure.clock]),
        **_numbers(parts),
        "spoiled": parts.seen - parts.n - _missing(group, measure) if measure.spoils else None,
        "keep": spread.chances(edges.keeps),
    }
    return table("histogram", place, start, columns)


def _missing(group: Group, measure: Measure) -> I64 | int:
    if measure.missing is None:
        return 0
    owner = np.repeat(group.runs.group, group.runs.lengths)
    return np.bincount(owner[measure.missing], minlength=group.edge.size).astype(np.int64)


def _numbers(parts: Parts) -> dict[str, Any]:
    offsets = pa.array(parts.offsets.astype(np.int32))
    return {
        "n": parts.n,
        "seen": parts.seen,
        "negative": parts.negative,
        "sum_ns": parts.total,
        "min_ns": nullable(parts.least, parts.n > 0),
        "max_ns": nullable(parts.greatest, parts.n > 0),
        "scale": np.full(parts.n.size, SCALE, dtype=np.int32),
        "buckets": pa.ListArray.from_arrays(offsets, pa.array(parts.buckets)),
        "counts": pa.ListArray.from_arrays(offsets, pa.array(parts.counts)),
    }
