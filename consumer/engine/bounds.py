# SPDX-License-Identifier: Apache-2.0
"""Keeps an engine's state bounded: too many old events, flows nobody speaks of, actors nobody names."""

import numpy as np

from consumer.engine.flows import Flows
from consumer.engine.turns import Turns
from consumer.latency.intervals import I32, I64, Bools, take
from consumer.latency.islands import pick
from consumer.latency.match import Open

_FEW_ACTORS = 1_024


def evict_before(waiting: Open, most: int) -> int | None:
    """Return the broker ms up to which events must go so that at most ``most`` wait; None where they do."""
    born = [waiting.sends.born, waiting.receives.born, waiting.arrivals.born]
    excess = sum(column.size for column in born) - most
    if excess <= 0:
        return None
    return int(np.partition(np.concatenate(born), excess - 1)[excess - 1])


def forget(waiting: Open, flows: Flows, before_ms: int | I64, turns: Turns) -> tuple[Open, I32 | None]:
    """Forget flows without records since ``before_ms`` and actors that nothing names; renumber the rest.

    ``before_ms`` is one for all or each connection's. Arrivals go with their flow, and so does what is known
    of its turns. No other event waits for such a flow: each is at least as young as the last record of its
    end. Returns the new numbers of flows too, None where they stay.
    """
    idle, numbers = flows.idle(before_ms), None
    if idle.any():
        numbers = flows.forget(idle)
        waiting = _without(waiting, numbers)
        turns.renumber(numbers)
    used = _used(waiting, flows, turns)
    if used.size > _FEW_ACTORS and used.size > 2 * np.count_nonzero(used):
        number = flows.forget_actors(used)
        sends = waiting.sends._replace(process=number[waiting.sends.process])
        receives = waiting.receives._replace(process=number[waiting.receives.process])
        waiting = waiting._replace(sends=sends, receives=receives)
        turns.rename(number)
    return waiting, numbers


def _without(waiting: Open, number: I32) -> Open:
    sends, receives, arrivals, islands = waiting
    islands = pick(islands, number[islands.flow] >= 0)
    arrivals = take(arrivals, number[arrivals.flow] >= 0)
    return Open(
        sends._replace(flow=number[sends.flow]),
        receives._replace(flow=number[receives.flow]),
        arrivals._replace(flow=number[arrivals.flow]),
        islands._replace(flow=number[islands.flow]),
    )


def _used(waiting: Open, flows: Flows, turns: Turns) -> Bools:
    used = np.zeros(len(flows.actors), dtype=bool)
    last = flows.last_actor[flows.last_actor >= 0]
    for column in (waiting.sends.process, waiting.receives.process, last, *turns.processes()):
        used[column] = True
    return used
