# SPDX-License-Identifier: Apache-2.0
from hypothesis import given
from hypothesis import strategies as st

from consumer.latency.intervals import Arrivals, Receives, Sends
from consumer.latency.match import Closed, Now, match, nothing
from tests.consumer.latency.flows import Event, add, expected, found, streams

FLOWS = 8


def at(broker_ms: int, horizon: int = 10**9, *, final: bool = False) -> Now:
    return Now(broker_ms, broker_ms - horizon, final)


def once(events: list[Event]) -> Closed:
    return match(add(nothing(), events), FLOWS, at(0, final=True))[1]


@given(streams())
def test_every_send_of_a_whole_stream_finds_the_read_of_its_last_byte(events: list[Event]) -> None:
    """Whatever the reads and arrivals coalesce or split, the answer is that of looking at every byte."""
    closed = once(events)
    assert found(closed) == expected(events)
    assert closed.sends.flow.size == sum(event.kind is Sends for event in events)


@given(streams(), st.data())
def test_lost_events_cost_answers_and_never_change_a_partner(
    events: list[Event], data: st.DataObject
) -> None:
    """With any events lost, matches are those of looking at every byte that is left."""
    kept = [event for event in events if data.draw(st.booleans())]
    closed = once(kept)
    assert found(closed) == expected(kept)
    pairs = {(flow, begin, end, read) for flow, begin, end, read, _ in found(closed)}
    assert pairs <= {(flow, begin, end, read) for flow, begin, end, read, _ in expected(events)}


@given(streams(), st.data())
def test_events_may_come_in_any_order_over_ticks(events: list[Event], data: st.DataObject) -> None:
    """Sends and reads that come in other ticks than their partners meet all the same, each exactly once."""
    waiting, pairs = nothing(), []
    ticks = data.draw(st.lists(st.integers(0, 4), min_size=len(events), max_size=len(events)))
    for tick in range(5):
        now = [event for event, of in zip(events, ticks, strict=True) if of == tick]
        waiting, closed = match(add(waiting, now), FLOWS, at(tick, final=data.draw(st.booleans())))
        pairs += [row[:4] for row in found(closed)]
    waiting, closed = match(waiting, FLOWS, at(9, final=True))
    pairs += [row[:4] for row in found(closed)]
    assert sorted(pairs) == sorted(row[:4] for row in expected(events))
    assert waiting.sends.flow.size == waiting.receives.flow.size == 0


@given(streams(), st.data())
def test_a_late_send_still_finds_its_arrival(events: list[Event], data: st.DataObject) -> None:
    """An arrival is only let go when no send that can still come would ask for it."""
    waiting, rows = nothing(), set()
    late = {i for i, event in enumerate(events) if event.kind is not Arrivals and data.draw(st.booleans())}
    for tick, chosen in enumerate((set(range(len(events))) - late, late)):
        waiting, closed = match(add(waiting, [events[i] for i in sorted(chosen)]), FLOWS, at(tick))
        rows |= found(closed)
    waiting, closed = match(waiting, FLOWS, at(9, final=True))
    assert rows | found(closed) == expected(events)


@given(streams())
def test_a_matched_stream_leaves_one_island_and_one_arrival_a_flow(events: list[Event]) -> None:
    """What waits after everything matched does not grow with the stream."""
    waiting, _ = match(add(nothing(), events), FLOWS, at(0, final=True))
    flows = len({event.flow for event in events})
    assert waiting.islands.flow.size == flows
    assert waiting.arrivals.flow.size <= flows


@given(streams(), st.data())
def test_unmatched_bytes_are_what_no_match_covers(events: list[Event], data: st.DataObject) -> None:
    """At the horizon the open bytes of every read are given back exactly, those matched never."""
    kept = [event for event in events if event.kind is not Sends or data.draw(st.booleans())]
    waiting, first = match(add(nothing(), kept), FLOWS, at(0, final=True))
    waiting, last = match(waiting, FLOWS, at(100, horizon=10))
    covered = {(e.flow, x) for e in kept if e.kind is Sends for x in range(e.begin, e.end)}
    read = {(e.flow, x) for e in kept if e.kind is Receives for x in range(e.begin, e.end)}
    holes = zip(
        last.holes.receives.flow.tolist(), last.holes.begin.tolist(), last.holes.end.tolist(), strict=True
    )
    assert {(flow, x) for flow, begin, end in holes for x in range(begin, end)} == read - covered
    assert first.expired.flow.size == 0
    assert waiting.receives.flow.size == waiting.arrivals.flow.size == 0


def test_a_pair_waits_for_its_arrival_until_the_horizon() -> None:
    """A send and its read without an arrival stay open, then close with no arrival time."""
    events = [Event(Sends, 0, 0, 10, 1), Event(Receives, 0, 0, 10, 9)]
    waiting, closed = match(add(nothing(), events, born=0), FLOWS, at(50, horizon=100))
    assert closed.sends.flow.size == 0
    _, closed = match(waiting, FLOWS, at(100, horizon=100))
    assert found(closed) == {(0, 0, 10, 9, -1)}


def test_a_pair_closes_at_the_horizon_of_its_older_half() -> None:
    """When the send is old enough to expire, the pair is given as a match, not the send as unmatched."""
    for older, younger in ((Sends, Receives), (Receives, Sends)):
        waiting, _ = match(add(nothing(), [Event(older, 0, 0, 10, 1)], born=0), FLOWS, at(50, horizon=100))
        waiting = add(waiting, [Event(younger, 0, 0, 10, 1)], born=60)
        waiting, closed = match(waiting, FLOWS, at(60, horizon=100))
        assert closed.sends.flow.size == 0
        waiting, closed = match(waiting, FLOWS, at(100, horizon=100))
        assert found(closed) == {(0, 0, 10, 1, -1)}
        assert closed.expired.flow.size == closed.holes.begin.size == 0


def test_an_arrival_at_the_instant_of_the_read_is_its_own() -> None:
    """Clocks are not that fine: equal stamps are a receive wait of zero."""
    events = [Event(Sends, 0, 0, 10, 1), Event(Receives, 0, 0, 10, 9), Event(Arrivals, 0, 0, 10, 9)]
    assert found(once(events)) == {(0, 0, 10, 9, 9)}


def test_a_pair_takes_an_arrival_that_comes_later() -> None:
    """The arrival's record may come after those of the send and the read."""
    events = [Event(Sends, 0, 0, 10, 1), Event(Receives, 0, 0, 10, 9)]
    waiting, _ = match(add(nothing(), events), FLOWS, at(50))
    _, closed = match(add(waiting, [Event(Arrivals, 0, 0, 10, 5)]), FLOWS, at(60))
    assert found(closed) == {(0, 0, 10, 9, 5)}


def test_an_arrival_after_the_read_is_that_of_other_bytes() -> None:
    """When a message's own arrival was lost, the next message's is not taken for it."""
    events = [Event(Sends, 0, 0, 10, 1), Event(Receives, 0, 0, 10, 9), Event(Arrivals, 0, 0, 20, 30)]
    assert found(once(events)) == {(0, 0, 10, 9, -1)}


def test_an_earlier_stamp_of_more_bytes_wins() -> None:
    """Arrivals that go back in time do not make a message arrive later than all bytes below a later one."""
    events = [
        Event(Sends, 0, 0, 10, 1),
        Event(Receives, 0, 0, 10, 9),
        Event(Arrivals, 0, 0, 10, 8),
        Event(Arrivals, 0, 0, 20, 5),
    ]
    assert found(once(events)) == {(0, 0, 10, 9, 5)}


def test_a_send_across_reads_that_come_late_covers_them() -> None:
    """The first part of a send's bytes was read by another call, which is not left unmatched."""
    waiting, closed = match(
        add(nothing(), [Event(Sends, 0, 0, 10, 1), Event(Receives, 0, 5, 10, 9)]), FLOWS, at(0, final=True)
    )
    assert found(closed) == {(0, 0, 10, 9, -1)}
    waiting, _ = match(add(waiting, [Event(Receives, 0, 0, 5, 8)]), FLOWS, at(1))
    assert waiting.receives.flow.size == 0


def test_positions_of_62_bits_in_many_flows_are_matched() -> None:
    """Flows that together need more than 63 bits of positions are ranked, with the same answer."""
    events = []
    for flow in range(6):
        for begin, end in ((0, 10), (2**62 - 20, 2**62 - 5)):
            events += [Event(Sends, flow, begin, end, 1), Event(Receives, flow, begin, end, 9)]
    closed = once(events)
    assert found(closed) == expected(events)
    assert closed.sends.flow.size == 12


def test_old_islands_below_the_top_are_forgotten() -> None:
    """A hole that nobody fills does not keep the bytes below it in the state for ever."""
    events = [Event(kind, 0, begin, begin + 10, 5) for begin in (0, 20) for kind in (Sends, Receives)]
    waiting, _ = match(add(nothing(), events), FLOWS, at(0, final=True))
    assert waiting.islands.begin.tolist() == [0, 20]
    waiting, _ = match(waiting, FLOWS, at(200, horizon=100))
    assert waiting.islands.begin.tolist() == [20]
