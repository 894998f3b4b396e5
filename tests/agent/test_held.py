# SPDX-License-Identifier: Apache-2.0
"""How old what an agent holds is: a heartbeat that passed over it would tell peers not to wait for it.

An agent that stood still (a suspended machine, a debugger, no processor) finds all that happened meanwhile at
once. It packs it a second later, and speaks before that.
"""

from typing import Any

from agent.control import heartbeat
from agent.decode import KIND_CONNECTION, STREAM_FACTS
from agent.delivery.outstanding import Outstanding
from agent.directory import Directory
from agent.kernel.capture import Cycle
from agent.ledger import Ledger
from agent.loop import Loop, Parts
from agent.pack import Clock, Identity, Packer
from support.events import connection, events, send
from tests.agent.test_loop import SECRET, Sink, record

SECOND = 10**9
BEGUN, PAUSED, RESUMED = 100 * SECOND, 101 * SECOND, 131 * SECOND
IDENTITY = Identity("alpha", "boot", 1, 1)
FACTS = record(connection(1, 2), STREAM_FACTS, KIND_CONNECTION)


class Clocked:
    """A capture whose cycles are given, at times that are given."""

    running = True

    def __init__(self) -> None:
        self.now, self.records, self.asked = BEGUN, list[bytes](), list[int]()

    def cycle(self) -> Cycle:
        records, self.records = self.records, []
        return Cycle(records, self.now)

    def reannounce(self, socks: list[int]) -> None:
        self.asked += socks


class Agent:
    """A loop over such a capture, and what its heartbeats say."""

    def __init__(self) -> None:
        directory, self.ledger, self.sink = Directory(SECRET, lambda _pid: None), Ledger(), Sink()
        self.capture = Clocked()
        packer = Packer(IDENTITY, directory, 4096, SECOND)
        parts: Any = Parts(self.capture, directory, packer, self.sink, self.ledger)  # type: ignore[arg-type]
        self.loop = Loop(parts, self.clock, SECOND // 4)

    def clock(self) -> Clock:
        return Clock(self.capture.now, 0)

    def turn(self, now: int, *records: bytes) -> int:
        """Take records, and return how old the heartbeat calls the oldest event."""
        self.capture.now, self.capture.records = now, list(records)
        self.loop.turn()
        held = self.loop.oldest_ns
        out = Outstanding()
        return heartbeat(
            IDENTITY, 0, self.clock(), self.ledger, out, held_ns=held, final=False
        ).oldest_undelivered_ns


def test_what_waits_for_company_has_its_age() -> None:
    """After a pause of 30 s the events of it are taken, and not packed for a second: nothing is in time."""
    agent = Agent()
    assert agent.turn(BEGUN, FACTS, record(events(send(BEGUN - 50, 0, 10)))) == 50
    assert agent.turn(PAUSED) == 0  # packed
    late = record(events(send(PAUSED + 7, 10, 10), send(RESUMED - 50, 20, 10)))
    assert agent.turn(RESUMED, late) == RESUMED - PAUSED - 7
    assert [one.events for one in agent.sink.batches] == [1]
    assert agent.turn(RESUMED + SECOND) == 0
    assert [one.events for one in agent.sink.batches] == [1, 2]


def test_what_is_not_decoded_yet_is_as_old_as_the_last_look() -> None:
    """Few records wait for a pass; each event in them came after the turn before them."""
    agent = Agent()
    agent.turn(BEGUN, FACTS)
    agent.turn(BEGUN + 10)
    assert agent.turn(BEGUN + 30, record(events(send(BEGUN + 20, 0, 10)))) == 20
    assert agent.turn(BEGUN + 40, record(events(send(BEGUN + 35, 10, 10)))) == 30


def test_what_waits_for_its_connection_has_its_age() -> None:
    """Its facts were lost, and are asked for."""
    agent = Agent()
    assert agent.turn(BEGUN, record(events(send(BEGUN - 90, 0, 10)))) == 90
    assert len(agent.capture.asked) == 1


def test_what_is_not_complete_yet_has_its_age() -> None:
    """A call that ends after the moment up to which all is there waits for the others of that time."""
    agent = Agent()
    assert agent.turn(BEGUN, FACTS, record(events(send(BEGUN - 90, 0, 10, duration_ns=200)))) == 90


def test_nothing_held_is_no_age() -> None:
    agent = Agent()
    assert agent.turn(BEGUN) == 0
    assert agent.loop.oldest_ns is None
