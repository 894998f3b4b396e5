# SPDX-License-Identifier: Apache-2.0
"""Sums of a trace by end of connection: what is held against a program's own counts."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.event import Flag
from support.trace import KINDS, Trace


class Total(NamedTuple):
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


def totals(trace: Trace) -> list[Total]:
    """Return one row an end that was told of, used or not, in the order in which they were told of.

    Every event has to be of one of them.
    """
    facts = trace.connections
    name, wanted = _names(facts), _names(trace.events)
    assert len(set(name.tolist())) == len(facts), "an end was told of twice"
    unknown = ~np.isin(wanted, name)
    assert not unknown.any(), f"{unknown.sum()} of {len(wanted)} events are of ends nobody told of"
    order = np.argsort(name)
    end = order[np.searchsorted(name, wanted, sorter=order)]
    events = trace.events
    sums = []
    for kind, ended in (("send", int(Flag.LAST_PIECE)), ("receive", 0)):
        mine = events["kind"] == KINDS[kind]
        whole = mine & (events["flags"] & ended == ended)
        sums += [np.bincount(end[whole], minlength=len(facts))]
        sums += [np.bincount(end[mine], events["length"][mine], len(facts)).astype(np.int64)]
    ports = zip(*(facts[field].tolist() for field in ("netns", "local_port", "remote_port")), strict=True)
    moved = zip(*(one.tolist() for one in sums), strict=True)
    return [Total(*who, *what) for who, what in zip(ports, moved, strict=True)]


def summed(rows: list[Total]) -> Total:
    """Add up; the ports and the namespace are those of the first row."""
    assert rows, "no end to add up"
    return Total(*rows[0][:3], *(sum(column) for column in list(zip(*rows, strict=True))[3:]))


def _names(table: NDArray[Any]) -> NDArray[np.uint64]:
    names: NDArray[np.uint64] = table["iss"].astype(np.uint64) << np.uint64(32) | table["irs"]
    return names
