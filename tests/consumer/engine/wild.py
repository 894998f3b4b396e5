# SPDX-License-Identifier: Apache-2.0
"""Topics in which anything may be missing: kinds, events, bytes, whole batches; with repeats and junk."""

import random

from consumer.engine import EngineSettings, Record
from schemas.batch import Process, encode
from schemas.event import Kind
from tests.consumer.engine.scene import (
    BASE_MS,
    Host,
    arrival,
    close,
    connect,
    ends,
    receive,
    retransmit,
    send,
)

MIXES = ("SRACXT", "SRA", "S", "R", "A", "SA", "SR", "RA", "CX", "XT", "")
"""Kinds of event in a topic."""
JUNK = (b"junk", b"", b"\x93\x01")
TOP = 2**62
LETTERS = dict(zip(Kind, "SRACXT", strict=True))
TURNS = {"C": connect, "X": close}


class Wild:
    """One random topic, the settings of its engine, and after which records it is flushed."""

    def __init__(self, seed: int) -> None:
        self._random = chosen = random.Random(seed)  # noqa: S311 - not for secrets
        self._mix = chosen.choice(MIXES)
        boot = chosen.choice(("boot", "other", ""))
        reader = (Process(0, "kernel"), Process(5, "srv"), Process(6, "aux"))
        self._hosts = (Host("alpha"), Host("beta", boot=boot, processes=reader))
        self._share = chosen.choice((0, 0, 0.5))
        self._second = Host("alpha", epoch=8)
        self._positions: dict[tuple[int, int, str], int] = {}
        self._sent: list[bytes] = []
        self.records = self._topic(chosen.randint(0, 20))
        self.flushed = [chosen.random() < 0.15 for _ in self.records]
        self.settings = EngineSettings(
            tick_ms=chosen.choice((1, 1_000)),
            horizon_ms=chosen.choice((1, 1_000, 4_000, 60_000)),
            window_ns=1_000_000_000,
            max_open_events=chosen.choice((1, 2, 6, 1_000_000)),
            max_tick_events=chosen.choice((1, 5, 1_000_000)),
        )

    def _topic(self, size: int) -> list[Record]:
        first, now, records = self._random.choice((0, 1_000)), BASE_MS, []
        for offset in range(first, first + size):
            now += self._random.choice((0, 0, 1, 300, 1_000, 2_500, -400, 9_000, 70_000))
            records.append(Record(offset, now, self._value()))
        return records

    def _value(self) -> bytes:
        fate = self._random.random()
        if fate < 0.08:
            return self._random.choice(JUNK)
        if fate < 0.18 and self._sent:
            return self._random.choice(self._sent)
        if fate < 0.28:
            self._batch()  # numbered, and never sent
        self._sent.append(self._batch())
        return self._sent[-1]

    def _batch(self) -> bytes:
        at = self._random.randint(0, 1)
        numbers = self._random.sample(range(1, 7), self._random.randint(0, 3))
        events = {}
        for kind, letter in LETTERS.items():
            if numbers and letter in self._mix and self._random.random() < 0.7:
                rows = [self._event(letter, at, numbers) for _ in range(self._random.randint(0, 5))]
                events[kind] = sorted(rows, key=lambda row: (row["flow"], row["process"]))
        flows = [ends(number, **self._known(at))[at] for number in numbers]
        rate = self._random.choice((0, 30_000, 65_536, 65_536, 65_536))
        host = self._second if at == 0 and self._random.random() < self._share else self._hosts[at]
        return encode(host.batch(flows, events, connection_rate=rate, block_rate=rate // 2))

    def _known(self, at: int) -> dict[str, int]:
        opener = self._random.choice(self._hosts[at].processes).pid
        return {"opener": opener, "marks": self._random.choice((0, 0, 4))}

    def _event(self, letter: str, at: int, numbers: list[int]) -> dict[str, int]:
        flow = self._random.randrange(len(numbers))
        if letter in TURNS:
            process, audit = self._random.randrange(len(self._hosts[at].processes)), self._random.randrange(5)
            return TURNS[letter](self._random.randint(0, 50_000_000), flow=flow, process=process, audit=audit)
        stream = (numbers[flow], at if letter in "ST" else 1 - at, letter)
        begin = self._positions.get(stream, 0)
        if self._random.random() < 0.15:
            begin = self._random.choice((begin + 10, max(0, begin - 10), TOP))
        end = begin + self._random.choice((0, 1, 5, 10, 10, 10, 2**40))
        self._positions[stream] = min(end, TOP)
        when, flags = self._random.randint(0, 50_000_000), self._random.randint(0, 63)
        if letter == "A":
            return arrival(end, when, flow=flow, flags=flags)
        process = self._random.randrange(len(self._hosts[at].processes))
        make = {"S": send, "R": receive, "T": retransmit}[letter]
        return make(begin, end, when, flow=flow, flags=flags, process=process)
