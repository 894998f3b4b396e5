# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from consumer.engine import EventEngine, Record
from schemas.batch import EventBatch, encode
from schemas.event import Kind
from schemas.section import Section
from tests.consumer.engine.scene import BASE_MS, Host, Topic, arrival, ends, receive, send
from tests.consumer.engine.traffic import SETTINGS, collect, exchange, run


def good() -> EventBatch:
    return Host("mallory").batch([ends()[0]], {Kind.SEND: [send(0, 10, 0)]})


def hostile() -> dict[str, bytes]:
    batch = good()
    deep = b"\x91" * 100_000
    forged = Section(5, 1, b"\x01\x05", (b"\x00", b"\x00"), (b"\x00",) * 4, (b"\x08",) * 8)
    return {
        "empty": b"",
        "deep": deep,
        "cut": encode(batch)[:-3],
        "version": encode(replace(batch, version=9)),
        "shard": encode(replace(batch, shards=7, shard=3)),
        "count": encode(replace(batch, events=3)),
        "forged": encode(replace(batch, sends=forged, events=5)),
        "flow": encode(replace(batch, flows=())),
        "large": b"\xc6" + (9 << 20).to_bytes(4, "big") + bytes(9 << 20),
    }


@pytest.mark.parametrize("name", hostile())
def test_a_record_that_cannot_be_read_is_set_aside_and_changes_nothing(name: str) -> None:
    """It comes back with its reason, is counted, and all other rows are those without it."""
    topic, value = Topic(), hostile()[name]
    for step, (_, batch) in enumerate(exchange(seed=2, connections=2, messages=6)):
        topic.put(100 * step, batch)
    bad = Record(77, BASE_MS + 10**9, value)
    engine = EventEngine(0, SETTINGS)
    outputs = [engine.apply([*topic.records[:5], bad, *topic.records[5:]]), engine.flush()]
    (poison,) = outputs[0].poison
    assert (poison.kafka_offset, poison.value) == (77, value)
    assert poison.reason in {"not-msgpack", "version", "limits", "column", "too-large"}
    rows, without = collect(outputs), run(topic.records)
    assert [row["events"] for row in rows["ledger"] if row["reason"] == "poison"] == [1]
    rows["ledger"] = [row for row in rows["ledger"] if row["reason"] != "poison"]
    assert rows == without


@settings(max_examples=60)
@given(st.data())
def test_no_record_stops_the_engine(data: st.DataObject) -> None:
    """Flipped bytes are poison or data, never an exception; the engine goes on and can be saved."""
    engine = EventEngine(0, SETTINGS)
    for step, (_, value) in enumerate(exchange(data.draw(st.integers(0, 9)), 2, 6)):
        bent = bytearray(value)
        for _ in range(data.draw(st.integers(0, 3))):
            bent[data.draw(st.integers(0, len(bent) - 1))] = data.draw(st.integers(0, 255))
        engine.apply([Record(step, BASE_MS + 700 * step, bytes(bent))])
        engine = EventEngine.restore(engine.snapshot(), 0, SETTINGS)
    engine.flush()
    engine.apply([Record(99, BASE_MS + 10**7, encode(Host("last").batch([], {})))])
    engine.flush()
    assert not engine.waiting.sends.flow.size


HUGE = [0, 1, 2**31, 2**61, 2**62 - 1]


@settings(max_examples=60)
@given(st.data())
def test_extreme_numbers_are_rows_or_counts(data: st.DataObject) -> None:
    """Positions, times, offsets and counts at the limits of the contract pass through every column."""
    number, topic = st.sampled_from(HUGE), Topic()
    for way, host in enumerate((Host("alpha"), Host("beta"))):
        begins = data.draw(st.lists(number, min_size=1, max_size=3))
        time, flags = data.draw(number), data.draw(st.integers(0, 65_535))
        length = data.draw(st.sampled_from([1, 9, 2**32 - 1]))
        more = {"time_ns": time, "flags": flags, "length": length}
        sends = [{**send(begin, begin + 1, 0), **more, "duration_ns": 2**48 - 1} for begin in begins]
        reads = [{**receive(begin, begin + 1, 0), **more} for begin in begins]
        arrivals = [{**arrival(begin, 0), "time_ns": time} for begin in begins]
        head = {
            "realtime_offset_ns": data.draw(st.sampled_from([-(2**63) + 1, 0, 2**63 - 1])),
            "cumulative": data.draw(st.sampled_from([0, 2**63 - 1])),
            "sequence": data.draw(st.sampled_from([0, 2**63 - 1])),
            "epoch": 2**63 - 1,
            "age_ns": 2**63 - 1,
        }
        events = {Kind.SEND: sends, Kind.RECEIVE: reads, Kind.ARRIVAL: arrivals}
        topic.put(0, host.batch([ends(2**64 - 1)[way]], events, **head))
    topic.put(data.draw(st.sampled_from([10_000, -BASE_MS, 2**62])), Host("later").batch([], {}))
    engine = EventEngine(0, SETTINGS)
    engine.apply(topic.records)
    engine.flush()
    EventEngine.restore(engine.snapshot(), 0, SETTINGS)
