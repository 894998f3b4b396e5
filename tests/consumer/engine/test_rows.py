# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pyarrow as pa
import pytest

from consumer.engine import ControlEngine, EventEngine, Record
from consumer.engine.arrow import Spread, hour_index
from schemas import control as heartbeats
from schemas import example
from schemas.event import Kind
from schemas.histogram import Histogram, quantile
from schemas.tables import KINDS
from tests.consumer.engine.scene import (
    BASE_MS,
    OFFSET_NS,
    Host,
    Topic,
    arrival,
    close,
    connect,
    ends,
    receive,
    retransmit,
    send,
)
from tests.consumer.engine.traffic import SETTINGS, exchange

HOUR_NS = 3_600 * 10**9
NOW_NS = BASE_MS * 1_000_000


def flushed(topic: Topic) -> dict[str, pa.Table]:
    engine = EventEngine(7, SETTINGS)
    engine.apply(topic.records)
    return engine.flush().rows


NOT_YET = {"clock_solution", "rollup", "exemplar"}
"""Kinds that nothing writes."""


def test_every_kind_has_its_columns_and_the_hour() -> None:
    """Names and types are the lake's, texts perhaps as dictionaries; the partition is on every row."""
    topic = Topic()
    for _, value in exchange(seed=4, connections=2, messages=8):
        topic.put(0, value)
    topic.put(0, Host("alone").batch([ends(9)[0]], {Kind.SEND: [send(0, 9, 0)]}))
    turns = {Kind.CONNECT: [connect(0)], Kind.CLOSE: [close(0)], Kind.RETRANSMIT: [retransmit(0, 9, 0)]}
    sender, receiver = ends(12)
    topic.put(0, Host("one", boot="a").batch([sender], {Kind.SEND: [send(0, 9, 0)]}))
    topic.put(0, Host("two", boot="b").batch([receiver], {Kind.RECEIVE: [receive(0, 9, 5)]}))
    topic.put(0, Host("turns").batch([ends(11)[0]], turns))
    client, server = ends(13)
    asked = {Kind.SEND: [send(0, 9, 0)], Kind.RECEIVE: [receive(0, 5, 7)]}
    asked[Kind.CLOSE] = [close(9, sent_bytes=9, received_bytes=5)]
    topic.put(0, Host("asking", boot="a").batch([client], asked))
    topic.put(0, Host("silent", boot="b").batch([server], {}))
    engine = EventEngine(7, SETTINGS)
    engine.apply(topic.records)
    tables = engine.flush().rows
    topic.put(30_000, Host("later").batch([], {}))
    engine.apply(topic.records[-1:])
    closed = engine.flush().rows
    tables |= {kind: closed[kind] for kind in ("unmatched", "exchange")}
    control = ControlEngine(7, SETTINGS)
    control.apply([Record(0, BASE_MS, heartbeats.encode(example.heartbeat()))])
    told = control.flush().rows
    tables |= {kind: told[kind] for kind in ("agent", "reading")}
    assert set(tables) == set(KINDS) - {"progress"} - NOT_YET
    for kind, table in tables.items():
        assert table.column_names == [*KINDS[kind].names, "hour_index"]
        assert set(table["topic_partition"].to_pylist()) == {7}
        for field in KINDS[kind]:
            found = table.schema.field(field.name).type
            assert (found.value_type if pa.types.is_dictionary(found) else found) == field.type
        table.validate(full=True)


def test_ticks_of_one_clock_and_of_two_join() -> None:
    """In the first tick all messages are within a host, in the second between two."""
    topic = Topic()
    read = {Kind.RECEIVE: [receive(0, 9, 5)], Kind.ARRIVAL: [arrival(9, 4)]}
    one = Host("one", boot="a")
    for flow, events in zip(ends(1), ({Kind.SEND: [send(0, 9, 0)]}, read), strict=True):
        topic.put(0, one.batch([flow], events))
    topic.put(6_000, one.batch([ends(2)[0]], {Kind.SEND: [send(0, 9, 0)]}))
    topic.put(6_000, Host("two", boot="b").batch([ends(2)[1]], read))
    topic.put(12_000, Host("later").batch([], {}))
    whole = EventEngine(7, SETTINGS).apply(topic.records).rows["match"]
    assert whole["sender_boot"].to_pylist() == [None, "a"]
    assert whole["receiver_boot"].to_pylist() == [None, "b"]
    engine = EventEngine(7, SETTINGS)
    ticks = [engine.apply([record]).rows for record in topic.records]
    assert pa.concat_tables([tick["match"] for tick in ticks if "match" in tick]).equals(whole)


@pytest.mark.parametrize(
    ("time_ns", "expected"),
    [
        (NOW_NS, NOW_NS),
        (NOW_NS - 7 * 24 * HOUR_NS, NOW_NS - 7 * 24 * HOUR_NS),
        (NOW_NS - 7 * 24 * HOUR_NS - 1, NOW_NS),
        (NOW_NS + HOUR_NS, NOW_NS + HOUR_NS),
        (NOW_NS + HOUR_NS + 1, NOW_NS),
        (-(2**63), NOW_NS),
        (2**63 - 1, NOW_NS),
    ],
)
def test_an_impossible_time_goes_to_the_brokers_hour(time_ns: int, expected: int) -> None:
    """Event times are believed from a week ago to an hour ahead of the broker's."""
    assert hour_index(np.array([time_ns]), BASE_MS).tolist() == [expected // HOUR_NS]


def test_a_window_starts_by_the_clock_that_measured() -> None:
    """One-way measures go by the sender's clock, receive wait by the receiver's."""
    topic, pair, second = Topic(), ends(), 10**9
    topic.put(0, Host("alpha").batch([pair[0]], {Kind.SEND: [send(0, 9, 0)]}))
    beta = Host("beta", offset_ns=OFFSET_NS + 10 * second)
    topic.put(0, beta.batch([pair[1]], {Kind.RECEIVE: [receive(0, 9, 5)], Kind.ARRIVAL: [arrival(9, 3)]}))
    rows = flushed(topic)["histogram"].to_pylist()
    assert {row["measure"]: row["window_start_ns"] - NOW_NS for row in rows} == {
        "delivery": 0,
        "wire": 0,
        "send-block": 0,
        "receive-wait": 10 * second,
    }


def test_a_histogram_row_is_a_histogram() -> None:
    """Its columns are those of ``schemas.histogram`` and answer quantiles."""
    topic, pair = Topic(), ends()
    sends = [send(i, i + 1, 1_000_000_000 * (i // 50)) for i in range(100)]
    reads = [receive(i, i + 1, 1_000_000_000 * (i // 50) + 1_000 + i) for i in range(100)]
    topic.put(0, Host("alpha").batch([pair[0]], {Kind.SEND: sends}))
    topic.put(0, Host("beta").batch([pair[1]], {Kind.RECEIVE: reads}))
    table = flushed(topic)["histogram"].to_pylist()
    rows = [row for row in table if row["measure"] == "delivery"]
    assert [row["n"] for row in rows] == [50, 50]
    buckets = np.array(rows[1]["buckets"], dtype=np.int32)
    counts = np.array(rows[1]["counts"], dtype=np.int64)
    numbers = [rows[1][name] for name in ("n", "negative", "sum_ns", "min_ns", "max_ns")]
    assert quantile(Histogram(rows[1]["scale"], buckets, counts, *numbers), 0.5) == pytest.approx(
        1_074, rel=0.011
    )


def test_texts_of_rows_come_from_links() -> None:
    """Equal texts share a dictionary entry; None is null."""
    spread = Spread(np.array([0, 1, 2, 2, 0]))
    found = spread.texts(["x", "y", "x"])
    assert found.to_pylist() == ["x", "y", "x", "x", "x"]
    assert len(found.dictionary) == 2
    assert spread.texts(["x", None, "x"]).to_pylist() == ["x", None, "x", "x", "x"]
