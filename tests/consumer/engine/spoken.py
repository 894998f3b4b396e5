# SPDX-License-Identifier: Apache-2.0
"""Exchanges that are known by construction (support.exchanges) as the records that two agents would send."""

import random
from collections.abc import Callable
from itertools import groupby
from typing import Any

from consumer.engine import EngineSettings, Record
from consumer.latency.turns.tables import ARRIVED, READ
from schemas.batch import encode
from schemas.event import Kind
from support.exchanges import Clock, Event, Style, Truth, dice, talk
from support.turn_sums import Sum, added
from tests.consumer.engine.scene import BASE_MS, OFFSET_NS, Host, arrival, close, ends, receive, send
from tests.consumer.engine.traffic import run

SETTINGS = EngineSettings(tick_ms=100, horizon_ms=4_000, window_ns=60_000_000_000)
SAME = (Clock(), Clock())
"""Both on the world's clock, so that values are those of the truth to the nanosecond."""
EVEN = Style(think=lambda chance: chance.randrange(300_000, 500_000))
CONNECTIONS, EXCHANGES = 4, 150
CLOCKS = (Clock(0, 20), Clock(10**13, -20))
NAMES = ("alpha", "beta")
Kept = Callable[[Event], bool]


def hosts(clocks: tuple[Clock, Clock] = CLOCKS, boots: tuple[str, str] = ("one", "other")) -> list[Host]:
    """The client's host and the server's; the clock that is ahead has an offset that is as much less."""
    pairs = zip(NAMES, boots, clocks, strict=True)
    return [Host(name, boot=boot, offset_ns=OFFSET_NS - clock.ahead) for name, boot, clock in pairs]


def records(
    events: list[Event],
    *,
    size: int = 500,
    kept: Kept = lambda _: True,
    clocks: tuple[Clock, Clock] = CLOCKS,
    closed: bool = False,
    flow: dict[str, Any] | None = None,
    head: dict[str, Any] | None = None,
    sides: tuple[int, ...] = (0, 1),
) -> list[Record]:
    """Batches of so many events of each host, in the order in which calls ended, by the world's time."""
    found: list[tuple[int, bytes]] = []
    for side, host in enumerate(hosts(clocks)):
        mine = sorted((e for e in events if e.end % 2 == side and kept(e)), key=lambda e: e.until)
        if side not in sides:
            continue
        parts = [mine[at : at + size] for at in range(0, len(mine), size)]
        found += [
            (part[-1].until, _batch(host, part, clocks[side], flow or {}, head or {})) for part in parts
        ]
        if closed:
            found.append((mine[-1].until + 1, _closes(host, events, side, clocks[side], flow or {})))
    found.sort(key=lambda one: one[0])
    return [Record(number, BASE_MS + at // 1_000_000, value) for number, (at, value) in enumerate(found)]


def shuffled(told: list[Record], seed: int) -> list[Record]:
    """The same batches, those of one host in their order and the hosts' in any."""
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    queues = [[one for one in told if name.encode() in one.value[:40]] for name in NAMES]
    found: list[Record] = []
    while any(queues):
        queue = chance.choice([queue for queue in queues if queue])
        one = queue.pop(0)
        found.append(
            Record(len(found), max(one.timestamp_ms, found[-1].timestamp_ms if found else 0), one.value)
        )
    return found


def _batch(host: Host, part: list[Event], clock: Clock, flow: dict[str, Any], head: dict[str, Any]) -> bytes:
    numbers = sorted({event.end >> 1 for event in part})
    rows: dict[Kind, list[dict[str, int]]] = {}
    side = part[0].end % 2
    ordered = sorted(part, key=lambda event: (event.kind, event.end))
    for kind, group in groupby(ordered, key=lambda event: event.kind):
        told = {ARRIVED: Kind.ARRIVAL, READ: Kind.RECEIVE}.get(kind, Kind.SEND)
        rows[told] = [_row(told, event, clock, numbers.index(event.end >> 1)) for event in group]
    return encode(host.batch([ends(number + 1, **flow)[side] for number in numbers], rows, **head))


def _row(kind: Kind, event: Event, clock: Clock, at: int) -> dict[str, int]:
    begun, ended = (_on(clock, time) for time in (event.time, event.until))
    if kind is Kind.ARRIVAL:
        return arrival(event.stop, begun, flow=at)
    if kind is Kind.RECEIVE:
        return receive(event.begin, event.stop, begun, flow=at)
    return send(event.begin, event.stop, begun, flow=at, duration_ns=ended - begun)


def _on(clock: Clock, time: int) -> int:
    return time + time * clock.per_million // 1_000_000 + clock.ahead


def _closes(host: Host, events: list[Event], side: int, clock: Clock, flow: dict[str, Any]) -> bytes:
    mine = [event for event in events if event.end % 2 == side and event.kind != ARRIVED]
    numbers = sorted({event.end >> 1 for event in mine})
    rows = []
    for at, number in enumerate(numbers):
        own = [event for event in mine if event.end >> 1 == number]
        read = max((event.stop for event in own if event.kind == READ), default=0)
        sent = max((event.stop for event in own if event.kind != READ), default=0)
        # TCP may be done with it before the application read all.
        when = _on(clock, min(event.time for event in own))
        rows.append(close(when, flow=at, sent_bytes=sent, received_bytes=read))
    return encode(host.batch([ends(number + 1, **flow)[side] for number in numbers], {Kind.CLOSE: rows}))


def world(
    style: Style = EVEN, count: int = CONNECTIONS, size: int = EXCHANGES
) -> tuple[list[Event], list[Truth]]:
    chance = dice(7)
    talks = [talk(number, size, style, chance) for number in range(count)]
    return [event for one, _ in talks for event in one], [truth for _, one in talks for truth in one]


def told(given: list[Record], settings: EngineSettings = SETTINGS) -> dict[str, Sum]:
    return added(run(given, settings).get("histogram", []))
