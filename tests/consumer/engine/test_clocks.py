# SPDX-License-Identifier: Apache-2.0
"""Matches of two clocks tell what they can be corrected by; the tightest tell how far these are apart."""

import numpy as np
import pytest

from consumer.engine import EventEngine
from schemas.event import Flag, Kind
from tests.consumer.engine.scene import OFFSET_NS, START_NS, WHOLE, Host, Topic, arrival, ends, receive, send
from tests.consumer.engine.traffic import SETTINGS, Rows, collect

AHEAD = 7_000_000_000
"""How far the second host's clock is ahead."""
BIN = 250_000_000
DAY_NS = 86_400 * 10**9


def run(sends, receives, arrivals=(), boots=("a", "b"), connection=1) -> Rows:
    """Return the rows of one direction of a connection between two hosts."""
    topic, (one, two) = Topic(), ends(connection)
    topic.put(0, Host("one", boot=boots[0]).batch([one], {Kind.SEND: sends}))
    events = {Kind.RECEIVE: receives, Kind.ARRIVAL: list(arrivals)}
    topic.put(0, Host("two", boot=boots[1]).batch([two], events))
    engine = EventEngine(3, SETTINGS)
    return collect([engine.apply(topic.records), engine.flush()])


def flow(delays, every=50_000_000, size=10, arrived=None, flags=WHOLE):
    """Return the sends, reads and arrivals of messages, one each `every` ns, read so late after sending."""
    sends, reads, arrivals = [], [], []
    for number, delay in enumerate(delays):
        at, begin = number * every, number * size
        sends.append(send(begin, begin + size, at, flags=flags))
        reads.append(receive(begin, begin + size, at + AHEAD + delay))
        if arrived is not None:
            arrivals.append(arrival(begin + size, at + AHEAD + arrived[number]))
    return sends, reads, arrivals


def test_a_match_of_two_clocks_tells_boots_and_both_times():
    rows = run(*flow([70_000]))
    (match,) = rows["match"]
    assert (match["sender_boot"], match["receiver_boot"]) == ("a", "b")
    assert match["sent_monotonic_ns"] == START_NS
    assert match["received_monotonic_ns"] == START_NS + AHEAD + 70_000
    assert match["clock"] == "unsynced"


@pytest.mark.parametrize("boots", [("a", "a"), ("", ""), ("a", ""), ("", "b")])
def test_one_clock_or_an_unknown_one_says_nothing(boots):
    rows = run(*flow([70_000]), boots=boots)
    assert "clock" not in rows
    (match,) = rows["match"]
    names = ("sender_boot", "receiver_boot", "sent_monotonic_ns", "received_monotonic_ns")
    assert [match[name] for name in names] == [None] * 4


def test_what_a_spool_brings_at_once_is_told_minute_by_minute():
    """The roll-up finds rows by the time of their first message."""
    rows = run(*flow([70_000] * 40, every=5 * 10**9))["clock"]
    minute = 60 * 10**9
    assert len(rows) > 3
    for row in rows:
        times = [at + OFFSET_NS for at in row["sent_times"]]
        assert row["at_ns"] == times[0]
        assert len({at // minute for at in times}) == 1
    assert len({row["at_ns"] // minute for row in rows}) == len(rows)
    assert sum(len(row["sent_times"]) for row in rows) == 40


def test_of_each_stretch_the_tightest_message_is_kept():
    """By arrival where there is one: the read that is late is not what counts."""
    rng = np.random.default_rng(5)
    reads = rng.integers(50_000, 900_000, 40)
    arrived = reads - rng.integers(1_000, 49_000, 40)
    (row,) = run(*flow(reads.tolist(), arrived=arrived.tolist()))["clock"]
    sent = START_NS + 50_000_000 * np.arange(40)
    expected = [
        min((int(arrived[i]), int(sent[i])) for i in np.flatnonzero(sent // BIN == stretch))
        for stretch in np.unique(sent // BIN)
    ]
    found = zip(row["arrived_times"], row["sent_times"], strict=True)
    assert [(there - here - AHEAD, here) for there, here in found] == expected
    assert len(expected) == 8
    assert row["sent_times"] == sorted(row["sent_times"])
    assert (row["sender_host"], row["sender_boot"]) == ("one", "a")
    assert (row["receiver_host"], row["receiver_boot"]) == ("two", "b")
    assert row["at_ns"] == row["sent_times"][0] + OFFSET_NS


def test_without_an_arrival_the_end_of_the_read_stands_for_it():
    (row,) = run(*flow([80_000, 60_000]))["clock"]
    assert [row["arrived_times"][0] - row["sent_times"][0]] == [AHEAD + 60_000]


@pytest.mark.parametrize("doubt", [Flag.NO_ROLE, Flag.UNCERTAIN])
@pytest.mark.parametrize("side", ["send", "read", "arrival"])
def test_what_may_have_another_messages_stamp_is_left_out(side, doubt):
    """The second message of two in one stretch is tighter, and doubtful."""
    events = flow([80_000, 20_000], arrived=[70_000, 10_000])
    one = events[("send", "read", "arrival").index(side)][1]
    one["flags"] = one.get("flags", 0) | int(doubt)
    (row,) = run(*events)["clock"]
    assert row["arrived_times"][0] - row["sent_times"][0] == AHEAD + 70_000
    (row,) = run(*flow([80_000, 20_000], arrived=[70_000, 10_000]))["clock"]
    assert row["arrived_times"][0] - row["sent_times"][0] == AHEAD + 10_000  # the control


def test_each_way_and_each_pair_of_boots_has_a_row_of_its_own():
    topic, (one, two) = Topic(), ends()
    hosts = [Host("one", boot="a"), Host("two", boot="b"), Host("three", boot="c")]
    three, four = ends(2)
    there, reads, arrivals = flow([70_000], arrived=[60_000])
    back = [send(0, 5, AHEAD + 90_000)]
    topic.put(0, hosts[0].batch([one], {Kind.SEND: there, Kind.RECEIVE: [receive(0, 5, 150_000)]}))
    topic.put(0, hosts[1].batch([two], {Kind.SEND: back, Kind.RECEIVE: reads, Kind.ARRIVAL: arrivals}))
    topic.put(0, hosts[0].batch([three], {Kind.SEND: [send(0, 9, 0)]}))
    topic.put(0, hosts[2].batch([four], {Kind.RECEIVE: [receive(0, 9, DAY_NS)]}))
    engine = EventEngine(3, SETTINGS)
    rows = collect([engine.apply(topic.records), engine.flush()])["clock"]
    found = {(row["sender_boot"], row["receiver_boot"]): row["arrived_times"] for row in rows}
    assert found == {
        ("a", "b"): [START_NS + AHEAD + 60_000],
        ("b", "a"): [START_NS + 150_000],
        ("a", "c"): [START_NS + DAY_NS],
    }
