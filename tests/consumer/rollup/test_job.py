# SPDX-License-Identifier: Apache-2.0
"""What is rolled up equals what is worked out row by row, whatever comes when and whoever works beside."""

from typing import Any

import pytest

import consumer.rollup.hour
from lake.check import check
from lake.rollup import RollUps, around_id, day_id, hour_id
from tests.consumer.rollup.brute import require_equal, stored
from tests.consumer.rollup.made import (
    BEGIN,
    DAY_INDEX,
    HOUR,
    MINUTE,
    WAITS,
    Lake,
    clock_row,
    line_of,
    maintainer,
    match_row,
    part_row,
    seeded,
    some_rows,
)

DAY = 24 * HOUR
EVER = BEGIN + 1000 * DAY


def test_settled_windows_are_what_brute_force_gives(lake: Lake) -> None:
    rng = seeded(1)
    reached = lake.now_ns = BEGIN + HOUR + 7 * MINUTE
    lake.put(some_rows(rng, BEGIN, reached - MINUTE, 60), reached)
    told = lake.job().round()
    assert (told.hours, told.days, told.overtaken) == (2, 0, 0)
    assert told.messages > 0
    assert told.withheld > 0
    require_equal(lake.facts, reached - WAITS.behind)
    again = lake.job().round()
    assert (again.hours, again.rows) == (0, 0)


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2, 3))])
def test_rounds_between_commits_late_rows_and_merges(lake: Lake, seed: int) -> None:
    """Rounds of two runners at random moments, while time passes, rows come late and files are merged."""
    rng = seeded(seed)
    one, other = lake.job(), lake.job()
    begin = BEGIN + 22 * HOUR + 30 * MINUTE
    at = begin
    while at < begin + (3 if seed else 2) * HOUR:
        at += rng.choice([3, 20, 50]) * MINUTE
        lake.now_ns = at
        late = rng.random() < 0.3
        first = max(begin - DAY // 2, at - 3 * HOUR) if late else at - 20 * MINUTE
        lake.put(some_rows(rng, first, at, rng.randrange(1, 5)), at)
        for job in rng.sample([one, other], rng.randrange(3)):
            job.round()
        if rng.random() < 0.4:
            maintainer(lake).run()
        if rng.random() < 0.2:
            require_rolled(lake, one)
    lake.now_ns = at + 2 * DAY
    require_rolled(lake, other)
    assert any(row["window_ns"] == DAY for row in stored(lake.facts, "rollup"))


def require_rolled(lake: Lake, job: Any) -> None:
    while job.round().hours:
        pass
    require_equal(lake.facts, line_of(lake))
    assert check(str(lake.path), {}, deep=True).faults == []
    fresh = lake.job().round()
    assert (fresh.hours, fresh.days) == (0, 0)


def test_rows_are_gone_through_in_lots(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Minute by minute it comes to the same."""
    monkeypatch.setattr(consumer.rollup.hour, "LOT", 10)
    lake.put(some_rows(seeded(2), BEGIN, BEGIN + HOUR, 40), BEGIN + HOUR)
    lake.job().round()
    require_equal(lake.facts, line_of(lake))


def test_clocks_that_came_late_in_the_next_hour_make_this_one_anew(lake: Lake) -> None:
    """A row in the first minute of an hour bounds the last window of the one before."""
    rng = seeded(3)
    lake.put({"match": [match_row(rng, BEGIN + HOUR - MINUTE // 2) for _ in range(20)]}, BEGIN)
    lake.put({"clock": [clock_row(rng, BEGIN + HOUR - 1)]}, BEGIN)
    job = lake.job()
    job.round()
    before = stored(lake.facts, "rollup")
    lake.put({"clock": [clock_row(rng, BEGIN + HOUR + 5)]}, BEGIN)
    assert job.round().hours == 2
    require_equal(lake.facts, line_of(lake))
    after = stored(lake.facts, "rollup")
    bounds = [max(row["clock_bound_ns"] or 0 for row in rows) for rows in (before, after)]
    assert bounds == [1000, 2000]
    table = RollUps.open(str(lake.path))
    assert (table.version_of(around_id(DAY_INDEX)), table.version_of(around_id(DAY_INDEX + 1))) == (1, 1)


def test_clocks_nobody_believes_are_filed_and_rolled_up_by_the_brokers_hour(lake: Lake) -> None:
    rng = seeded(4)
    lake.put(some_rows(rng, MINUTE, 3 * HOUR, 8), BEGIN + HOUR, hours=DAY_INDEX)
    lake.put(some_rows(rng, BEGIN, BEGIN + HOUR, 8), BEGIN + HOUR)
    lake.now_ns = BEGIN + HOUR + MINUTE
    job = lake.job()
    job.round()
    require_equal(lake.facts, line_of(lake))
    lake.now_ns = BEGIN + 2 * HOUR
    job.round()
    require_equal(lake.facts, line_of(lake))
    assert {row["window_start_ns"] // HOUR for row in stored(lake.facts, "rollup")} >= {0, 1, 2}


def test_corrections_take_back_what_was_rolled_up(lake: Lake) -> None:
    rng = seeded(5)
    part = part_row(rng, BEGIN + 5, edge="a -> b")
    back = {name: -part[name] for name in ("n", "seen", "negative", "sum_ns")}
    back |= {"counts": [-n for n in part["counts"]], "min_ns": None, "max_ns": None, "edge": part["edge"]}
    if part["spoiled"] is not None:
        back["spoiled"] = -part["spoiled"]
    lake.put({"histogram": [part]}, BEGIN)
    job = lake.job()
    job.round()
    assert stored(lake.facts, "rollup") != []
    lake.put({"histogram": [part | back]}, BEGIN)
    job.round()
    assert stored(lake.facts, "rollup") == []
    require_equal(lake.facts, line_of(lake))


def test_the_day_stays_with_its_first_hour(lake: Lake) -> None:
    """Late rows of the first hour and of another one: the day's windows are carried along, then made anew."""
    rng = seeded(9)
    lake.now_ns = BEGIN + 3 * DAY
    for hour in (0, 5, 23):
        lake.put(some_rows(rng, BEGIN + hour * HOUR, BEGIN + (hour + 1) * HOUR, 2), BEGIN + DAY)
    assert lake.job().round().days == 1
    require_equal(lake.facts, line_of(lake))
    for hour in (0, 7):
        lake.put(some_rows(rng, BEGIN + hour * HOUR, BEGIN + (hour + 1) * HOUR, 1), BEGIN + DAY)
        told = lake.job().round()
        assert (told.hours, told.days) == (1, 1)
        require_equal(lake.facts, line_of(lake))
    table = RollUps.open(str(lake.path))
    hours = [table.version_of(name(DAY_INDEX + h)) or 0 for h in range(24) for name in (hour_id, around_id)]
    assert table.version_of(day_id("2024-10-04")) == sum(hours)


def test_hours_are_asked_for_by_their_time(lake: Lake) -> None:
    rng = seeded(10)
    lake.now_ns = BEGIN + 5 * HOUR
    lake.put(some_rows(rng, BEGIN, BEGIN + 3 * HOUR, 5), BEGIN + HOUR)
    job = lake.job(span=consumer.rollup.hour.Range(BEGIN + HOUR, BEGIN + 2 * HOUR))
    assert job.round().hours == 1
    assert {row["_filed"][1] for row in stored(lake.facts, "rollup")} == {1}


def test_of_many_hours_a_round_does_some_the_newest_first(lake: Lake) -> None:
    lake.put(some_rows(seeded(12), BEGIN, BEGIN + 5 * HOUR, 5), BEGIN + HOUR)
    job = lake.job(most=2)
    done = []
    for _ in range(3):
        job.round()
        done.append({row["_filed"][1] for row in stored(lake.facts, "rollup") if row["window_ns"] < DAY})
    assert done == [{3, 4}, {1, 2, 3, 4}, {0, 1, 2, 3, 4}]
    require_equal(lake.facts, line_of(lake))


def test_an_hour_that_fills_is_added_to_and_its_own_windows_come_when_it_is_over(lake: Lake) -> None:
    """The last of it is silent: even so the hour's windows are made, once and without a replacement."""
    rng, job = seeded(13), lake.job()
    files: list[set[str]] = [set()]
    for minute in (10, 20, 30, 50, 70):
        at = lake.now_ns = BEGIN + minute * MINUTE
        if minute < 50:
            lake.put(some_rows(rng, at - 10 * MINUTE, at, 2), at)
        else:
            lake.put({}, at)
        job.round()
        require_equal(lake.facts, line_of(lake))
        files.append(set(lake.facts.files("rollup", None, None)))
        assert files[-2] <= files[-1]
        hours = [row for row in stored(lake.facts, "rollup") if row["window_ns"] == HOUR]
        assert bool(hours) == (minute == 70)
    assert job.round().hours == 0
    lake.put({"match": [match_row(rng, BEGIN + MINUTE)]}, lake.now_ns)
    job.round()
    require_equal(lake.facts, line_of(lake))
    assert not files[-1] & set(lake.facts.files("rollup", None, None))
