# SPDX-License-Identifier: Apache-2.0
"""Two guests talk under one agent each; their clocks are stepped and slewed, their network is delayed.

What both programs, both agents and the looks at both clocks said is kept; all records are in one lake.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, TypeVar

from common.units import MINUTE_NS
from support import inside, inside_traffic
from support.guests import OUTSIDE, Guest, Guests, Place, mac
from support.inside import Look, Said
from support.kafka import KafkaNode
from support.topics import Topics
from support.traffic import Call
from support.whole_way import SHARDS, Names, consume

T = TypeVar("T")
KERNELS = ("6.1", "6.12")
HOSTS = ("one", "two")
APART_SECONDS = 3
STEP_NS = 1_500_000_000
SLEW_PPM = 200.0
NETEM = ("delay", "3ms", "1ms", "loss", "2%")
EXCHANGES = {"calm": 400, "stepped": 250, "slewed": 400, "delayed": 250}
"""Of each part of the story; the second host's clock is slewed from the third on, for good."""
ATTEMPTED, DELIVERED, SKIPPED = "kernel/attempted", "kafka/delivered", "kernel/missed"
_ROUNDS = 100
_LOOK_SECONDS = 0.5


class Story(NamedTuple):
    """What happened."""

    said: list[Said]
    looks: list[Look]
    """At the second host's clock by the first."""
    parts: dict[str, tuple[int, int]]
    """CLOCK_MONOTONIC of the first host around each part."""
    calls: list[list[Call]]
    """Of the client on the first host and of the server on the second."""
    totals: list[dict[str, int]]
    lake: Path
    names: Names

    @property
    def lost(self) -> int:
        """Events that the agents count as lost, and runs of hooks that the kernels skipped, of any socket."""
        return sum(sum(one.values()) - one[ATTEMPTED] - one[DELIVERED] for one in self.totals)


class _Open(KafkaNode):
    """A broker that guests reach too: it tells them the address by which they see this host."""

    def _properties(self) -> dict[str, str]:
        given = super()._properties()
        own = self.address("GUESTS")
        return given | {"advertised.listeners": given["advertised.listeners"].replace(own, self.inside)}

    @property
    def inside(self) -> str:
        """Its address in a guest."""
        return self.address("GUESTS").replace("127.0.0.1", OUTSIDE)


class _Teller:
    """Has the story happen."""

    def __init__(self, guests: tuple[Guest, Guest]) -> None:
        self._guests = guests
        self._a, self._b = guests
        self._round = 1
        self.looks: list[Look] = []
        self.parts: dict[str, tuple[int, int]] = {}

    def tell(self) -> list[list[Call]]:
        """Return the calls of both programs."""
        server = inside.address(1), self._b.traffic.run(inside_traffic.listen)
        answered = self._b.traffic.start(inside_traffic.answer)
        for part, exchanges in EXCHANGES.items():
            self._look()
            self._change(part)
            self._look()
            begin = self.looks[-1].after
            asked = self._a.traffic.start(inside_traffic.ask, *server, exchanges)
            while self._a.traffic.busy:
                self._look()
                time.sleep(_LOOK_SECONDS)
            asked()
            self._look()
            self.parts[part] = begin, self.looks[-1].before
        client = self._a.traffic.run(inside_traffic.hang_up, *server)
        self._look()
        return [client, answered()]

    def _change(self, part: str) -> None:
        if part == "stepped":
            self._a.service.run(inside.step, STEP_NS)
        elif part == "slewed":
            self._b.service.run(inside.slew, SLEW_PPM)
        elif part == "delayed":
            self._a.service.run(inside.impair, *NETEM)

    def _look(self) -> None:
        number = self._round
        self._round += _ROUNDS
        looked_at = self._b.service.start(inside.be_looked_at, number, _ROUNDS)
        self.looks.append(self._a.service.run(inside.look, number, _ROUNDS))
        looked_at()


def tell(folder: Path) -> Story:
    """Boot, trace, talk, stop and take all records into a lake below ``folder``; some minutes."""
    now = time.time()
    places = [
        Place(*own, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now + APART_SECONDS * own[2])))
        for own in zip(KERNELS, HOSTS, (0, 1), strict=True)
    ]
    with ExitStack() as stack:
        node = stack.enter_context(_Open(folder / "kafka", listeners={"GUESTS": "PLAINTEXT"}))
        topics = Topics(node.bootstrap)
        names = Names(
            node.bootstrap,
            topics("events", SHARDS),
            topics("control", 2),
            topics("latency"),
            topics("poison"),
        )
        guests = stack.enter_context(Guests(places[0], places[1]))
        said = _both([guest.service.start(inside.join, *_addresses(guest.place)) for guest in guests])
        inner = names._replace(bootstrap=node.inside)
        _both([guest.service.start(inside.start_agent, inner) for guest in guests])
        teller = _Teller(guests)
        calls = teller.tell()
        totals = _both([guest.service.start(inside.stop_agent) for guest in guests])
        _wait_for_the_end_of_the_minute()
        consume(names, folder / "lake")
        return Story(said, teller.looks, teller.parts, calls, totals, folder / "lake", names)


def _wait_for_the_end_of_the_minute() -> None:
    """Sleep until the minute of the last message is over by all clocks, so that it is rolled up."""
    ahead = APART_SECONDS * 10**9 + STEP_NS
    time.sleep((ahead + MINUTE_NS - (time.time_ns() + ahead) % MINUTE_NS) / 1e9)


def _addresses(place: Place) -> tuple[int, str, str]:
    return place.number, mac("out", place.number), mac("pair", place.number)


def _both(begun: list[Callable[[], T]]) -> list[T]:
    return [answer() for answer in begun]
