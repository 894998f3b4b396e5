# SPDX-License-Identifier: Apache-2.0
"""Latencies are corrected before they are bucketed, and what has none is counted."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from consumer.latency.histogram import bucket_of
from consumer.rollup.exemplars import slowest
from consumer.rollup.matches import Latencies, histograms, latencies, messages
from schemas.event import Flag
from schemas.histogram import RELATIVE_ERROR, SCALE, Histogram, estimates, quantile
from schemas.tables import KINDS
from tests.consumer.rollup.made import AHEAD, BEGIN, MINUTE, Corrected, match_row, seeded

AT = BEGIN + 5
CROSS = {"sender_host": "alpha", "receiver_host": "beta", "clock": "unsynced", "edge": "a -> b",
         "sender_boot": "alpha-1", "receiver_boot": "beta-1", "flags": int(Flag.LAST_PIECE),
         "last_piece": True, "receive_wait_ns": None, "wire_ns": None, "keep": None}  # fmt: skip


class Apart:
    """Clocks that are apart by what is known, each latency with its own bound."""

    rows = KINDS["clock_solution"].empty_table()

    def __init__(self, bound: int) -> None:
        self.bound = bound

    def correct(self, sender: Any, receiver: Any, sent: Any, received: Any) -> Corrected:
        apart = [AHEAD[b] - AHEAD[a] for a, b in zip(sender.to_pylist(), receiver.to_pylist(), strict=True)]
        return Corrected(
            received - sent - np.array(apart), np.full(sent.size, self.bound) + np.arange(sent.size)
        )


def table_of(truths: list[int], **given: Any) -> pa.Table:
    rng = seeded(1)
    rows = []
    for truth in truths:
        stamps = {"sent_monotonic_ns": 10**12, "received_monotonic_ns": 10**12 + truth + AHEAD["beta-1"]}
        rows.append(match_row(rng, AT, **CROSS | stamps | given))
    return pa.Table.from_pylist(rows, KINDS["match"])


def rolled(table: pa.Table, bound: int = 50) -> tuple[list[dict[str, Any]], Latencies]:
    told = messages(table)
    found = latencies(told, {BEGIN: Apart(bound)} if bound >= 0 else {})
    return histograms(told, found).to_pylist(), found


def histogram_of(row: dict[str, Any]) -> Histogram:
    buckets, counts = np.array(row["buckets"], dtype=np.int32), np.array(row["counts"], dtype=np.int64)
    return Histogram(
        SCALE, buckets, counts, row["n"], row["negative"], row["sum_ns"], row["min_ns"], row["max_ns"]
    )


@pytest.mark.parametrize("typical", [20_000, 10_000_000, 1_000_000_000])
def test_correcting_before_bucketing_keeps_the_histograms_error_and_shifting_buckets_does_not(
    typical: int,
) -> None:
    """The control buckets what the raw clocks say and shifts the buckets' values by the offset: far off."""
    rng = np.random.default_rng(1)
    truths = np.sort((typical * rng.lognormal(0, 0.5, 1001)).astype(np.int64))
    rows, _ = rolled(table_of(truths.tolist()))
    answer = quantile(histogram_of(rows[0]), 0.5)
    assert abs(answer - truths[500]) <= truths[500] * RELATIVE_ERROR * 1.0001

    offset = AHEAD["beta-1"] - AHEAD["alpha-1"]
    shifted = estimates(bucket_of(truths + offset).astype(np.int32), SCALE) - offset
    assert abs(np.median(shifted) - truths[500]) > truths[500] * RELATIVE_ERROR * 10


def test_negative_latencies_stay_and_are_counted() -> None:
    rows, _ = rolled(table_of([-500, -1, 0, 3]))
    (delivery,) = (row for row in rows if row["measure"] == "delivery")
    assert (delivery["n"], delivery["seen"], delivery["negative"]) == (4, 4, 2)
    assert (delivery["min_ns"], delivery["max_ns"], delivery["sum_ns"]) == (-500, 3, -498)
    assert sum(delivery["counts"]) == 1


def test_a_message_without_a_bound_is_counted_and_withheld() -> None:
    for table, bound in ((table_of([5, 6]), -1), (table_of([5, 6], sender_boot=None), 50)):
        rows, found = rolled(table, bound)
        assert [(row["measure"], row["clock"], row["n"], row["seen"], row["buckets"]) for row in rows] == [
            ("delivery", "unsynced", 0, 2, []),
            ("wire", "unsynced", 0, 2, []),
        ]
        assert not found.known.any()
        assert slowest(messages(table), found).num_rows == 0


def test_the_bound_of_a_group_is_the_largest_of_its_messages_and_wire_wants_an_arrival() -> None:
    tables = [table_of([100, 200]), table_of([300], receive_wait_ns=40)]
    rows, _ = rolled(pa.concat_tables(tables))
    delivery, wire = rows
    assert (delivery["n"], delivery["sum_ns"], delivery["clock_bound_ns"]) == (3, 600, 52)
    assert (wire["n"], wire["seen"], wire["sum_ns"], wire["clock_bound_ns"]) == (1, 3, 260, 52)


def test_a_doubtful_partner_gives_no_latency_and_pieces_are_no_messages() -> None:
    doubtful = table_of([7], flags=int(Flag.LAST_PIECE | Flag.NO_ROLE))
    piece = table_of([9], last_piece=False)
    rows, found = rolled(pa.concat_tables([doubtful, piece]))
    names = ("clock", "n", "seen", "clock_bound_ns")
    assert [tuple(row[name] for name in names) for row in rows] == [("bounded", 0, 1, None)] * 2
    assert slowest(messages(doubtful), found).num_rows == 0


def test_rows_of_another_chance_to_be_kept_stay_apart() -> None:
    rows, _ = rolled(pa.concat_tables([table_of([1]), table_of([1], keep=1.0), table_of([1], keep=0.25)]))
    assert sorted((row["keep"], row["n"]) for row in rows if row["measure"] == "delivery") == [
        (0.25, 1),
        (1.0, 2),
    ]


def test_the_slowest_are_kept_with_what_was_corrected() -> None:
    table = table_of([50, 10, 90, 70, 30, 80], receive_wait_ns=5, wire_ns=10**15)
    told = messages(table)
    found = latencies(told, {BEGIN: Apart(1)})
    rows = slowest(told, found).to_pylist()
    assert [(row["delivery_ns"], row["wire_ns"], row["clock_bound_ns"]) for row in rows] == [
        (90, 85, 3),
        (80, 75, 6),
        (70, 65, 4),
        (50, 45, 1),
    ]
    assert {(row["clock"], row["window_start_ns"], row["window_ns"]) for row in rows} == {
        ("bounded", BEGIN, MINUTE)
    }
