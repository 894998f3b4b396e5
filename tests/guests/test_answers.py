# SPDX-License-Identifier: Apache-2.0
"""What a person is told of two hosts once their minutes are rolled up, held against the truth."""

import numpy as np
import pytest

from schemas.histogram import RELATIVE_ERROR
from support.consumer import read_kind
from support.deliveries import WINDOW_NS, Deliveries
from support.true_clocks import Difference
from support.two_hosts import HOSTS, Story
from support.whole_way import BIN, query, run

MEASURES = {
    "delivery": {"bounded"},
    "wire": {"bounded"},
    "receive-wait": {"one_host"},
    "network": {"two_hosts"},
}
QUANTILES = {"p50_ns": 0.5, "p90_ns": 0.9, "p99_ns": 0.99}


@pytest.fixture(scope="module")
def spoken(story: Story, deliveries: Deliveries) -> set[int]:
    """The beginnings of the windows in which the two talked; they are rolled up."""
    run([str(BIN / "wirelag"), "rollup", "--lake", str(story.lake)])
    windows = {int(window) * WINDOW_NS for window in deliveries.window}
    assert windows <= set(read_kind(story.lake, "clock_solution")["window_start_ns"].to_pylist())
    return windows


def test_solutions_hold_the_true_difference_of_the_clocks(story: Story, spoken: set[int]):
    difference = Difference(story.looks)
    for row in read_kind(story.lake, "clock_solution").to_pylist():
        if row["window_start_ns"] not in spoken:
            continue
        assert (row["first_host"], row["second_host"], row["status"]) == (*HOSTS, "bounded")
        assert [row["first_boot"], row["second_boot"]] == [host.boot for host in story.said]
        at, low, high = (np.array(row[name], float) for name in ("times", "low_offsets", "high_offsets"))
        looked = (story.looks[0].after < at) & (at < story.looks[-1].before) & np.isfinite(low + high)
        ahead, unsure = difference.ahead(at[looked].astype(np.int64))
        assert looked.any()
        assert (low[looked] - unsure <= ahead).all()
        assert (ahead <= high[looked] + unsure).all()


def test_percentiles_are_as_near_to_the_truth_as_they_say(
    story: Story, deliveries: Deliveries, spoken: set[int], figures: list[str]
):
    (answer,) = query("latency", story.lake, "--by", "measure", "--kind", "delivery")
    known = deliveries.where(deliveries.bound >= 0)
    assert answer["n"] == known.end.size > 0
    assert (answer["complete"] < 1) == (story.lost > 0)
    assert answer["clock_bound_ns"] >= known.bound.max()
    true, unsure = np.sort(known.true), known.unsure.max()
    for name, quantile in QUANTILES.items():
        least, most = true[[int(quantile * (true.size - 1)), int(np.ceil(quantile * (true.size - 1)))]]
        doubt = RELATIVE_ERROR * answer[name] + answer["clock_bound_ns"] + unsure
        assert least - doubt <= answer[name] <= most + doubt
    figures.append(
        f"asked of {answer['n']}: p50 {answer['p50_ns'] / 1e3:,.0f} us, truly {np.median(true) / 1e3:,.0f}"
    )


def test_the_slowest_messages_are_told_as_they_were(story: Story, deliveries: Deliveries, spoken: set[int]):
    slowest = read_kind(story.lake, "exemplar").to_pylist()
    assert slowest
    for row in slowest:
        way = deliveries.there == (row["sender_host"] == HOSTS[0])
        (one,) = np.flatnonzero(way & (deliveries.end == row["end"]))
        assert row["clock"] == "bounded"
        doubt = row["clock_bound_ns"] + deliveries.unsure[one]
        assert abs(row["delivery_ns"] - deliveries.true[one]) <= doubt


def test_figures_say_by_which_clock(story: Story, spoken: set[int]):
    rows = [row for row in read_kind(story.lake, "rollup").to_pylist() if row["n"]]
    clocks = {measure: {row["clock"] for row in rows if row["measure"] == measure} for measure in MEASURES}
    assert clocks == MEASURES
