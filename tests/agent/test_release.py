# SPDX-License-Identifier: Apache-2.0
"""The reorder buffer."""

from typing import Any

from agent.release import ReorderBuffer
from support.events import arrival, events, receive, send


def release(buffer: ReorderBuffer, table: Any, until: int) -> Any:
    """Return the events released, in order."""
    out = buffer.release(table, until)
    return out.events[out.order]


def test_events_wait_until_their_moment_is_complete() -> None:
    """An event emitted at or after the moment of completeness is held, and comes out with the next one."""
    buffer = ReorderBuffer()
    first = release(buffer, events(receive(50, 0, 1), receive(150, 1, 1)), 100)
    assert first["time_ns"].tolist() == [50]
    assert buffer.held == 1
    assert release(buffer, events(), 200)["time_ns"].tolist() == [150]
    assert buffer.held == 0


def test_events_of_two_buffers_are_merged_in_order_of_emission() -> None:
    """A send is emitted when its call ends, so it comes after a read that ended during the call."""
    buffer = ReorderBuffer()
    out = release(buffer, events(send(10, 0, 5, duration_ns=100), receive(60, 0, 5), arrival(40, 5)), 1000)
    assert out["time_ns"].tolist() == [40, 60, 10]


def test_a_receive_is_emitted_at_its_time_whatever_its_duration() -> None:
    """The time of a receive is its end already: its duration must not move it."""
    buffer = ReorderBuffer()
    out = release(buffer, events(receive(60, 0, 5, duration_ns=500), arrival(90, 5)), 100)
    assert out["time_ns"].tolist() == [60, 90]


def test_nothing_is_lost_or_doubled_over_many_cycles() -> None:
    """Every event that goes in comes out exactly once."""
    buffer = ReorderBuffer()
    seen: list[int] = []
    for cycle in range(20):
        batch = events(*(receive(cycle * 100 + (k * 37) % 160, k, 1, tid=cycle * 10 + k) for k in range(10)))
        seen += release(buffer, batch, cycle * 100)["tid"].tolist()
    seen += release(buffer, events(), 10_000)["tid"].tolist()
    assert sorted(seen) == list(range(200))
