# SPDX-License-Identifier: Apache-2.0
"""What a look adds to the rows of a disturbed run makes them those of one that nothing disturbed."""

from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import consumer.late.find
from consumer.engine import EngineSettings, EventEngine, Output, Record
from consumer.engine.records import combine
from consumer.late.correct import corrections
from consumer.late.find import find, keys_of_both, open_rows
from schemas.batch import encode
from schemas.event import Kind
from schemas.tables import KINDS, LATE
from support.stories import of_messages, sums
from tests.consumer.engine.scene import BASE_MS, Host, Topic, arrival, ends, receive, send
from tests.consumer.engine.traffic import SETTINGS, exchange
from tests.consumer.engine.wild import Wild

WINDOW_NS = SETTINGS.window_ns
LONG = 10 * SETTINGS.horizon_ms


def tables(outputs: list[Output], kind: str) -> pa.Table:
    """The rows of a kind as the lake would have them: text as text, no hour."""
    schema = KINDS[kind]
    found = [output.rows[kind].select(schema.names).cast(schema) for output in outputs if kind in output.rows]
    return pa.concat_tables(found) if found else schema.empty_table()


def outputs_of(records: list[Record], settings: EngineSettings = SETTINGS) -> list[Output]:
    """All that an engine says of records, with such between them and after them that all old events close."""
    engine, outputs, other, offset = EventEngine(0, settings), [], Host("other"), 0
    for record, following in zip(records, [*records[1:], None], strict=True):
        outputs.append(engine.apply([record._replace(kafka_offset=offset)]))
        offset += 1
        if following is None or following.timestamp_ms - record.timestamp_ms > settings.horizon_ms:
            at = record.timestamp_ms + LONG // 2
            for later in (at, at + settings.tick_ms):
                outputs.append(engine.apply([Record(offset, later, encode(other.batch([], {})))]))
                offset += 1
    return outputs


def looked_at(unmatched: pa.Table, tick: int = -1) -> dict[str, pa.Table]:
    """What a look at these rows adds."""
    found = []
    for lot in keys_of_both(unmatched):
        rows = unmatched.filter(pa.compute.is_in(unmatched["connection"], lot))
        found.append(corrections(find(open_rows(rows), ()), tick, BASE_MS, WINDOW_NS))
    return {kind: table.select(KINDS[kind].names) for kind, table in combine(found).items()}


def test_many_rows_are_looked_at_in_lots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each connection is in one lot; those with one side only are in none."""
    light = {"connection": [5, 5, 5, 7, 9, 9, 3, 3], "direction": [0, 0, 0, 1, 1, 1, 0, 1]}
    sides = ["send", "receive", "send", "send", "send", "receive", "send", "receive"]
    table = pa.table({**light, "side": sides})
    assert [lot.to_pylist() for lot in keys_of_both(table)] == [[5, 9]]
    monkeypatch.setattr(consumer.late.find, "LOT", 2)
    assert [lot.to_pylist() for lot in keys_of_both(table)] == [[5], [9]]
    assert keys_of_both(table.slice(0, 0)) == []


def matches(table: pa.Table) -> Counter[str]:
    """Match rows but for what tells that they came late."""
    rows = table.to_pylist()
    return Counter(repr({**row, "tick": 0, "flags": row["flags"] & ~LATE}) for row in rows)


def open_ranges(table: pa.Table) -> Counter[Any]:
    """Unmatched ranges added up."""
    found: Counter[Any] = Counter()
    for row in table.to_pylist():
        at = (row["connection"], row["direction"], row["side"], row["begin"], row["end"], row["monotonic_ns"])
        found[at] += row["weight"]
    return Counter({at: weight for at, weight in found.items() if weight})


def put_in_time(values: list[bytes], late: list[bool]) -> list[Record]:
    """Records of which some come long after their horizon."""
    on_time = [value for value, is_late in zip(values, late, strict=True) if not is_late]
    rest = [value for value, is_late in zip(values, late, strict=True) if is_late]
    times = [BASE_MS] * len(on_time) + [BASE_MS + LONG] * len(rest)
    return [Record(i, at, value) for i, (at, value) in enumerate(zip(times, on_time + rest, strict=True))]


def corrected(outputs: list[Output], looks: int = 1) -> dict[str, pa.Table]:
    """Rows of a run and of looks after it."""
    kinds = ("match", "histogram", "unmatched")
    rows = {kind: tables(outputs, kind) for kind in kinds}
    for number in range(looks):
        added = looked_at(rows["unmatched"], -1 - number)
        rows = {
            kind: pa.concat_tables([rows[kind], *([added[kind]] if kind in added else [])]) for kind in kinds
        }
    return rows


@settings(max_examples=40)
@given(st.data())
def test_with_the_look_a_disturbed_run_says_what_an_undisturbed_one_says(data: st.DataObject) -> None:
    """Matches, histograms and open ranges are equal, whatever comes late; a second look adds nothing."""
    messages = data.draw(st.integers(1, 12))
    values = [
        value for _, value in exchange(data.draw(st.integers(0, 99)), data.draw(st.integers(1, 3)), messages)
    ]
    late = data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))
    calm = corrected(outputs_of(put_in_time(values, [False] * len(values))), 0)
    rows = corrected(outputs_of(put_in_time(values, late)), 1)
    assert matches(rows["match"]) == matches(calm["match"])
    assert rows["match"].num_rows == messages
    assert open_ranges(rows["unmatched"]) == open_ranges(calm["unmatched"]) == Counter()
    assert sums(of_messages(rows["histogram"])) == sums(of_messages(calm["histogram"]))
    assert looked_at(rows["unmatched"], -2) == {}


def test_a_look_without_bytes_in_common_matches_nothing() -> None:
    """Ranges that touch and do not meet, other directions and other connections stay unmatched."""
    topic, alpha, beta = Topic(), Host("alpha"), Host("beta")
    one, two = ends(1), ends(2)
    topic.put(0, alpha.batch([one[0]], {Kind.SEND: [send(0, 10, 0), send(20, 30, 1)]}))
    topic.put(
        LONG, beta.batch([one[1], two[1]], {Kind.RECEIVE: [receive(10, 20, 5), receive(20, 30, 6, flow=1)]})
    )
    topic.put(LONG, beta.batch([one[1]], {Kind.SEND: [send(0, 10, 0)]}))
    rows = tables(outputs_of(topic.records), "unmatched")
    assert rows.num_rows == 5
    assert looked_at(rows) == {}


def test_what_is_left_of_a_read_stays_open() -> None:
    """A read over two messages of which one came late and one never: what it has left is said anew."""
    topic, alpha, beta, pair = Topic(), Host("alpha"), Host("beta"), ends()
    topic.put(0, beta.batch([pair[1]], {Kind.RECEIVE: [receive(0, 20, 9)], Kind.ARRIVAL: [arrival(20, 4)]}))
    topic.put(LONG, alpha.batch([pair[0]], {Kind.SEND: [send(10, 20, 0)]}))
    rows = corrected(outputs_of(topic.records))
    assert [(row["begin"], row["end"], row["wire_ns"]) for row in rows["match"].to_pylist()] == [(10, 20, 4)]
    assert [(at[2], at[3], at[4]) for at in open_ranges(rows["unmatched"])] == [("receive", 0, 10)]
    assert rows["match"]["flags"].to_pylist()[0] & LATE


def test_two_agents_that_tell_of_one_send_late_make_one_match() -> None:
    """Both copies are taken back with the match, so that no later look finds the other one."""
    topic, beta, pair = Topic(), Host("beta"), ends()
    reads = {Kind.RECEIVE: [receive(0, 10, 9)]}
    topic.put(0, beta.batch([pair[1]], reads))
    for number in (1, 2):
        run = Host("alpha", epoch=number)
        topic.put(number * LONG, run.batch([pair[0]], {Kind.SEND: [send(0, 10, 0)]}))
    rows = corrected(outputs_of(topic.records), 2)
    assert rows["match"].num_rows == 1
    assert open_ranges(rows["unmatched"]) == Counter()


@pytest.mark.parametrize("reader", [{}, {"connection_rate": 900, "block_rate": 40}])
def test_what_sampling_kept_keeps_its_weight(reader: dict[str, int]) -> None:
    """Late or in time: the same chances, and what is taken back is taken from rows of its own chance."""
    pair, found = ends(), []
    for late in (0, LONG):
        topic, sender = Topic(), {"connection_rate": 700, "block_rate": 70}
        topic.put(0, Host("alpha").batch([pair[0]], {Kind.SEND: [send(0, 10, 0)]}, **sender))
        reads = {Kind.RECEIVE: [receive(0, 10, 9)], Kind.ARRIVAL: [arrival(10, 4)]}
        topic.put(late, Host("beta").batch([pair[1]], reads, **reader))
        found.append(corrected(outputs_of(topic.records), 1 if late else 0))
    calm, rows = found
    assert matches(rows["match"]) == matches(calm["match"])
    assert 0 < rows["match"]["keep"].to_pylist()[0] < 0.02
    assert sums(of_messages(rows["histogram"])) == sums(of_messages(calm["histogram"]))


def test_rows_of_versions_that_kept_too_little_are_left_alone() -> None:
    """They cannot be matched, and stop nothing."""
    values = [value for _, value in exchange(1, 1, 3)]
    rows = tables(outputs_of(put_in_time(values, [at % 2 == 1 for at in range(len(values))])), "unmatched")
    assert looked_at(rows)
    at = rows.schema.get_field_index("monotonic_ns")
    earlier = rows.set_column(at, "monotonic_ns", pa.nulls(rows.num_rows, pa.int64()))
    assert looked_at(earlier) == {}


@settings(max_examples=40)
@given(st.integers(0, 2**32))
def test_whatever_is_unmatched_a_look_pairs_bytes_with_bytes_and_then_rests(seed: int) -> None:
    """Brute force over wild topics: each match has a send and a read of its last byte, and each byte one."""
    wild = Wild(seed)
    engine, outputs = EventEngine(0, wild.settings), []
    for record, flushed in zip(wild.records, wild.flushed, strict=True):
        outputs += [engine.apply([record]), *([engine.flush()] if flushed else [])]
    far = Record(10**6, BASE_MS + 10**9, encode(Host("other").batch([], {})))
    outputs += [engine.apply([far]), engine.flush()]
    unmatched = tables(outputs, "unmatched")
    ranges: dict[tuple[str, int, int], list[tuple[int, int]]] = {}
    for row in unmatched.to_pylist():
        ranges.setdefault((row["side"], row["connection"], row["direction"]), []).append(
            (row["begin"], row["end"])
        )
    added = looked_at(unmatched)
    found = added["match"].to_pylist() if added else []
    for row in found:
        flow = (row["connection"], row["direction"])
        assert (row["begin"], row["end"]) in ranges["send", *flow]
        assert any(begin < row["end"] <= end for begin, end in ranges["receive", *flow])
    assert len({(row["connection"], row["direction"], row["end"]) for row in found}) == len(found)
    possible = {
        (connection, direction, end)
        for (side, connection, direction), sends in ranges.items()
        for _, end in sends
        if side == "send"
        and any(low < end <= high for low, high in ranges.get(("receive", connection, direction), []))
    }
    assert bool(found) == bool(possible)
    if added:
        assert looked_at(pa.concat_tables([unmatched, added["unmatched"]]), -2) == {}


def test_matches_of_two_clocks_found_late_say_what_they_are_corrected_by() -> None:
    """The same as those found in time: boots, both clocks' times, and what they say of the clocks."""
    one, two = ends()
    sends = [send(at, at + 5, 300_000_000 * at) for at in range(0, 20, 5)]
    reads = [receive(at, at + 5, 300_000_000 * at + 7_000) for at in range(0, 20, 5)]
    values = [
        encode(Host("one", boot="a").batch([one], {Kind.SEND: sends})),
        encode(Host("two", boot="b").batch([two], {Kind.RECEIVE: reads})),
    ]
    in_time = outputs_of(put_in_time(values, [False, False]))
    late = outputs_of(put_in_time(values, [False, True]))
    assert tables(late, "match").num_rows == 0
    assert matches(corrected(late)["match"]) == matches(tables(in_time, "match"))
    row = corrected(late)["match"].to_pylist()[0]
    assert (row["sender_boot"], row["receiver_boot"]) == ("a", "b")
    assert row["received_monotonic_ns"] - row["sent_monotonic_ns"] == 7_000
    told = looked_at(tables(late, "unmatched"))["clock"].drop_columns(["tick"])
    assert told.to_pylist() == tables(in_time, "clock").drop_columns(["tick"]).to_pylist()
    assert len(told["sent_times"][0]) == 4
