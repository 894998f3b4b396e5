# SPDX-License-Identifier: Apache-2.0
"""Fewer single messages, the same histograms; what is left stands for all, and the slowest are there."""

import numpy as np
import pytest

from consumer.engine import EngineSettings, EventEngine
from schemas.event import Kind
from schemas.tables import SLOWEST
from tests.consumer.engine.scene import Host, Topic, ends, receive, send
from tests.consumer.engine.traffic import Rows, collect

CONNECTIONS, EACH = 60, 150
BLOCK = 65_536


def traffic(seed: int) -> Topic:
    """Messages of a third of a block each; a message's delivery is a lognormal time of its connection."""
    rng, topic = np.random.default_rng(seed), Topic()
    keys = rng.integers(1, 2**62, CONNECTIONS).tolist()
    for number, key in enumerate(keys, 1):
        pair = ends(key, ports=(40_000 + number, 80 + number % 3))
        took = rng.lognormal(10, 1, EACH).astype(np.int64)
        edges = [(k * BLOCK // 3, (k + 1) * BLOCK // 3) for k in range(EACH)]
        sends = [send(low, high, 10**6 * k) for k, (low, high) in enumerate(edges)]
        reads = [receive(low, high, 10**6 * k + int(took[k])) for k, (low, high) in enumerate(edges)]
        topic.put(0, Host("alpha", epoch=number).batch([pair[0]], {Kind.SEND: sends}))
        topic.put(0, Host("beta", epoch=number).batch([pair[1]], {Kind.RECEIVE: reads}))
    return topic


def rows(seed: int, most: int | None) -> Rows:
    engine = EventEngine(0, EngineSettings(match_rows=most))
    return collect([engine.apply(traffic(seed).records), engine.flush()])


def test_histograms_are_of_all_whatever_the_budget() -> None:
    whole, thinned = rows(1, None), rows(1, 500)
    assert len(whole["match"]) == CONNECTIONS * EACH
    assert whole["histogram"] == thinned["histogram"]
    assert {row["keep"] for row in whole["match"]} == {None}


def test_blocks_are_kept_whole_and_within_the_budget() -> None:
    whole, found = rows(2, None)["match"], rows(2, 1_000)["match"]
    sample = [row for row in found if not int(str(row["flags"])) & SLOWEST]
    assert {row["keep"] for row in found} == {1 / 16}
    assert 200 < len(sample) <= 1_000
    blocks = {(row["connection"], (int(str(row["end"])) - 1) // BLOCK) for row in sample}
    assert len(sample) == sum(
        (row["connection"], (int(str(row["end"])) - 1) // BLOCK) in blocks for row in whole
    )


def test_the_slowest_of_each_edge_are_there() -> None:
    whole, found = rows(3, None)["match"], rows(3, 100)["match"]
    for edge in {row["edge"] for row in whole}:
        slowest = sorted(
            (int(str(row["delivery_ns"])) for row in whole if row["edge"] == edge), reverse=True
        )[:4]
        there = {row["delivery_ns"] for row in found if row["edge"] == edge}
        assert set(slowest) <= there


def test_what_is_kept_stands_for_all() -> None:
    """Over many seeds the weighted number and sum of the sample are those of all, within their own error."""
    numbers, sums = [], []
    for seed in range(12):
        whole, found = rows(seed, None)["match"], rows(seed, 1_200)["match"]
        sample = [row for row in found if not int(str(row["flags"])) & SLOWEST]
        numbers.append(sum(1 / float(str(row["keep"])) for row in sample) / len(whole))
        total = sum(int(str(row["delivery_ns"])) for row in whole)
        sums.append(sum(int(str(row["delivery_ns"])) / float(str(row["keep"])) for row in sample) / total)
    for ratios in (numbers, sums):
        error = np.std(ratios, ddof=1) / np.sqrt(len(ratios))
        assert abs(np.mean(ratios) - 1) < 4 * error
        assert error < 0.05


@pytest.mark.parametrize("most", [1, 7, 100_000])
def test_any_budget_works(most: int) -> None:
    found = rows(4, most)["match"]
    assert found
    assert (len(found) == CONNECTIONS * EACH) == (most == 100_000)
