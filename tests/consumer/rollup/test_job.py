# SPDX-License-Identifier: Apache-2.0
"""What is rolled up equals what is worked out row by row, whatever comes when and whoever works beside."""

from pathlib import Path
from typing import Any

import pytest

import consumer.rollup.hour
from common.units import Duration
from lake import maintain
from lake.check import check
from lake.errors import StalePositionError
from lake.facts import Facts
from lake.maintain import Maintainer
from lake.rollup import OUTPUTS, Change, RollUps, around_id, day_id, hour_id
from lake.settings import KeepSettings, MaintainSettings
from tests.consumer.rollup.brute import ordered, require_equal, stored
from tests.consumer.rollup.made import (
    BEGIN,
    DAY_INDEX,
    HOUR,
    MINUTE,
    WAITS,
    Lake,
    clock_row,
    match_row,
    part_row,
    seeded,
    some_rows,
)

DAY = 24 * HOUR
EVER = BEGIN + 1000 * DAY


def line_of(lake: Lake) -> int:
    """Up to when the lake says that its windows are settled."""
    roll_ups = RollUps.open(str(lake.path))
    return roll_ups.settled_to(WAITS, lake.now_ns)


def maintainer(lake: Lake, **keep: Duration) -> Maintainer:
    """Housekeeping that merges whatever it can."""
    made = Maintainer.open(str(lake.path), {}, MaintainSettings(), KeepSettings(**keep))
    made.now_ns = lambda: lake.now_ns
    return made


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake(tmp_path / "lake")
    assert made.facts
    return made


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


def test_a_change_that_began_elsewhere_is_refused(lake: Lake) -> None:
    lake.put(some_rows(seeded(11), BEGIN, BEGIN + HOUR, 2), BEGIN + HOUR)
    table = RollUps.open(str(lake.path))
    with pytest.raises(StalePositionError):
        table.commit(Change(DAY_INDEX, {"rollup": []}, {hour_id(DAY_INDEX): 5}, {}))
    assert Facts.open(str(lake.path)).files("rollup", None, None) == []


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


def test_what_another_has_rolled_up_since_is_replaced_and_not_added_to(lake: Lake) -> None:
    rng, job = seeded(14), lake.job()
    for minute, who in ((10, job), (20, lake.job()), (30, job)):
        lake.now_ns = BEGIN + minute * MINUTE
        lake.put(some_rows(rng, lake.now_ns - 10 * MINUTE, lake.now_ns, 2), lake.now_ns)
        assert who.round().hours == 1
        require_equal(lake.facts, line_of(lake))
