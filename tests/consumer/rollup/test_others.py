# SPDX-License-Identifier: Apache-2.0
"""Rolling up beside others: who commits first, what is refused, and what age has deleted."""

from pathlib import Path

import pytest

from common.units import Duration
from lake import maintain
from lake.errors import StalePositionError
from lake.facts import Facts
from lake.rollup import OUTPUTS, Change, RollUps, hour_id
from tests.consumer.rollup.brute import ordered, require_equal, stored
from tests.consumer.rollup.made import (
    BEGIN,
    DAY_INDEX,
    HOUR,
    MINUTE,
    Lake,
    line_of,
    maintainer,
    match_row,
    seeded,
    some_rows,
)


def test_what_came_after_rows_were_deleted_is_counted_and_destroys_nothing(lake: Lake) -> None:
    """More rows come late than were rolled up before they were deleted: even so the roll-up stays."""
    rng = seeded(6)
    lake.put(some_rows(rng, BEGIN, BEGIN + HOUR, 3), BEGIN + HOUR)
    lake.job().round()
    made = {kind: ordered(stored(lake.facts, kind)) for kind in OUTPUTS}
    maintainer(lake, match=Duration.parse("2h"), clock=Duration.parse("2h")).run()
    assert stored(lake.facts, "match") == stored(lake.facts, "clock") == []
    assert lake.job().round().hours == 0
    late = some_rows(rng, BEGIN, BEGIN + HOUR, 30)
    lake.put(late, BEGIN + HOUR)
    told = lake.job().round()
    assert (told.hours, told.too_late) == (0, len(late["match"]) + len(late["clock"]))
    assert made == {kind: ordered(stored(lake.facts, kind)) for kind in OUTPUTS}
    maintainer(lake, match=Duration.parse("2h")).run()
    assert lake.job().round().hours == 0
    assert made == {kind: ordered(stored(lake.facts, kind)) for kind in OUTPUTS}


def test_without_the_note_of_what_was_deleted_late_rows_would_destroy_it(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    monkeypatch.setattr(maintain.retention, "expired_until", lambda *_: {})
    rng = seeded(6)
    lake.put(some_rows(rng, BEGIN, BEGIN + HOUR, 3), BEGIN + HOUR)
    lake.job().round()
    made = ordered(stored(lake.facts, "exemplar"))
    maintainer(lake, match=Duration.parse("2h")).run()
    lake.put(some_rows(rng, BEGIN, BEGIN + HOUR, 30), BEGIN + HOUR)
    lake.job().round()
    assert not set(made) <= set(ordered(stored(lake.facts, "exemplar")))


def test_a_commit_beside_is_met_by_trying_again_without_another_computation(lake: Lake) -> None:
    """Consumers commit between the check and the commit, again and again; the roll-up is computed once."""
    rng = seeded(7)
    lake.put(some_rows(rng, BEGIN, BEGIN + HOUR, 5), BEGIN + HOUR)
    left = 5

    def trace(point: str) -> None:
        nonlocal left
        if point == "after-check" and left:
            left -= 1
            lake.put({"match": [match_row(rng, BEGIN + 7 * HOUR)]}, BEGIN + HOUR)

    table = RollUps.open(str(lake.path), trace=trace)
    table.pause = lambda _: None
    told = lake.job(lake=table).round()
    assert (told.hours, told.overtaken, table.conflicts) == (1, 0, 5)
    lake.job().round()
    require_equal(lake.facts, line_of(lake))


def test_of_two_that_roll_one_hour_up_the_second_is_refused(lake: Lake) -> None:
    lake.now_ns = BEGIN + 2 * HOUR
    lake.put(some_rows(seeded(8), BEGIN, BEGIN + HOUR, 5), BEGIN + 2 * HOUR)
    first = lake.job()

    def trace(point: str) -> None:
        if point == "after-sync":
            assert first.round().hours == 1

    second = lake.job(trace=trace)
    told = second.round()
    assert (told.hours, told.overtaken) == (0, 1)
    require_equal(lake.facts, line_of(lake))
    on_disk = {path.name for path in lake.path.glob("kind=rollup/**/*.parquet")}
    assert on_disk == {Path(path).name for path in lake.facts.files("rollup", None, None)}


def test_without_the_check_the_second_takes_the_place_of_newer_rows(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: what the first made of more rows is replaced by what the second made of fewer."""
    rng = seeded(8)
    lake.put(some_rows(rng, BEGIN, BEGIN + HOUR, 5), BEGIN + HOUR)
    first = lake.job()

    def trace(point: str) -> None:
        if point == "after-sync":
            lake.put(some_rows(rng, BEGIN, BEGIN + HOUR, 5), BEGIN + HOUR)
            assert first.round().hours == 1

    monkeypatch.setattr(RollUps, "_require", lambda *_: None)
    lake.job(trace=trace).round()
    with pytest.raises(AssertionError):
        require_equal(lake.facts, line_of(lake))


def test_a_change_that_began_elsewhere_is_refused(lake: Lake) -> None:
    lake.put(some_rows(seeded(11), BEGIN, BEGIN + HOUR, 2), BEGIN + HOUR)
    table = RollUps.open(str(lake.path))
    with pytest.raises(StalePositionError):
        table.commit(Change(DAY_INDEX, {"rollup": []}, {hour_id(DAY_INDEX): 5}, {}))
    assert Facts.open(str(lake.path)).files("rollup", None, None) == []


def test_what_another_has_rolled_up_since_is_replaced_and_not_added_to(lake: Lake) -> None:
    rng, job = seeded(14), lake.job()
    for minute, who in ((10, job), (20, lake.job()), (30, job)):
        lake.now_ns = BEGIN + minute * MINUTE
        lake.put(some_rows(rng, lake.now_ns - 10 * MINUTE, lake.now_ns, 2), lake.now_ns)
        assert who.round().hours == 1
        require_equal(lake.facts, line_of(lake))
