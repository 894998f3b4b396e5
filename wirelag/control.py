# SPDX-License-Identifier: Apache-2.0
"""``wirelag control``: orders to agents over the control topic, and whether they were carried out.

An order is one record; agents acknowledge it in their heartbeats. Exit 1: not all that run have.
"""

import getpass
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from common.errors import ConfigError, RuntimeFailure
from common.options import duration
from wirelag.options import Config, JsonLines, Set, settings_of

if TYPE_CHECKING:
    from common.kafka import KafkaSettings
    from schemas.order import Action, Order
    from wirelag.agents import Agents

app = App(name="control")
RECENT_SECONDS = 60
"""An agent that was not heard of for so long is not there."""
LISTEN_SECONDS = 5.0
"""Longer than agents are silent (agent.heartbeat)."""
Hosts = Annotated[
    tuple[str, ...],
    Parameter("--host", negative="", help="host name or pattern (*, ?, [abc]); may be repeated"),
]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Kafka:
    """Where Kafka is."""

    bootstrap: Annotated[
        str, Parameter("--bootstrap", show_default=False, help="host:port of a broker, over --config")
    ] = ""
    config: Config = None
    set_: Set = ()


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Words:
    """What an order says beside whom it is for."""

    why: Annotated[
        str, Parameter("--why", show_default=False, help="shown wherever the agent's state is")
    ] = ""
    duration: Annotated[
        str,
        Parameter("--for", show_default=False, help="it counts for so long (2h), else until the next one"),
    ] = ""
    wait: Annotated[str, Parameter("--wait", help="how long to wait for the agents' answers")] = "15s"


NO_KAFKA, NO_WORDS = Kafka(), Words()


@app.command
def stop(*, host: Hosts, words: Words = NO_WORDS, kafka: Kafka = NO_KAFKA) -> None:
    """Have agents detach from the kernel, and wait until they did. They run on and say so.

    For example:

    wirelag control stop --host 'web-*' --why 'load test' --for 2h

    Args:
        host: whom it is for.
        words: what it says.
        kafka: where it is written.
    """
    _give("stop", host, words, kafka)


@app.command
def start(*, host: Hosts, words: Words = NO_WORDS, kafka: Kafka = NO_KAFKA) -> None:
    """Have agents attach again, and wait until they did.

    For example:

    wirelag control start --host 'web-*'

    Args:
        host: whom it is for.
        words: what it says.
        kafka: where it is written.
    """
    _give("start", host, words, kafka)


@app.command(name="list")
def show(
    *,
    json: JsonLines = False,
    kafka: Kafka = NO_KAFKA,
) -> None:
    """Show the orders there are, and the agents that run with what they do.

    Args:
        json: for programs.
        kafka: where to look.
    """
    from wirelag.agents import line, row
    from wirelag.output import write_json

    settings = _settings(kafka)
    orders = _orders(settings)
    agents = _listen(settings, LISTEN_SECONDS)
    if json:
        write_json([*map(_order_row, orders), *map(row, agents.there())], flush=False)
        return
    for one in orders:
        print(f"order {one.number}  {_said(one)}")
    for beat in agents.there():
        print(line(beat))
    if not agents.there():
        raise RuntimeFailure("no agent was heard of in the last minute")


def _give(action: "Action", hosts: tuple[str, ...], words: Words, kafka: Kafka) -> None:
    """Write the order, wait for the answers, print a line an agent."""
    from schemas.order import ORDERS, encode
    from wirelag.agents import line
    from wirelag.kafka import send

    settings, seconds = _settings(kafka), duration("--wait", words.wait)
    topic = settings.control_topic
    _order(action, hosts, words, [])  # so that what cannot be ordered is said before Kafka is asked
    order = _order(action, hosts, words, [one.number for one in _orders(settings)])
    send(settings, topic, ORDERS, order.key(), encode(order))
    print(f"order {order.number}  {_said(order)}")
    agents = _listen(settings, seconds, order)
    meant = agents.there(order)
    for beat in meant:
        print(line(beat, order))
    if not meant:
        raise RuntimeFailure(
            f"no agent that runs has such a name; those that start will find the order in {topic}"
        )
    silent = sum(beat.order < order.number for beat in meant)
    if silent:
        raise RuntimeFailure(f"{silent} of {len(meant)} agents have not answered within {words.wait}")


def _order(action: "Action", hosts: tuple[str, ...], words: Words, numbers: list[int]) -> "Order":
    from schemas import order
    from schemas.errors import RecordError

    now = time.time_ns()
    # Above all that are there: clocks differ, and the last word has to be the last.
    number = max([now, *(one + 1 for one in numbers)])
    until = now + _lasting(words.duration) if words.duration else 0
    by = f"{getpass.getuser()}@{os.uname().nodename}"[:64]
    made = order.Order(order.VERSION, number, hosts, action, now, words.why, by, until)
    try:
        return order.decode(order.encode(made))
    except RecordError as error:
        raise ConfigError(f"--host, --why: {error}") from error


def _orders(settings: "KafkaSettings") -> list["Order"]:
    """Return the last order of each list of patterns, oldest first."""
    from schemas.errors import RecordError
    from schemas.order import ORDERS, decode
    from wirelag.kafka import number_of_partitions, records

    topic = settings.control_topic
    if number_of_partitions(settings, topic) <= ORDERS:
        raise ConfigError(
            f"topic {topic} has one partition: it carries no orders. Add a second one (docs/operating.md), "
            "or use the agents' off-file (brakes.off-file)"
        )
    found: dict[bytes | None, Order] = {}
    for record in records(settings, topic, from_beginning=True, follow=False, only=ORDERS):
        try:
            found[record.key] = decode(record.value or b"")
        except RecordError:
            continue
    return sorted(found.values(), key=lambda one: one.number)


def _listen(settings: "KafkaSettings", seconds: float, order: "Order | None" = None) -> "Agents":
    """Hear the heartbeats of the last minute and those that come, until the time is over or all answered."""
    from schemas.order import HEARTBEATS
    from wirelag.agents import Agents
    from wirelag.kafka import recent

    agents, deadline = Agents(), time.monotonic() + seconds
    since_ms = (time.time_ns() // 10**6) - RECENT_SECONDS * 1000
    for record in recent(settings, settings.control_topic, HEARTBEATS, since_ms):
        if record is not None:
            agents.learn(record.value)
        elif order is None and agents.there():
            break
        if time.monotonic() >= deadline or (order is not None and agents.answered(order)):
            break
    return agents


def _said(order: "Order") -> str:
    from history.span import iso

    until = f", until {iso(order.until_ns)}" if order.until_ns else ""
    why = f": {order.why}" if order.why else ""
    return f"{order.action} {', '.join(order.hosts)}{until}, by {order.by or 'nobody'}{why}"


def _order_row(order: "Order") -> dict[str, Any]:
    import msgspec

    return {"kind": "order", **msgspec.to_builtins(order)}


def _lasting(text: str) -> int:
    found = duration("--for", text).nanoseconds
    if not found:
        raise ConfigError(f"--for: found {text!r}; allowed is more than 0s, or no --for at all")
    return found


def _settings(kafka: Kafka) -> "KafkaSettings":
    return settings_of(kafka.config, kafka.set_, "kafka.bootstrap-servers", kafka.bootstrap).kafka
