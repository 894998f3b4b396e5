# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.engine import streams
from consumer.engine.sequence import MAX_RANGES, Stream
from schemas.batch import encode
from schemas.event import Kind
from tests.consumer.engine.scene import BASE_MS, Host, Topic, ends, send
from tests.consumer.engine.traffic import Rows, run

REASONS = ("stored", "gap", "squeezed", "earlier")
SIZES = st.lists(st.integers(0, 9), min_size=1, max_size=30)


def ledger(rows: Rows) -> dict[object, int]:
    sums: dict[object, int] = {}
    for row in rows["ledger"]:
        assert row["stage"] == "consumer"
        sums[row["reason"]] = sums.get(row["reason"], 0) + int(str(row["events"]))
    return sums


@given(SIZES, st.data())
def test_every_batch_is_taken_once_and_gaps_are_exact(sizes: list[int], data: st.DataObject) -> None:
    """In any order with repeats: a batch is known once it came, and all events are told at any time."""
    before = [sum(sizes[:i]) for i in range(len(sizes))]
    order = data.draw(st.lists(st.integers(0, len(sizes) - 1), min_size=1, max_size=60))
    whole = data.draw(st.booleans())
    stream, taken, sums = Stream(whole=whole), set(), dict.fromkeys(REASONS, 0)
    for i in order:
        assert stream.knows(i) == (i in taken)
        if i in taken:
            continue
        taken.add(i)
        for reason, events in stream.take(i, before[i], sizes[i]).items():
            sums[reason] += events
        assert sums["stored"] == sum(sizes[j] for j in taken)
        assert sums["earlier"] == (0 if whole else before[min(taken)])
        assert sums["stored"] + sums["gap"] + sums["earlier"] == before[max(taken)] + sizes[max(taken)]
    assert sums["squeezed"] == 0


def test_too_many_holes_are_given_up_from_the_oldest() -> None:
    """What is squeezed out leaves the gap, is counted by itself, and can no longer come."""
    stream, sums = Stream(whole=True), dict.fromkeys(REASONS, 0)
    for sequence in range(0, 2 * (MAX_RANGES + 3), 2):
        for reason, events in stream.take(sequence, 10 * sequence, 10).items():
            sums[reason] += events
    assert len(stream.lows) == MAX_RANGES
    assert sums == {"stored": 670, "gap": 10 * (MAX_RANGES - 1), "squeezed": 30, "earlier": 0}
    assert stream.knows(1)
    assert not stream.knows(7)


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=12), st.data())
def test_lying_numbers_do_no_harm(sequences: list[int], data: st.DataObject) -> None:
    """Counts that contradict each other give some numbers, never an error, and repeats are still known."""
    stream = Stream(whole=data.draw(st.booleans()))
    for sequence in sequences:
        if not stream.knows(sequence):
            stream.take(sequence, data.draw(st.integers(0, 2**63 - 1)), data.draw(st.integers(0, 65_536)))
        assert stream.knows(sequence)


def batches(count: int, epoch: int = 7) -> list[bytes]:
    alpha, pair = Host("alpha", epoch=epoch), ends()
    return [
        encode(alpha.batch([pair[0]], {Kind.SEND: [send(10 * i, 10 * i + 10, i), send(0, 0, i)]}))
        for i in range(count)
    ]


def test_duplicates_are_dropped_and_counted() -> None:
    """A batch that comes twice is stored once."""
    topic = Topic()
    for value in [*batches(3), *batches(3)]:
        topic.put(0, value)
    assert ledger(run(topic.records)) == {"stored": 6, "duplicate": 6}


def test_a_gap_that_is_filled_later_is_given_back() -> None:
    """The rows of a gap add up to what is still missing: the correction is negative."""
    topic, values = Topic(), batches(4)
    for at, i in ((0, 0), (10, 3), (2_000, 1), (9_000, 2)):
        topic.put(at, values[i])
    rows = run(topic.records)
    assert [row["events"] for row in rows["ledger"] if row["reason"] == "gap"] == [4, -2, -2]
    assert ledger(rows) == {"stored": 8, "gap": 0}


def test_streams_are_told_apart_by_host_boot_epoch_and_shard() -> None:
    """A restarted agent numbers anew and repeats nothing."""
    topic = Topic()
    for number, host in enumerate((Host("a"), Host("b"), Host("a", boot="other"), Host("a", epoch=8))):
        topic.put(0, host.batch([ends(number)[0]], {Kind.SEND: [send(0, 10, 0)]}))
    topic.put(0, Host("a").batch([ends(5)[0]], {Kind.SEND: [send(0, 10, 0)]}, shards=2, shard=1))
    topic.put(0, Host("a").batch([ends()[0]], {Kind.SEND: [send(0, 10, 0)]}))
    rows = run(topic.records)
    assert ledger(rows) == {"stored": 5, "duplicate": 1}


def test_what_a_run_lost_before_its_first_batch_is_a_gap_where_it_began_under_our_eyes() -> None:
    """All that it ever sent came after our first record, so what is missing was lost."""
    topic = Topic()
    topic.put(0, Host("beta").batch([], {}))
    topic.put(5_000, batches(3, epoch=(BASE_MS + 1) * 1_000_000)[2])
    assert ledger(run(topic.records)) == {"stored": 2, "gap": 4}


def test_what_a_run_sent_before_our_first_record_is_no_gap() -> None:
    """A new lake on an old topic was never offered it; late batches of it are taken, and holes are gaps."""
    topic, values = Topic(), batches(6)
    for at, i in ((0, 3), (10, 5), (2_000, 4), (4_000, 0), (4_001, 0), (9_000, 1)):
        topic.put(at, values[i])
    rows = run(topic.records)
    told = [(row["reason"], row["events"]) for row in rows["ledger"] if row["reason"] in {"gap", "earlier"}]
    assert told == [("earlier", 6), ("gap", 2), ("gap", -2), ("gap", 4), ("earlier", -6), ("gap", -2)]
    assert ledger(rows) == {"stored": 10, "gap": 2, "earlier": 0, "duplicate": 2}


def test_a_run_that_was_forgotten_is_not_counted_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many runs: who is heard of again has no gap of what was already told."""
    monkeypatch.setattr(streams, "MAX_STREAMS", 1)
    topic, young = Topic(), (BASE_MS + 1) * 1_000_000
    values = batches(4, epoch=young)
    for at, value in ((0, encode(Host("beta").batch([], {}))), (10, values[0]), (20, values[1])):
        topic.put(at, value)
    topic.put(30, Host("beta").batch([], {}))
    topic.put(40, values[3])
    assert ledger(run(topic.records)) == {"stored": 6, "earlier": 6}
