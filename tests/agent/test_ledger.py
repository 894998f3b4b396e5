# SPDX-License-Identifier: Apache-2.0
"""The agent's books: totals, what is under way, what the heartbeat says."""

import pytest

from agent.control import heartbeat, with_earlier
from agent.delivery.outstanding import Outstanding, Ticket
from agent.ledger import ATTEMPTED, DELIVERED, SAMPLED, Ledger
from agent.pack import Clock, Identity
from schemas import control


def test_attempted_is_delivered_plus_lost_plus_in_flight() -> None:
    """The loss equation holds at every moment."""
    ledger = Ledger()
    ledger.put(*ATTEMPTED, 100)
    ledger.add(*DELIVERED, 60)
    ledger.add("queue", "full", 25)
    ledger.put("kernel", "nested", 5)
    assert (ledger.lost(), ledger.in_flight()) == (30, 10)


def test_what_is_counted_from_0_again_adds_to_what_was_counted() -> None:
    """A capture that starts anew in the same run; what is counted here goes on by itself."""
    ledger = Ledger()
    for _ in range(3):
        ledger.put(*ATTEMPTED, 10)
        ledger.put(*SAMPLED, 4)
        ledger.add(*DELIVERED, 6)
        ledger.carry("kernel", "perf-buffer")
    ledger.put(*ATTEMPTED, 5)
    ledger.put("perf-buffer", "full", 1)
    assert [ledger.total(*key) for key in (ATTEMPTED, SAMPLED, DELIVERED)] == [35, 12, 18]
    assert (ledger.lost(), ledger.in_flight()) == (1, 4)


def test_acknowledged_stops_before_the_first_hole() -> None:
    """A shard's last acknowledged sequence is the one before its oldest open batch."""
    outstanding = Outstanding()
    tickets = [Ticket(3, sequence, 10, 1000 + sequence) for sequence in range(4)]
    for ticket in tickets:
        outstanding.open(ticket)
    assert outstanding.acknowledged() == {}
    outstanding.close(tickets[0])
    outstanding.close(tickets[2])
    assert outstanding.acknowledged() == {3: 0}
    assert outstanding.oldest_ns() == 1001
    outstanding.close(tickets[1])
    outstanding.close(tickets[3])
    assert outstanding.acknowledged() == {3: 3}
    assert outstanding.oldest_ns() is None
    assert len(outstanding) == 0


def test_the_heartbeat_survives_its_encoding_and_says_what_is_open() -> None:
    """What the control topic carries reads back equal, with the age of the oldest open event."""
    ledger, outstanding = Ledger(), Outstanding()
    ledger.add(*DELIVERED, 4)
    outstanding.open(Ticket(0, 0, 5, 900))
    identity = Identity("host-a", "boot", 42, 12)
    beat = heartbeat(identity, 7, Clock(1000, 10**18), ledger, outstanding, agent="1", final=False)
    assert control.decode(control.encode(beat)) == beat
    assert beat.oldest_undelivered_ns == 100
    assert beat.sent_at_ns == 10**18 + 1000


@pytest.mark.parametrize(
    ("earlier_ns", "both_ns", "alone_ns"),
    [(None, 100, 0), (10**18 + 950, 100, 50), (10**18 - 5, 1005, 1005), (10**18 + 10**9, 100, 0)],
)
def test_what_an_earlier_run_left_in_the_spool_is_undelivered_too(
    earlier_ns: int | None, both_ns: int, alone_ns: int
) -> None:
    """The age told is that of the oldest event of either."""
    opened = Outstanding()
    opened.open(Ticket(0, 0, 5, 900))
    identity, clock = Identity("host-a", "boot", 42, 12), Clock(1000, 10**18)
    for outstanding, age_ns in ((opened, both_ns), (Outstanding(), alone_ns)):
        beat = heartbeat(identity, 7, clock, Ledger(), outstanding, agent="1", final=False)
        assert with_earlier(beat, earlier_ns).oldest_undelivered_ns == age_ns
