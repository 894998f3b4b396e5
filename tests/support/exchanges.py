# SPDX-License-Identifier: Apache-2.0
"""Requests and responses by construction: what both hosts would see of them, and what is true of each.

One clock makes the world; each host's stamps are then put on a clock of its own, and events lost by chance.
"""

import random
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from consumer.latency.turns.tables import ARRIVED, READ, SENT, Moves

CLIENT, SERVER = 0, 1


def dice(seed: int) -> random.Random:
    """Return what decides by chance, the same way each time."""
    return random.Random(seed)  # noqa: S311 - not for secrets


class Event(NamedTuple):
    """One move at one end, in the world's time."""

    end: int
    kind: int
    begin: int
    stop: int
    time: int
    until: int


class Truth(NamedTuple):
    """One request: its name, and what its two turns and the way between them took, ns."""

    connection: int
    request_end: int
    response_begin: int
    think: int
    network: int
    pipelined: bool
    """Sent before the first byte of the response to the request before it was read."""


class Style(NamedTuple):
    """How the two programs and the network behave; times in ns, functions draw one."""

    think: Callable[[random.Random], int] = lambda chance: 50_000 + int(chance.expovariate(1 / 400_000))
    delay: Callable[[random.Random], int] = lambda chance: 20_000 + int(chance.expovariate(1 / 30_000))
    request_parts: int = 1
    """Send calls of a request, some µs apart; its parts take about as long on the way."""
    response_parts: int = 1
    pipelined: float = 0.0
    """The share of requests sent while the one before is not answered."""
    eager: bool = True
    """The server reads what comes while it works on another request."""
    greeting: int = 0
    """Bytes that the server says first."""


class _Stream:
    """One direction: what was written arrives in order, and is read in parts that suit the reader."""

    def __init__(self, sender: int, reader: int, chance: random.Random, style: Style) -> None:
        self.sender, self.reader, self.chance, self.style = sender, reader, chance, style
        self.sent = self.read = 0
        self.clear = 0
        """When the last byte arrived."""
        self.read_at = 0
        self.events: list[Event] = []

    def write(self, at: int, parts: int) -> tuple[int, int, list[tuple[int, int]]]:
        """Write one message; return when its first and last call began, and its arrivals (position, time)."""
        first, came = at, []
        way = self.style.delay(self.chance)
        for part in range(parts):
            size = self.chance.randrange(1, 3000)
            spent = self.chance.randrange(1_000, 8_000)
            self.events.append(Event(self.sender, SENT, self.sent, self.sent + size, at, at + spent))
            self.sent += size
            self.clear = max(self.clear + 1, at + way + self.chance.randrange(3_000))
            came.append((self.sent, self.clear))
            self.events.append(Event(self.reader, ARRIVED, self.sent, self.sent, self.clear, self.clear))
            if part + 1 < parts:
                at += spent + self.chance.randrange(500, 4_000)
        return first, at, came

    def take(self, came: list[tuple[int, int]], not_before: int) -> tuple[int, int]:
        """Read a message as it comes, coalesced or in parts; return when the first and last read ended."""
        ends: list[int] = []
        while self.read < came[-1][0]:
            due = next(time for stop, time in came if stop > self.read)
            at = max(due, not_before, self.read_at) + self.chance.randrange(2_000, 12_000)
            there = max(stop for stop, time in came if time <= at)
            if there - self.read > 1 and self.chance.random() < 0.2:
                there = self.read + self.chance.randrange(1, there - self.read)
            self.events.append(Event(self.reader, READ, self.read, there, at, at))
            self.read, self.read_at = there, at
            ends.append(at)
        return ends[0], ends[-1]


def talk(
    connection: int, exchanges: int, style: Style, chance: random.Random
) -> tuple[list[Event], list[Truth]]:
    """Return the events of one connection at both ends (2 * connection: the client), and the truth."""
    client, server = 2 * connection + CLIENT, 2 * connection + SERVER
    requests, responses = _Stream(client, server, chance, style), _Stream(server, client, chance, style)
    truths = []
    now = chance.randrange(1_000_000)
    if style.greeting:
        now = responses.take(responses.write(now, 1)[2], 0)[1]
    sent_at = answered = now
    """When the last request was sent, and its answer's first byte was read."""
    written = done = 0
    for number in range(exchanges):
        early = number > 0 and chance.random() < style.pipelined
        begin = int(chance.uniform(sent_at, answered)) if early else done + chance.randrange(20_000, 200_000)
        _, sent_at, came = requests.write(max(begin, sent_at + 5_000), style.request_parts)
        _, got = requests.take(came, 0 if style.eager else written)
        request_end, response_begin = requests.sent, responses.sent
        first, written, back = responses.write(max(got, written) + style.think(chance), style.response_parts)
        answered, done = responses.take(back, 0)
        way = answered - sent_at - (first - got)
        truths.append(Truth(connection, request_end, response_begin, first - got, way, early))
    return requests.events + responses.events, truths


def crossing(connection: int, exchanges: int, chance: random.Random, *, ordered: bool) -> list[Event]:
    """Many requests on their way at once, answered when each is ready: HTTP/2; ``ordered``: as Kafka does."""
    client, server = 2 * connection + CLIENT, 2 * connection + SERVER
    style = Style()
    requests, responses = _Stream(client, server, chance, style), _Stream(server, client, chance, style)
    now = 0
    answers: list[int] = []
    for _ in range(exchanges):
        now += int(chance.expovariate(1 / 300_000))
        _, _, came = requests.write(now, 1)
        _, got = requests.take(came, 0)
        answers.append(max(got, max(answers, default=0) if ordered else 0) + style.think(chance))
    free = 0
    for answer in sorted(answers):
        free = max(free + 5_000, answer)
        responses.take(responses.write(free, 1)[2], 0)
    return requests.events + responses.events


def batches(connection: int, exchanges: int, size: int, chance: random.Random) -> list[Event]:
    """Pipelined Redis: ``size`` commands in a row, then all answers; the server takes one at a time."""
    client, server = 2 * connection + CLIENT, 2 * connection + SERVER
    style = Style()
    requests, responses = _Stream(client, server, chance, style), _Stream(server, client, chance, style)
    now = free = 0
    for _ in range(exchanges):
        commands = []
        for _ in range(size):
            now += chance.randrange(5_000, 9_000)
            commands.append(requests.write(now, 1)[2])
        for came in commands:
            _, got = requests.take(came, free)
            free = got + chance.randrange(1_000, 3_000)
            _, now = responses.take(responses.write(free, 1)[2], 0)
    return requests.events + responses.events


class Clock(NamedTuple):
    """A host's clock against the world's."""

    ahead: int = 0
    per_million: int = 0


def seen(
    events: list[Event],
    clocks: tuple[Clock, Clock],
    lost: float = 0.0,
    seed: int = 0,
    side: int | None = None,
) -> Moves:
    """Return what agents told of events, by host clocks; a share is lost at each end (or of one side)."""
    chance = dice(seed)
    kept = [e for e in events if (side not in (None, e.end % 2)) or chance.random() >= lost]
    rows = np.array(kept, dtype=np.int64).reshape(-1, len(Event._fields))
    end = rows[:, 0].astype(np.int32)
    ahead = np.array([clock.ahead for clock in clocks], dtype=np.int64)[end % 2]
    rate = np.array([clock.per_million for clock in clocks], dtype=np.int64)[end % 2]
    time, until = (rows[:, at] + rows[:, at] * rate // 1_000_000 + ahead for at in (4, 5))
    zero = np.zeros(end.size, dtype=np.int64)
    return Moves(end, rows[:, 1].astype(np.int8), rows[:, 2], rows[:, 3], time, until, zero, end, zero)
