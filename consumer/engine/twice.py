# SPDX-License-Identifier: Apache-2.0
"""Two agents on one host may tell of the same calls: of an end that two runs speak of, each call counts once.

Only ends of which both spoke within a horizon are looked at, so nothing is done where every end has one run.
The bytes of a stream are given and taken once, so a call on the same bytes as one that waits, or a send among
bytes that are matched, is the other agent's word for a call that is known.
"""

from typing import TypeVar

import numpy as np

from consumer.engine.flows import Flows
from consumer.latency.intervals import I32, Bools, Receives, Sends, take
from consumer.latency.islands import Islands
from consumer.latency.match import Open

_Ranged = TypeVar("_Ranged", Sends, Receives)


def once(sends: Sends, receives: Receives, waiting: Open, flows: Flows) -> tuple[Sends, Receives, I32]:
    """Return new sends and receives without repeats, and for each repeat the end that it was told of."""
    told = np.array(sorted(flows.twice), dtype=np.int32)
    known = _repeats(sends, waiting.sends, np.isin(sends.flow, told))
    known |= np.isin(sends.flow, told) & _matched(sends, waiting.islands)
    read = _repeats(receives, waiting.receives, np.isin(receives.flow ^ 1, told))
    ends = np.concatenate((sends.flow[known], receives.flow[read] ^ 1))
    return take(sends, ~known), take(receives, ~read), ends


def _repeats(new: _Ranged, waiting: _Ranged, asked: Bools) -> Bools:
    """Say which of the (n,) new ones are of the same bytes as one that waits or came before."""
    found = np.zeros(new.flow.size, dtype=bool)
    picked = np.flatnonzero(asked)
    if not picked.size:
        return found
    size = waiting.flow.size
    flow = np.concatenate((waiting.flow, new.flow[picked]))
    begin = np.concatenate((waiting.begin, new.begin[picked]))
    end = np.concatenate((waiting.end, new.end[picked]))
    order = np.lexsort((end, begin, flow))  # stable: those that wait come first among equals
    equal = np.zeros(order.size, dtype=bool)
    equal[1:] = np.logical_and.reduce(
        [column[order][1:] == column[order][:-1] for column in (flow, begin, end)]
    )
    repeats = order[equal]
    found[picked[repeats[repeats >= size] - size]] = True
    return found


def _matched(sends: Sends, islands: Islands) -> Bools:
    """Say which sends lie wholly in an island of their flow; islands are sorted by (flow, begin)."""
    count = islands.flow.size
    if not count:
        return np.zeros(sends.flow.size, dtype=bool)
    flow = np.concatenate((islands.flow, sends.flow))
    begin = np.concatenate((islands.begin, sends.begin))
    order = np.lexsort((begin, flow))  # stable: an island comes before sends of the same begin
    at = np.where(order < count, order, -1)
    before = np.empty(order.size, dtype=np.int64)
    before[order] = np.maximum.accumulate(at)
    island = before[count:]
    inside: Bools = (island >= 0) & (islands.flow[island] == sends.flow) & (islands.end[island] >= sends.end)
    return inside
