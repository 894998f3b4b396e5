# SPDX-License-Identifier: Apache-2.0
"""Sums by group, and quantiles within their bound."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agent.live import tally
from agent.live.pairs import ROW
from schemas.histogram import RELATIVE_ERROR


def test_groups_are_summed_apart():
    table = np.zeros(3, ROW)
    table["end"], table["srtt_us"], table["process"] = [10, 20, 5], [7, 9, 8], [1, 2, 3]
    one = tally.Tally()
    one.sends(np.array([4, 6, 4]), table, np.array([True, False, True]))
    one.reads(np.array([6, 6, 6]), table)
    rows = {group: (r.sent_bytes, r.messages, r.received_bytes, r.reads) for group, r in one.rows.items()}
    assert rows == {4: (15, 2, 0, 0), 6: (20, 0, 35, 3)}
    assert (one.rows[4].rtt_us, one.rows[4].owner, one.rows[6].owner) == (8, 3, 3)


def test_what_is_not_known_is_in_no_quantile():
    one = tally.Tally()
    one.deliveries(np.array([1, 1, 2]), np.array([-1, 100, -1]))
    assert one.rows[1].deliveries.total() == 1
    assert tally.quantile(Counter(), 0.5) is None


def test_groups_are_bounded(monkeypatch):
    monkeypatch.setattr(tally, "LIMIT", 2)
    one = tally.Tally()
    one.waits(np.arange(5), np.arange(5))
    assert (len(one.rows), one.left_out) == (2, 3)


@given(st.lists(st.integers(0, 10**13), min_size=1, max_size=50), st.sampled_from([0.5, 0.99]))
def test_a_quantile_is_within_its_bound_of_the_value_of_that_rank(values, q):
    counted = Counter(tally.bucket_of(np.array(values)).tolist())
    truth = sorted(values)[int(np.ceil(q * len(values))) - 1]
    found = tally.quantile(counted, q)
    assert abs(found - truth) <= RELATIVE_ERROR * truth + 1
