# SPDX-License-Identifier: Apache-2.0
"""Latencies between two hosts whose clocks have nothing to do with one another, held against the truth.

The truth is what both programs wrote down, and the looks at both clocks at once (support/inside.py).
"""

from pathlib import Path

import numpy as np

from support.consumer import read_kind
from support.deliveries import Deliveries, read
from support.inside import Look
from support.inside_traffic import REQUEST_BYTES, RESPONSE_BYTES
from support.traffic import Call
from support.true_clocks import Difference
from support.two_hosts import (
    ATTEMPTED,
    DELIVERED,
    EXCHANGES,
    HOSTS,
    KERNELS,
    SKIPPED,
    SLEW_PPM,
    STEP_NS,
    Story,
)
from support.whole_way import query

ALL = sum(EXCHANGES.values())
ENDS_NS = 5_000_000_000
"""So near to the first and the last message a step would not show, so nothing is claimed."""


def test_they_are_two_hosts(story: Story):
    own = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert len({own, *(host.boot for host in story.said)}) == 3
    for host, kernel in zip(story.said, KERNELS, strict=True):
        assert host.release.startswith(f"{kernel}.")
        assert host.clocksource == "tsc"


def test_uncorrected_latencies_are_nowhere_near_the_truth(deliveries: Deliveries):
    """The clocks begin apart, and the slew alone takes them milliseconds apart."""
    known = deliveries.where(deliveries.bound >= 0)
    uncorrected = np.abs(known.received - known.sent - known.true)
    assert np.median(uncorrected) > 10 * np.median(np.abs(known.latency - known.true))


def test_all_calls_are_matched_but_for_what_is_counted_as_lost(story: Story, deliveries: Deliveries):
    """A run of a hook amid another one is lost or skipped, now and then, where one slow CPU does all."""
    told = {
        (row["host"], f"{row['stage']}/{row['reason']}"): row["events"] for row in query("losses", story.lake)
    }
    for host, totals in zip(HOSTS, story.totals, strict=True):
        lost = sum(totals[name] for name in set(totals) - {ATTEMPTED, DELIVERED, SKIPPED})
        assert totals[ATTEMPTED] == totals[DELIVERED] + lost
        assert {name: told[host, name] for name in totals} == totals
    missing = ALL - np.bincount(deliveries.there)
    assert missing.min() >= 0
    assert missing.sum() <= story.lost


def test_events_are_of_the_moments_that_the_programs_saw(story: Story, deliveries: Deliveries):
    client, server = story.calls
    for there, sender, receiver, size in (
        (True, client, server, REQUEST_BYTES),
        (False, server, client, RESPONSE_BYTES),
    ):
        some = deliveries.where(deliveries.there == there)
        assert set(some.end) <= {size * (number + 1) for number in range(ALL)}
        assert np.unique(some.end).size == some.end.size
        _within(some.end, some.sent, sender, "send")
        _within(some.end, some.received, receiver, "receive")


def _within(ends: np.ndarray, times: np.ndarray, calls: list[Call], kind: str) -> None:
    """Each time lies within the call that moved the last byte, by the same clock."""
    of_kind = [call for call in calls if call.kind == kind]
    behind = np.array([call.position + call.length for call in of_kind])
    before, after = (
        np.array([getattr(call, name) for call in of_kind]) for name in ("before_ns", "after_ns")
    )
    call = np.searchsorted(behind, ends)
    assert ((before[call] <= times) & (times <= after[call])).all()


def test_each_bound_holds_the_truth(story: Story, deliveries: Deliveries, figures: list[str]):
    known = deliveries.where(deliveries.bound >= 0)
    outside = known.off > known.bound
    assert not outside.any(), _worst(known.where(outside))
    difference = Difference(story.looks)
    figures.append(
        f"the truth is known within {_middle(known.unsure)} us (looks: {_middle(difference.width)}), "
        f"the clocks are {(story.looks[0].there - story.looks[0].before) / 1e9:+.3f} s and, raw, "
        f"{_apart_ppm(story.looks):+.1f} ppm apart"
    )
    for part, (begin, end) in story.parts.items():
        some = known.where((begin <= known.first) & (known.first < end))
        figures.append(
            f"{part}: {some.end.size} deliveries of {_middle(some.true)} us, "
            f"off by {_middle(np.abs(some.latency - some.true))}, bound {_middle(some.bound)}"
        )


def test_each_delivery_has_a_bound_but_at_the_ends(deliveries: Deliveries, figures: list[str]):
    begin, end = deliveries.first.min() + ENDS_NS, deliveries.first.max() - ENDS_NS
    amid = deliveries.where((begin <= deliveries.first) & (deliveries.first <= end))
    assert (amid.bound > 0).all()
    assert np.median(amid.bound) < 20 * np.median(amid.true), "it says something"
    known = int((deliveries.bound >= 0).sum())
    figures.append(f"{known} of {deliveries.bound.size} deliveries have a bound, {amid.bound.size} have to")


def test_delays_that_are_unlike_there_and_back_are_within_the_bound(story: Story, figures: list[str]):
    """From traffic with a delay of 3 ms one way alone: it cannot be told, so the bound has to admit it."""
    alone = read(story, since=story.parts["delayed"][0])
    known = alone.where(alone.bound >= 0)
    assert known.end.size > 0
    off = known.latency - known.true
    assert np.median(off[known.there]) < 0 < np.median(off[~known.there]), (
        "half of the delay is put to the other way"
    )
    assert (known.off <= known.bound).all(), _worst(known)
    figures.append(
        f"delayed, solved alone: {known.end.size} of {alone.end.size} bounded, "
        f"off by {_middle(np.abs(off))} us, bound {_middle(known.bound)}"
    )


def test_readings_tell_a_step_and_a_slew(story: Story):
    readings = read_kind(story.lake, "reading").sort_by("monotonic_ns").to_pylist()
    one, two = ([row for row in readings if row["host"] == host] for host in HOSTS)
    walls = np.diff([row["realtime_offset_ns"] for row in one])
    assert abs(walls[np.argmax(np.abs(walls))] - STEP_NS) < 1_000_000
    assert np.sort(np.abs(walls))[-2] < 1_000_000, "one step"
    at, offset = (np.array([row[name] for row in two]) for name in ("monotonic_ns", "raw_offset_ns"))
    slewed = story.looks[-1].there - story.looks[-1].before + story.parts["slewed"][0]
    before, after = (_rate(at[some], offset[some]) * 1e6 for some in (at < slewed, at > slewed))
    assert abs(before - after - SLEW_PPM) < 2


def _rate(at: np.ndarray, offset: np.ndarray) -> float:
    """Return the middle of the slopes between readings far apart: one that was interrupted tells little."""
    half = at.size // 2
    return float(np.median((offset[half:] - offset[:-half]) / (at[half:] - at[:-half])))


def _apart_ppm(looks: list[Look]) -> float:
    first, last = looks[0], looks[-1]
    return ((last.raw_there - first.raw_there) / (last.raw_before - first.raw_before) - 1) * 1e6


def _middle(values: np.ndarray) -> str:
    """Say the least, the median and the greatest, in us."""
    return "/".join(f"{value / 1e3:,.0f}" for value in np.percentile(values, (0, 50, 100)))


def _worst(some: Deliveries) -> str:
    order = np.argsort(some.bound - some.off)[:5]
    return f"{some.end.size} deliveries: {[some.where(order)]}"
