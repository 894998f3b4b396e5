# SPDX-License-Identifier: Apache-2.0
"""The rows of a tick: matches, unmatched ranges, ends of connections, agents, ledger."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from consumer.engine.arrow import Place, Spread, nullable, table
from consumer.engine.budget import Kept
from consumer.engine.facts import Link
from consumer.engine.flows import UNHEARD, Flows, address_text
from consumer.engine.ledger import Count
from consumer.engine.naming import actor_of, address, ends_of, port, side
from consumer.latency.intervals import I64
from consumer.latency.match import Closed
from schemas.clock import SAME_HOST, UNSYNCED
from schemas.event import Flag

_PIECES = int(Flag.FIRST_PIECE | Flag.LAST_PIECE)
"""Whose meaning on a row is that of the send alone."""


def matches(place: Place, found: Kept, links: list[Link]) -> pa.Table:
    """Return a row for each match that gets one."""
    closed, measured, link = found.closed, found.measured, found.link
    sends, receives = closed.sends, closed.receives
    spread = Spread(link)
    arrived = closed.arrived >= 0
    columns: dict[str, Any] = {
        "connection": spread.numbers([one.connection for one in links], np.int64),
        "direction": spread.numbers([one.direction for one in links], np.int32),
        "edge": spread.texts([one.edge for one in links]),
        **_side("sender", spread, links, 0),
        **_side("receiver", spread, links, 1),
        "begin": sends.begin,
        "end": sends.end,
        "sent_at_ns": measured.sent_at,
        "send_block_ns": sends.duration,
        "delivery_ns": measured.delivery,
        "wire_ns": nullable(measured.wire, arrived),
        "receive_wait_ns": nullable(measured.wait, arrived),
        "clock": spread.texts([SAME_HOST if one.same_clock else UNSYNCED for one in links]),
        "last_piece": (sends.flags & Flag.LAST_PIECE) != 0,
        "flags": sends.flags | ((receives.flags | closed.arrival_flags) & ~_PIECES) | found.slow,
        **_of_two_clocks(closed, links, link),
        "keep": spread.chances([one.keep * found.share for one in links]),
    }
    return table("match", place, measured.sent_at, columns)


def _of_two_clocks(closed: Closed, links: list[Link], link: I64) -> dict[str, Any]:
    """Return what a match of two clocks can be corrected by; null in those of one."""
    two = np.array([one.two_clocks for one in links], dtype=bool)
    if not two.any():
        names = ("sender_boot", "receiver_boot", "sent_monotonic_ns", "received_monotonic_ns")
        return dict.fromkeys(names)
    spread, boots = Spread(link), [one.boots for one in links]
    return {
        "sender_boot": spread.texts([sender for sender, _ in boots]),
        "receiver_boot": spread.texts([receiver for _, receiver in boots]),
        "sent_monotonic_ns": nullable(closed.sends.time, two[link]),
        "received_monotonic_ns": nullable(closed.receives.time, two[link]),
    }


def _side(name: str, spread: Spread, links: list[Link], receiver: int) -> dict[str, Any]:
    actors = [one.actors[receiver] for one in links]
    ends = [one.direction ^ receiver for one in links]
    pairs = list(zip(links, ends, strict=True))
    return {
        f"{name}_host": spread.texts([actor.host if actor else None for actor in actors]),
        f"{name}_process": spread.texts([actor.text if actor else None for actor in actors]),
        f"{name}_pid": spread.numbers([actor.process.pid if actor else 0 for actor in actors], np.int64),
        f"{name}_address": spread.texts([address(one.ends, end) for one, end in pairs]),
        f"{name}_port": spread.numbers([port(one.ends, end) for one, end in pairs], np.int32),
    }


def connections(place: Place, flows: Flows, numbers: list[int]) -> pa.Table:
    """Return a row for each end (at least one) that was first heard of."""
    rows = [_connection(flows, number) for number in numbers]
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in rows[0]}
    seen = np.array(columns["first_seen_ns"], dtype=np.int64)
    return table("connection", place, seen, columns)


def _connection(flows: Flows, number: int) -> dict[str, Any]:
    end = flows.ends[number]
    assert end is not None  # noqa: S101 - the list of fresh ends holds known ends only
    flow, actor = end.flow, actor_of(flows, UNHEARD, number)
    process = actor.process if actor else None
    name = side(ends_of(flows, number), flow.end, actor, flows.names)
    return {
        "connection": flow.connection - (1 << 64 if flow.connection >> 63 else 0),
        "endpoint": flow.end,
        "host": end.host,
        "boot": end.boot,
        "netns": flow.netns,
        "role": flow.role,
        "family": flow.family,
        "local_address": address_text(flow.local_address),
        "local_port": flow.local_port,
        "remote_address": address_text(flow.remote_address),
        "remote_port": flow.remote_port,
        "pid": process.pid if process else None,
        "process": process.name if process else None,
        "label": process.label if process else None,
        "first_seen_ns": end.first_seen_ns,
        "owner": flows.names.owner(name, process.label if process else ""),
        "opener_pid": end.opener.pid if end.opener else None,
        "opener": end.opener.name if end.opener else None,
        "marks": flow.marks,
    }


def agents(place: Place, told: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return a row for each word of how an agent run stands: all columns of the kind but its origin."""
    columns: dict[str, Any] = {name: [row[name] for row in told] for name in told[0]}
    return table("agent", place, np.array(columns["heard_ns"], dtype=np.int64), columns)


def ledger(place: Place, counts: Sequence[Count]) -> pa.Table:
    """Return a row for each count."""
    names = Count.__struct_fields__
    columns: dict[str, Any] = {name: [getattr(count, name) for count in counts] for name in names}
    return table("ledger", place, np.array(columns["at_ns"], dtype=np.int64), columns)
