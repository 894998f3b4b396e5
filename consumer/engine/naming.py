# SPDX-License-Identifier: Apache-2.0
"""The name of an edge: ``sender@host > receiver@host``; the side that listens carries its port.

A side without an agent is shown by the address that the other side sees: ``10.0.0.5:80``, ``[fd00::1]:80``.
The listening side is the one that accepted; where neither end knows, the smaller port is taken to listen.
Rules (names.py) may call an end otherwise.
"""

from consumer.engine.flows import UNHEARD, Actor, End, Flows, address_text
from consumer.engine.names import BETWEEN, Names, Who

_PASSIVE = 2


def listening_end(ends: tuple[End | None, End | None]) -> int:
    """Return which end listens, 0 or 1; at least one end is known."""
    for number, end in enumerate(ends):
        if end is not None and end.flow.role:
            return number if end.flow.role == _PASSIVE else 1 - number
    ports = [port(ends, number) for number in (0, 1)]
    return 0 if ports[0] < ports[1] else 1


def port(ends: tuple[End | None, End | None], number: int) -> int:
    """Return an end's own port, or what the other end takes for it."""
    own, other = ends[number], ends[1 - number]
    if own is not None:
        return own.flow.local_port
    return other.flow.remote_port if other is not None else 0


def address(ends: tuple[End | None, End | None], number: int) -> str:
    """Return an end's own address, or what the other end takes for it."""
    own, other = ends[number], ends[1 - number]
    if own is not None:
        return address_text(own.flow.local_address)
    return address_text(other.flow.remote_address) if other is not None else ""


def side(ends: tuple[End | None, End | None], number: int, actor: Actor | None, names: Names) -> str:
    """Return the text of one side; ``actor`` is who sent or received there, None where that is not known."""
    who = _who(ends, number, actor)
    return names.of(who) or _plain(who)


def _who(ends: tuple[End | None, End | None], number: int, actor: Actor | None) -> Who:
    end = ends[number]
    listening = port(ends, number) if listening_end(ends) == number else None
    if end is None:
        return Who("", "", address(ends, number), listening)
    if actor is None:
        return Who("kernel", "", end.host, listening)
    return Who(actor.text, actor.process.label, actor.host, listening)


def _plain(who: Who) -> str:
    suffix = "" if who.port is None else f":{who.port}"
    if who.process:
        return f"{who.process}@{who.host}{suffix}"
    return (f"[{who.host}]" if ":" in who.host else who.host) + suffix


def edge(
    ends: tuple[End | None, End | None],
    sender: int,
    actors: tuple[Actor | None, Actor | None],
    names: Names,
) -> str:
    """Return the name of the flow that end ``sender`` sends, given the actors at (sender, receiver)."""
    texts = side(ends, sender, actors[0], names), side(ends, 1 - sender, actors[1], names)
    return BETWEEN.join(texts)


def ends_of(flows: Flows, flow: int) -> tuple[End | None, End | None]:
    """Return both ends of the connection of a flow, by end number."""
    first = flow & ~1
    return flows.ends[first], flows.ends[first + 1]


def actor_of(flows: Flows, number: int, end: int) -> Actor | None:
    """Return an actor by number; for -1 the last one heard at an end, else who made the socket there."""
    if number == UNHEARD:
        number = int(flows.last_actor[end])
    if number != UNHEARD:
        return flows.actors[number]
    known = flows.ends[end]
    return Actor(known.host, known.opener) if known is not None and known.opener is not None else None
