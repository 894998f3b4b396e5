# SPDX-License-Identifier: Apache-2.0
"""Readings of clocks come out of heartbeats once each, whatever is repeated, lied or cut."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.engine import ControlEngine, Record
from consumer.engine.settings import seal, unseal
from schemas.control import MAX_READINGS, Reading
from tests.consumer.engine.scene import BASE_MS, OFFSET_NS
from tests.consumer.engine.test_control import heartbeat
from tests.consumer.engine.traffic import SETTINGS, Rows, collect, of_heartbeats_in_pieces


def reading(at: int, **more: int) -> Reading:
    return Reading(
        **{"monotonic_ns": at, "raw_offset_ns": -at, "width_ns": 90}
        | {"realtime_offset_ns": OFFSET_NS}
        | more
    )


def beat(sequence: int, *at: int, **more: Any) -> bytes:
    return heartbeat(sequence, {}, readings=tuple(reading(one) for one in at), **more)


def run(*values: bytes) -> Rows:
    engine = ControlEngine(4, SETTINGS)
    records = [Record(i, BASE_MS + 300 * i, value) for i, value in enumerate(values)]
    return collect([engine.apply(records), engine.flush()])


def times(rows: Rows) -> list[object]:
    return [row["monotonic_ns"] for row in rows.get("reading", [])]


def test_a_row_says_what_the_reading_said() -> None:
    (row,) = run(heartbeat(0, {}, readings=(reading(5, error_ns=7),)))["reading"]
    assert {name: row[name] for name in ("host", "boot", "epoch", "topic_partition")} == {
        "host": "alpha", "boot": "boot", "epoch": 1, "topic_partition": 4,
    }  # fmt: skip
    assert (row["monotonic_ns"], row["raw_offset_ns"], row["width_ns"]) == (5, -5, 90)
    assert (row["at_ns"], row["realtime_offset_ns"], row["error_ns"]) == (OFFSET_NS + 5, OFFSET_NS, 7)


def test_who_says_nothing_of_the_error_has_null() -> None:
    assert [row["error_ns"] for row in run(beat(0, 5))["reading"]] == [None]


def test_what_is_told_again_gives_no_row() -> None:
    """The agent did not hear that the second heartbeat came, and the third was there twice."""
    third = beat(2, 3, 4, 5)
    assert times(run(beat(0, 1, 2), beat(1, 3, 4), third, third, beat(3, 6))) == [1, 2, 3, 4, 5, 6]


def test_another_run_of_a_host_reads_for_itself() -> None:
    assert times(run(beat(0, 5), beat(0, 5, epoch=2))) == [5, 5]


def test_a_liar_cannot_write_what_no_column_holds() -> None:
    worst = Reading(2**63 - 1, 2**63 - 1, 2**63 - 1, 2**63 - 1, 2**63 - 1)
    least = Reading(0, -(2**63), 0, -(2**63), -(2**63))
    rows = run(heartbeat(0, {}, readings=(least, worst)), beat(1, 5))["reading"]
    assert [row["at_ns"] for row in rows] == [-(2**63) + 1, 2**63 - 1]


def test_a_heartbeat_holds_a_bounded_number() -> None:
    assert len(times(run(beat(0, *range(1, MAX_READINGS + 1))))) == MAX_READINGS
    assert times(run(beat(0, *range(1, MAX_READINGS + 2)))) == []


def test_a_state_from_before_readings_is_read() -> None:
    engine = ControlEngine(0, SETTINGS)
    engine.apply([Record(0, BASE_MS, beat(0, 1))])
    state = msgspec.msgpack.decode(unseal(engine.snapshot()))
    assert len(state.pop()) == 1
    for *_, told in state[-1]:
        assert told.pop() == 1
    engine = ControlEngine.restore(seal(msgspec.msgpack.encode(state)), 0, SETTINGS)
    assert times(collect([engine.apply([Record(1, BASE_MS, beat(1, 2))]), engine.flush()])) == [2]


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.sampled_from([1, 2])), max_size=12), st.data()
)
def test_rows_do_not_depend_on_how_heartbeats_are_cut(
    beats: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    values = [beat(s, *range(at, at + 3), epoch=epoch) for s, at, epoch in beats]
    records = [Record(i, BASE_MS + 300 * i, value) for i, value in enumerate(values)]
    whole = ControlEngine(0, SETTINGS)
    rows = of_heartbeats_in_pieces(records, data)
    assert rows == collect([whole.apply(records), whole.flush()])
