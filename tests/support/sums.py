# SPDX-License-Identifier: Apache-2.0
"""Sums of a trace by end of connection: what is held against a program's own counts."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.event import Flag
from support.trace import KINDS, Trace

_LASTING = ("netns", "local_port", "remote_port", "role", "family", "cgroup")


class EndSum(NamedTuple):
    """What one end of one connection did."""

    netns: int
    local_port: int
    remote_port: int
    sends: int
    """Calls, not pieces."""
    sent: int
    """Bytes."""
    reads: int
    read: int
    """Bytes."""


def ends(trace: Trace) -> NDArray[Any]:
    """Return the facts of every end that was told of, used or not, once each.

    What is told of an end again, as it is when it closes, has to be the same.
    """
    told = trace.connections
    _, first, number = np.unique(_names(told), return_index=True, return_inverse=True)
    for field in _LASTING:
        assert (told[field] == told[field][first][number]).all(), f"{field} of an end has changed"
    return told[first]


def by_end(trace: Trace) -> list[EndSum]:
    """Return one row an end; every event has to be of one of them."""
    facts, events, wanted = ends(trace), trace.events, _names(trace.events)
    name = _names(facts)
    unknown = ~np.isin(wanted, name)
    assert not unknown.any(), f"{unknown.sum()} of {len(wanted)} events are of ends nobody told of"
    end = np.searchsorted(name, wanted)
    sums = []
    for kind, ended in (("send", int(Flag.LAST_PIECE)), ("receive", 0)):
        mine = events["kind"] == KINDS[kind]
        whole = mine & (events["flags"] & ended == ended)
        sums += [np.bincount(end[whole], minlength=len(facts))]
        sums += [np.bincount(end[mine], events["length"][mine], len(facts)).astype(np.int64)]
    ports = zip(*(facts[field].tolist() for field in ("netns", "local_port", "remote_port")), strict=True)
    moved = zip(*(one.tolist() for one in sums), strict=True)
    return [EndSum(*who, *what) for who, what in zip(ports, moved, strict=True)]


def added(rows: list[EndSum]) -> EndSum:
    """Add up; the ports and the namespace are those of the first row."""
    assert rows, "no end to add up"
    return EndSum(*rows[0][:3], *(sum(column) for column in list(zip(*rows, strict=True))[3:]))


def _names(table: NDArray[Any]) -> NDArray[np.uint64]:
    names: NDArray[np.uint64] = table["iss"].astype(np.uint64) << np.uint64(32) | table["irs"]
    return names
