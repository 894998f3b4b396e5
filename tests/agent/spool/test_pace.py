# SPDX-License-Identifier: Apache-2.0
"""When a spool is emptied, and how fast."""

from agent.delivery.pace import LONGEST_SECONDS, Pace


def middle(low, high):
    return (low + high) / 2


def sent(pace, seconds, size=100, came=0):
    """Return the bytes that may go within some seconds, looked at ten times a second."""
    total = 0
    for tick in range(round(seconds * 10)):
        pace.came(came // 10)
        while pace.may_go(1000 + tick / 10):
            pace.went(size)
            total += size
    return total


def test_attempts_come_later_and_later_until_one_arrives():
    pace = Pace(1000, 10.0, middle)
    waits, now = [], 0.0
    for _ in range(9):
        pace.failed(now)
        waits.append(next(step / 100 for step in range(10_000) if pace.is_open(now + step / 100)))
    assert waits[:4] == [0.5, 1, 2, 4]
    assert waits[-1] == LONGEST_SECONDS
    assert pace.probing
    pace.arrived(now)
    assert not pace.probing
    pace.failed(now)
    assert pace.is_open(now + 0.5)


def test_after_the_first_arrival_the_rest_waits_for_its_turn_in_the_fleet():
    """Hosts whose dice differ begin at different moments within the spread."""
    begins = set()
    for share in (0.0, 0.3, 0.99):
        pace = Pace(1000, 10.0, lambda low, high, share=share: low + share * (high - low))
        pace.failed(0)
        pace.arrived(100.0)
        begins.add(next(step / 10 for step in range(1000) if pace.is_open(100 + step / 10)))
    assert len(begins) == 3
    assert max(begins) <= 10


def test_the_rate_is_bounded_and_above_what_comes_in():
    pace = Pace(1000, 10.0, middle)
    pace.failed(900.0)
    pace.came(10**9)
    pace.arrived(900.0)
    quiet = sent(pace, 10)
    assert 10_000 <= quiet <= 12_100, "ten seconds, and what was saved up"
    busy = Pace(1000, 10.0, middle)
    busy.arrived(900.0)
    assert 10_000 + 50_000 <= sent(busy, 10, came=5000) <= 12_100 + 50_000
