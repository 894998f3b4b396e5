# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from consumer.engine import EngineSettings, EventEngine
from schemas.batch import Process
from schemas.event import Flag, Kind
from tests.consumer.engine.scene import OFFSET_NS, START_NS, Host, Topic, arrival, ends, receive, send
from tests.consumer.engine.traffic import SETTINGS, Rows, collect, exchange, run

Events = list[dict[str, int]]


def one_way(sends: Events, reads: Events, arrivals: Events, **beta: object) -> Rows:
    pair, topic = ends(), Topic()
    topic.put(0, Host("alpha").batch([pair[0]], {Kind.SEND: sends}))
    other = Host("beta", **beta)  # type: ignore[arg-type]
    topic.put(1, other.batch([pair[1]], {Kind.RECEIVE: reads, Kind.ARRIVAL: arrivals}))
    return run(topic.records)


def picked(rows: Rows, *names: str, kind: str = "match") -> list[tuple[object, ...]]:
    return [tuple(row[name] for name in names) for row in rows.get(kind, [])]


def parts(rows: Rows) -> dict[object, tuple[object, ...]]:
    names = ("clock", "n", "seen", "negative", "sum_ns", "min_ns", "max_ns")
    return {row["measure"]: tuple(row[name] for name in names) for row in rows["histogram"]}


def test_a_message_has_four_figures_that_add_up() -> None:
    """Delivery is wire plus receive wait; send block is the sender's own."""
    rows = one_way([send(0, 10, 0, duration_ns=70)], [receive(0, 10, 500)], [arrival(10, 120)])
    names = ("delivery_ns", "wire_ns", "receive_wait_ns", "send_block_ns", "sent_at_ns", "clock")
    assert picked(rows, *names) == [(500, 120, 380, 70, OFFSET_NS + START_NS, "same_host")]
    assert parts(rows) == {
        "delivery": ("same_host", 1, 1, 0, 500, 500, 500),
        "wire": ("same_host", 1, 1, 0, 120, 120, 120),
        "receive-wait": ("one_host", 1, 1, 0, 380, 380, 380),
        "send-block": ("one_host", 1, 1, 0, 70, 70, 70),
    }


def test_coalesced_reads_answer_for_every_message_in_them() -> None:
    """Three messages read at once are three matches with the end of that read."""
    rows = one_way(
        [send(0, 10, 0), send(10, 15, 100), send(15, 40, 200)],
        [receive(0, 40, 900)],
        [arrival(15, 150), arrival(40, 260)],
    )
    assert picked(rows, "begin", "end", "delivery_ns", "wire_ns") == [
        (0, 10, 900, 150),
        (10, 15, 800, 50),
        (15, 40, 700, 60),
    ]


def test_a_message_read_in_parts_is_delivered_with_its_last_byte() -> None:
    """Partial reads are normal: the read of the last byte counts, and no part is left unmatched."""
    rows = one_way(
        [send(0, 30, 0)],
        [receive(0, 10, 300), receive(10, 29, 400), receive(29, 30, 500)],
        [arrival(30, 250)],
    )
    assert picked(rows, "delivery_ns", "receive_wait_ns") == [(500, 250)]
    assert "unmatched" not in rows


def test_pieces_of_a_call_tile_the_stream_and_only_the_last_counts() -> None:
    """Two writers cut into each other: each piece is a row, each call one message."""
    first, last = int(Flag.FIRST_PIECE), int(Flag.LAST_PIECE)
    sends = [
        send(0, 10, 0, flags=first, process=1),
        send(10, 20, 5, flags=first | last, process=2),
        send(20, 30, 0, flags=last, process=1),
    ]
    pair, topic = ends(), Topic()
    writers = (Process(0, "kernel"), Process(1, "a"), Process(2, "b"))
    topic.put(0, Host("alpha", processes=writers).batch([pair[0]], {Kind.SEND: sends}))
    topic.put(
        1,
        Host("beta").batch([pair[1]], {Kind.RECEIVE: [receive(0, 30, 90)], Kind.ARRIVAL: [arrival(30, 60)]}),
    )
    rows = run(topic.records)
    assert picked(rows, "sender_process", "begin", "end", "delivery_ns", "last_piece") == [
        ("a", 0, 10, 90, False),
        ("b", 10, 20, 85, True),
        ("a", 20, 30, 90, True),
    ]
    assert sorted(picked(rows, "edge", "n", kind="histogram"))[::4] == [
        ("a@alpha > app@beta:80", 1),
        ("b@alpha > app@beta:80", 1),
    ]


def test_two_clocks_give_raw_differences_and_no_histogram_of_them() -> None:
    """Between hosts of different boots only what needs one host is bucketed."""
    rows = one_way(
        [send(0, 10, 0)],
        [receive(0, 10, 500)],
        [arrival(10, 120)],
        boot="another",
        offset_ns=OFFSET_NS - 1_000,
    )
    assert picked(rows, "clock", "delivery_ns", "wire_ns", "receive_wait_ns") == [
        ("unsynced", -500, -880, 380)
    ]
    assert set(parts(rows)) == {"receive-wait", "send-block"}


def test_a_step_of_the_wall_clock_does_not_show_on_one_host() -> None:
    """Stamps of one boot are subtracted on the monotonic clock."""
    rows = one_way(
        [send(0, 10, 0)], [receive(0, 10, 500)], [arrival(10, 120)], offset_ns=OFFSET_NS + 3_600 * 10**9
    )
    assert picked(rows, "clock", "delivery_ns") == [("same_host", 500)]


def test_each_match_is_measured_by_its_own_clocks() -> None:
    """In one tick, a pair on one clock is exact beside a pair on two."""
    topic, stepped = Topic(), OFFSET_NS + 10**12
    topic.put(
        0, Host("alpha").batch([ends(1)[0], ends(2)[0]], {Kind.SEND: [send(0, 9, 0), send(0, 9, 0, flow=1)]})
    )
    topic.put(0, Host("beta", offset_ns=stepped).batch([ends(1)[1]], {Kind.RECEIVE: [receive(0, 9, 500)]}))
    topic.put(
        0,
        Host("gamma", boot="g", offset_ns=stepped).batch([ends(2)[1]], {Kind.RECEIVE: [receive(0, 9, 500)]}),
    )
    rows = run(topic.records)
    assert picked(rows, "clock", "delivery_ns") == [("same_host", 500), ("unsynced", 10**12 + 500)]


def test_agents_without_a_boot_id_do_not_share_a_clock() -> None:
    """An empty boot id says nothing."""
    pair, topic = ends(), Topic()
    topic.put(0, Host("alpha", boot="").batch([pair[0]], {Kind.SEND: [send(0, 10, 0)]}))
    topic.put(1, Host("beta", boot="").batch([pair[1]], {Kind.RECEIVE: [receive(0, 10, 500)]}))
    assert picked(run(topic.records), "clock") == [("unsynced",)]


def test_without_an_arrival_the_match_has_no_wire() -> None:
    """Nulls in the row; the histograms count the message as seen and not as measured."""
    rows = one_way([send(0, 10, 0)], [receive(0, 10, 500)], [])
    assert picked(rows, "delivery_ns", "wire_ns", "receive_wait_ns") == [(500, None, None)]
    assert parts(rows)["wire"] == ("same_host", 0, 1, 0, 0, None, None)
    assert parts(rows)["receive-wait"] == ("one_host", 0, 1, 0, 0, None, None)


def test_a_negative_delivery_is_counted_apart() -> None:
    """A read stamped before its send is kept: it is the clock's alarm."""
    rows = one_way([send(0, 10, 600)], [receive(0, 10, 500)], [])
    assert parts(rows)["delivery"] == ("same_host", 1, 1, 1, -100, -100, -100)


def test_positions_that_may_be_one_off_give_rows_and_no_figures() -> None:
    """An end that does not know who opened is matched, marked, and kept out of what needs both ends."""
    flags = int(Flag.NO_ROLE | Flag.FIRST_PIECE | Flag.LAST_PIECE)
    rows = one_way([send(0, 10, 0, flags=flags)], [receive(0, 10, 500)], [arrival(10, 20)])
    assert picked(rows, "flags") == [(flags,)]
    assert [value[1:3] for value in parts(rows).values()] == [(0, 1), (0, 1), (0, 1), (1, 1)]


def test_marks_of_all_three_events_are_on_the_row() -> None:
    """Who reads a row sees what is doubtful about any of its stamps."""
    rows = one_way(
        [send(0, 10, 0, flags=int(Flag.FAST_OPEN | Flag.LAST_PIECE))],
        [receive(0, 10, 500, flags=int(Flag.SHARED_READ))],
        [arrival(10, 20, flags=int(Flag.BACKLOG))],
    )
    assert picked(rows, "flags") == [
        (int(Flag.FAST_OPEN | Flag.LAST_PIECE | Flag.SHARED_READ | Flag.BACKLOG),)
    ]


def test_the_pieces_of_a_read_make_no_message() -> None:
    """Whether a send is its call's last piece is said by the send alone."""
    both = int(Flag.FIRST_PIECE | Flag.LAST_PIECE)
    first = int(Flag.FIRST_PIECE)
    rows = one_way([send(0, 10, 0, flags=first)], [receive(0, 10, 500, flags=both)], [arrival(10, 20)])
    assert picked(rows, "last_piece", "flags") == [(False, first)]
    assert "histogram" not in rows


def test_empty_ranges_are_no_messages() -> None:
    """A send or read of no bytes is stored and has nothing to match."""
    rows = one_way([send(0, 0, 0), send(0, 10, 1)], [receive(10, 10, 5), receive(0, 10, 9)], [])
    assert picked(rows, "begin", "end") == [(0, 10)]
    assert sum(events for (events,) in picked(rows, "events", kind="ledger")) == 4


def test_late_halves_meet_within_the_horizon() -> None:
    """A send that comes three ticks after its read is matched as if it had been in time."""
    alpha, beta, pair, topic = Host("alpha"), Host("beta"), ends(), Topic()
    topic.put(
        0, beta.batch([pair[1]], {Kind.RECEIVE: [receive(0, 10, 500)], Kind.ARRIVAL: [arrival(10, 120)]})
    )
    topic.put(3_500, alpha.batch([pair[0]], {Kind.SEND: [send(0, 10, 0)]}))
    topic.put(9_000, alpha.batch([pair[0]], {Kind.SEND: [send(10, 20, 0)]}))
    rows = run(topic.records)
    assert picked(rows, "delivery_ns", "wire_ns") == [(500, 120)]
    assert "unmatched" not in rows


def test_what_finds_no_other_end_is_given_back_at_the_horizon() -> None:
    """Reason and side are told; with no agent at the other end it says so."""
    alpha, beta, topic = Host("alpha"), Host("beta"), Topic()
    topic.put(0, alpha.batch([ends(1)[0]], {Kind.SEND: [send(0, 10, 0)]}))
    topic.put(0, beta.batch([ends(2)[1]], {Kind.RECEIVE: [receive(5, 8, 7)]}))
    topic.put(0, beta.batch([ends(3)[1]], {Kind.RECEIVE: [receive(0, 8, 7)]}))
    topic.put(0, alpha.batch([ends(3)[0]], {Kind.SEND: [send(8, 9, 7)]}))
    topic.put(2_000, alpha.batch([ends(4)[0]], {}))
    topic.put(4_500, alpha.batch([ends(4)[0]], {}))
    rows = run(topic.records)
    assert sorted(picked(rows, "connection", "side", "host", "begin", "end", "reason", kind="unmatched")) == [
        (1, "send", "alpha", 0, 10, "no_peer_agent"),
        (2, "receive", "beta", 5, 8, "no_peer_agent"),
        (3, "receive", "beta", 0, 8, "unknown"),
        (3, "send", "alpha", 8, 9, "unknown"),
    ]
    assert parts(rows)["send-block"][1:3] == (1, 1)


@pytest.mark.parametrize("loss", [0.0, 0.02, 0.2])
def test_lost_events_cost_coverage_and_not_precision(loss: float) -> None:
    """With a share p lost at each side, (1 - p)^2 of the messages match, and each with its true figure."""
    random = np.random.default_rng(5)
    size = 20_000
    sends = [send(10 * i, 10 * i + 10, 1_000 * i) for i in range(size)]
    reads = [receive(10 * i, 10 * i + 10, 1_000 * i + 300 + i % 7) for i in range(size)]
    sends = [row for row in sends if random.random() >= loss]
    reads = [row for row in reads if random.random() >= loss]
    rows = one_way(sends, reads, [])
    found = picked(rows, "begin", "delivery_ns")
    assert all(delivery == 300 + (begin // 10) % 7 for begin, delivery in found)  # type: ignore[operator]
    assert abs(len(found) / size - (1 - loss) ** 2) < 0.01


def test_random_traffic_matches_every_message() -> None:
    """Many connections, both ways, split reads: one match for each send, nothing unmatched."""
    topic = Topic()
    batches = exchange(seed=11, connections=7, messages=400)
    for step, (_, value) in enumerate(batches):
        topic.put(17 * step, value)
    engine = EventEngine(0, EngineSettings(tick_ms=500, horizon_ms=4_000))
    rows = collect([engine.apply(topic.records), engine.flush()])
    assert len(rows["match"]) == 400
    assert "unmatched" not in rows
    assert {row["reason"] for row in rows["ledger"]} == {"stored"}
    assert engine.waiting.sends.flow.size == engine.waiting.receives.flow.size == 0


def test_reading_again_what_was_flushed_changes_nothing() -> None:
    """A second flush with nothing new gives no rows."""
    topic = Topic()
    topic.put(0, exchange(seed=1, connections=1, messages=1)[0][1])
    engine = EventEngine(0, SETTINGS)
    engine.apply(topic.records)
    assert engine.flush().rows
    assert engine.flush().rows == {}
