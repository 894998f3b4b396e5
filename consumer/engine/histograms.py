# SPDX-License-Identifier: Apache-2.0
"""The histogram rows of a tick: one additive part for each (window, edge, hosts, measure, clock, keep).

Messages are sends with Flag.LAST_PIECE that closed: matched or expired. ``seen`` counts all that a measure
could have a value for, ``n`` those that have one. Delivery and wire are kept only where both ends share one
clock; receive wait and send block need one host. A match with Flag.NO_ROLE is seen and has no delivery, wire
or receive wait: its positions may be one off, so its partner may be the neighbour. A message that expired
where events were sampled out has a send block and is not seen by the other measures.
"""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from consumer.engine.arrow import Place, Spread, nullable, table
from consumer.engine.facts import Link
from consumer.latency.histogram import Parts, Runs, fill
from consumer.latency.intervals import I64, Bools
from consumer.latency.match import Closed
from consumer.latency.measure import Measured
from schemas.event import Flag
from schemas.histogram import SCALE

SAME_HOST, ONE_HOST = "same_host", "one_host"


class Messages(NamedTuple):
    """(n,) closed messages: first those matched, then those expired."""

    link: I64
    sent_at: I64
    received_at: I64
    """Equal to ``sent_at`` where nothing was received."""
    delivery: I64
    wire: I64
    wait: I64
    block: I64
    delivered: Bools
    """``delivery`` has a value."""
    arrived: Bools
    """``wire`` and ``wait`` have a value."""
    matched: Bools


def messages(closed: Closed, measured: Measured, link: I64) -> Messages:
    """Return the messages among matches and expired sends; ``link`` names those of both, in this order."""
    doubts = closed.sends.flags | closed.receives.flags | closed.arrival_flags
    trusted = (doubts & Flag.NO_ROLE) == 0
    expired_at = closed.expired.time + closed.expired.offset
    found = Messages(
        link=link,
        sent_at=np.concatenate((measured.sent_at, expired_at)),
        received_at=np.concatenate((measured.received_at, expired_at)),
        delivery=_longer(measured.delivery, link.size),
        wire=_longer(measured.wire, link.size),
        wait=_longer(measured.wait, link.size),
        block=np.concatenate((closed.sends.duration, closed.expired.duration)),
        delivered=_longer(trusted, link.size),
        arrived=_longer(trusted & (closed.arrived >= 0), link.size),
        matched=_longer(np.ones(trusted.size, dtype=bool), link.size),
    )
    # Of the sends alone: a receive has pieces of its own.
    last = (np.concatenate((closed.sends.flags, closed.expired.flags)) & Flag.LAST_PIECE) != 0
    return found if last.all() else _pick(found, last)


def _longer(values: Any, size: int) -> Any:  # noqa: ANN401 - any dtype
    return (
        values
        if values.size == size
        else np.concatenate((values, np.zeros(size - values.size, values.dtype)))
    )


def _pick(found: Messages, mask: Bools) -> Messages:
    columns: list[Any] = [column[mask] for column in found] if not mask.all() else list(found)
    return Messages(*columns)


def histograms(place: Place, found: Messages, links: list[Link], window_ns: int) -> pa.Table | None:
    """Return the parts of one tick, None where nothing closed."""
    asked = found
    if any(link.thinned for link in links):
        thinned = np.array([link.thinned for link in links], dtype=bool)
        asked = _pick(found, found.matched | ~thinned[found.link])
    one_clock = _pick(asked, np.array([link.same_clock for link in links], dtype=bool)[asked.link])
    heard = _pick(asked, np.array([link.heard for link in links], dtype=bool)[asked.link])
    edges = _Edges(links, [link.keep for link in links])
    parts = []
    if one_clock.link.size:
        group = edges.group(one_clock.link, one_clock.sent_at // window_ns)
        parts.append(
            _rows(place, edges, group, ("delivery", one_clock.delivery, one_clock.delivered), window_ns)
        )
        parts.append(_rows(place, edges, group, ("wire", one_clock.wire, one_clock.arrived), window_ns))
    if heard.link.size:
        group = edges.group(heard.link, heard.received_at // window_ns)
        parts.append(_rows(place, edges, group, ("receive-wait", heard.wait, heard.arrived), window_ns))
    if found.link.size:
        if any(link.keep != link.keep_sent for link in links):
            edges = _Edges(links, [link.keep_sent for link in links])
        group = edges.group(found.link, found.sent_at // window_ns)
        everything = np.ones(found.link.size, dtype=bool)
        parts.append(_rows(place, edges, group, ("send-block", found.block, everything), window_ns))
    return pa.concat_tables(parts) if parts else None


class _Group(NamedTuple):
    """Rows cut into runs of one (edge, window); ``edge`` and ``window`` (g,) are those of each group."""

    runs: Runs
    edge: I64
    window: I64


class _Edges:
    """The distinct edges between two hosts behind links, in the order of first mention.

    Rules may give ends on many hosts one name, and answers by host and their completeness need the hosts.
    Messages that were kept by other chances have other weights, so they are apart too.
    """

    def __init__(self, links: list[Link], keeps: list[float]) -> None:
        first: dict[tuple[str, tuple[str | None, str | None], float], int] = {}
        keyed = zip(links, keeps, strict=True)
        self._edge_of_link = np.array(
            [first.setdefault((link.edge, link.hosts, keep), len(first)) for link, keep in keyed],
            dtype=np.int64,
        )
        self.texts = [text for text, _, _ in first]
        self.hosts = [hosts for _, hosts, _ in first]
        self.keeps = [keep for _, _, keep in first]

    def group(self, link: I64, window: I64) -> _Group:
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
        return _Group(runs, edges[first], windows[first])


def _rows(
    place: Place, edges: _Edges, group: _Group, measure: tuple[str, I64, Bools], window_ns: int
) -> pa.Table:
    name, values, has = measure
    parts = fill(group.runs, group.edge.size, values, has)
    spread, same = Spread(group.edge), Spread(np.zeros(group.edge.size, dtype=np.int64))
    start = group.window * window_ns
    columns: dict[str, Any] = {
        "window_start_ns": start,
        "window_ns": np.full(start.size, window_ns, dtype=np.int64),
        "edge": spread.texts(edges.texts),
        "sender_host": spread.texts([hosts[0] for hosts in edges.hosts]),
        "receiver_host": spread.texts([hosts[1] for hosts in edges.hosts]),
        "measure": same.texts([name]),
        "clock": same.texts([SAME_HOST if name in {"delivery", "wire"} else ONE_HOST]),
        **_numbers(parts),
        "keep": spread.chances(edges.keeps),
    }
    return table("histogram", place, start, columns)


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
        "spoiled": None,
    }
