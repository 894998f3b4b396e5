# SPDX-License-Identifier: Apache-2.0
"""Rows of what closed without its other end, with all that a later look needs to find it (consumer/late).

Rows add up: one of weight -1 takes back one that is alike in connection, direction, side, range and time.
"""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from consumer.engine.arrow import Place, Spread, nullable, table
from consumer.engine.facts import Link
from consumer.engine.flows import address_text
from consumer.latency.intervals import I32, I64, Bools, Sends
from consumer.latency.match import Holes, Stamps
from consumer.latency.sampling import Rates
from schemas.clock import SAME_HOST, UNSYNCED

NO_PEER, UNKNOWN, SAMPLED = "no_peer_agent", "unknown", "sampled_out"
PEER_LOST, LOST, UNREAD = "peer_lost", "own_lost_neighbour", "unread"


class Reasons(NamedTuple):
    """The reason of each link, and the link of each of (n,) rows."""

    of_link: list[str]
    link: I64

    def texts(self) -> pa.DictionaryArray:
        """Return the reason of each row."""
        return Spread(self.link).texts(self.of_link)

    def with_unread(self, unread: Bools) -> pa.DictionaryArray:
        """Return the same, where nothing else is known telling the rows that were not read."""
        plain = np.array([reason == UNKNOWN for reason in self.of_link], dtype=bool)
        behind = np.where(unread & plain[self.link], len(self.of_link), self.link)
        return Spread(behind).texts([*self.of_link, UNREAD])


def sends(place: Place, expired: Sends, reasons: pa.Array, links: list[Link], link: I64) -> pa.Table:
    """Return a row for each send; ``link`` (n,) points into ``links``."""
    asked = np.array([one.heard and not one.thinned for one in links], dtype=bool)[link]
    columns = {
        "begin": expired.begin,
        "end": expired.end,
        "reason": reasons,
        "seen": asked.astype(np.int64),
        "duration_ns": expired.duration,
    }
    stamps = _lists(expired.flow.size, None)
    told = columns | stamps | _known(expired.flags, links, link)
    return about("unmatched", place, Events("send", 0, expired.time, expired.offset), told, links, link)


def receives(place: Place, holes: Holes, reasons: pa.Array, links: list[Link], link: I64) -> pa.Table:
    """Return a row for each hole; ``link`` (n,) points into ``links``."""
    read = holes.receives
    columns = {
        "begin": holes.begin,
        "end": holes.end,
        "reason": reasons,
        "seen": np.zeros(read.flow.size, dtype=np.int64),
        "duration_ns": np.zeros(read.flow.size, dtype=np.int64),
    }
    stamps = _lists(read.flow.size, holes.stamps)
    told = columns | stamps | _known(read.flags, links, link)
    return about("unmatched", place, Events("receive", 1, read.time, read.offset), told, links, link)


def _known(flags: I32, links: list[Link], link: I64) -> dict[str, Any]:
    clocks = [SAME_HOST if one.same_clock else UNSYNCED for one in links]
    return {"flags": flags, "clock": Spread(link).texts(clocks)}


class Events(NamedTuple):
    """(n,) events of one side."""

    side: str
    at: int
    """0: who sends on the flow, 1: who receives."""
    time: I64
    offset: I64


def about(
    kind: str, place: Place, events: Events, columns: dict[str, Any], links: list[Link], link: I64
) -> pa.Table:
    """Return a row of a kind for each event, with what is known of its end; ``columns`` are the others."""
    spread = Spread(link)
    same = Spread(np.zeros_like(link))
    at = events.at
    flows = [end.flow if (end := one.ends[one.direction ^ at]) is not None else None for one in links]
    boots = [end.boot if (end := one.ends[one.direction ^ at]) is not None else None for one in links]
    processes = [actor.process if (actor := one.actors[at]) is not None else None for one in links]
    time_ns = events.time + events.offset
    told: dict[str, Any] = {
        "connection": spread.numbers([one.connection for one in links], np.int64),
        "direction": spread.numbers([one.direction for one in links], np.int32),
        "side": same.texts([events.side]),
        "host": spread.texts([one.hosts[at] for one in links]),
        "edge": spread.texts([one.edge for one in links]),
        "time_ns": time_ns,
        "weight": np.ones(link.size, dtype=np.int32),
        "monotonic_ns": events.time,
        "boot": spread.texts(boots),
        "peer_host": spread.texts([one.hosts[1 - at] for one in links]),
        "pid": spread.numbers([one.pid if one else 0 for one in processes], np.int64),
        "process": spread.texts([one.name if one else None for one in processes]),
        "label": spread.texts([one.label if one else None for one in processes]),
        "role": spread.numbers([one.role if one else 0 for one in flows], np.int32),
        "local_address": spread.texts([address_text(one.local_address) if one else None for one in flows]),
        "local_port": spread.numbers([one.local_port if one else 0 for one in flows], np.int32),
        "remote_address": spread.texts([address_text(one.remote_address) if one else None for one in flows]),
        "remote_port": spread.numbers([one.remote_port if one else 0 for one in flows], np.int32),
        **_rates(spread, [one.rates[at] for one in links]),
    }
    return table(kind, place, time_ns, told | columns)


def _rates(spread: Spread, rates: list[Rates]) -> dict[str, Any]:
    """Return the rates of each row, null where everything was kept."""
    if all(one.everything for one in rates):
        return dict.fromkeys(("connection_rate", "block_rate"))
    thinned = spread.numbers([not one.everything for one in rates], np.int32) > 0
    return {
        "connection_rate": nullable(spread.numbers([one.connection for one in rates], np.int32), thinned),
        "block_rate": nullable(spread.numbers([one.block for one in rates], np.int32), thinned),
    }


def _lists(size: int, stamps: Stamps | None) -> dict[str, pa.Array]:
    """Return the arrivals of each of ``size`` rows as lists; rows without any have empty ones."""
    counts = np.zeros(size, dtype=np.int64) if stamps is None else np.bincount(stamps.hole, minlength=size)
    bounds = pa.array(np.concatenate(([0], np.cumsum(counts))).astype(np.int32))
    nothing = np.zeros(0, dtype=np.int64)
    found = (nothing, nothing, nothing.astype(np.int32)) if stamps is None else stamps[1:]
    names = ("arrival_ends", "arrival_times", "arrival_flags")
    return {
        name: pa.ListArray.from_arrays(bounds, pa.array(values))
        for name, values in zip(names, found, strict=True)
    }
