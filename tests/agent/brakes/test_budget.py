# SPDX-License-Identifier: Apache-2.0
"""A day's worth of bytes lasts the day, however they come, and a restart forgets none that went."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.brakes.budget import AHEAD_SECONDS, DAY_SECONDS, OVER_SECONDS, DayBudget, Spent, SpentFile

LIMIT = 86_400_000
PACE = LIMIT / DAY_SECONDS
MIDNIGHT = 20_000 * DAY_SECONDS


def day(wanted, step=60):
    """Spend what is wanted (bytes a second, by second of the day) as far as allowed; the totals by step."""
    budget, went, total = DayBudget(LIMIT, Spent(20_000, 0)), [], 0
    for second in range(0, DAY_SECONDS, step):
        now = float(MIDNIGHT + second)
        total += int(min(wanted(second), budget.allowed(now)) * step)
        budget.take(total, now)
        went.append(total)
    return went


def test_a_host_that_always_wants_more_goes_on_until_midnight():
    went = day(lambda _: 1e9)
    assert LIMIT >= went[-1] > 0.95 * LIMIT
    hours = [went[n * 60 + 59] - went[n * 60] for n in range(24)]
    assert all(hour > 0.5 * LIMIT / 24 for hour in hours[:-1])


def test_a_burst_at_midnight_leaves_the_day_its_data():
    went = day(lambda second: 1e9 if second < 3600 else PACE)
    assert went[59] < 0.1 * LIMIT
    assert went[-1] - went[60] > 0.9 * (LIMIT - went[59])


def test_what_was_not_spent_is_there_for_the_busy_hours():
    went = day(lambda second: 0 if second < 12 * 3600 else 1.9 * PACE)
    assert went[-1] > 0.94 * LIMIT


def test_first_of_all_six_times_the_pace_may_go():
    allowed = DayBudget(LIMIT, Spent(20_000, 0)).allowed(float(MIDNIGHT))
    assert allowed == pytest.approx(PACE * AHEAD_SECONDS / OVER_SECONDS)


def test_a_spent_day_allows_nothing_until_midnight():
    budget = DayBudget(100, Spent(20_000, 100))
    assert budget.allowed(MIDNIGHT + 10.0) == 0.0
    budget.take(0, MIDNIGHT + DAY_SECONDS + 1.0)
    assert budget.allowed(MIDNIGHT + DAY_SECONDS + 1.0) > 0


def test_no_limit_allows_any_number():
    assert DayBudget(0, Spent(0, 10**15)).allowed(0.0) is None


@given(st.integers(1, 10**12), st.integers(0, 10**12), st.floats(0, DAY_SECONDS - 1))
def test_never_more_than_is_left(limit, spent, second):
    allowed = DayBudget(limit, Spent(20_000, spent)).allowed(MIDNIGHT + second)
    assert 0 <= allowed <= max(1.0, (limit - spent) / OVER_SECONDS)
    assert (allowed == 0) == (spent >= limit)


def test_what_was_spent_survives_a_restart_within_the_day_and_not_midnight(tmp_path: Path):
    file = SpentFile(tmp_path / "deeper" / "bytes.json")
    assert file.load(MIDNIGHT) == Spent(20_000, 0)
    file.save(Spent(20_000, 1234), MIDNIGHT)
    again = SpentFile(tmp_path / "deeper" / "bytes.json")
    assert again.load(MIDNIGHT + 80_000) == Spent(20_000, 1234)
    assert again.load(MIDNIGHT + DAY_SECONDS) == Spent(20_001, 0)
    assert (tmp_path / "deeper" / "bytes.json").stat().st_mode & 0o777 == 0o600


def test_it_is_written_every_ten_seconds_or_at_once(tmp_path: Path):
    file = SpentFile(tmp_path / "bytes.json")
    file.save(Spent(20_000, 1), MIDNIGHT)
    file.save(Spent(20_000, 2), MIDNIGHT + 9)
    assert file.load(MIDNIGHT).bytes == 1
    file.save(Spent(20_000, 3), MIDNIGHT + 9, at_once=True)
    assert file.load(MIDNIGHT).bytes == 3
    file.save(Spent(20_000, 4), MIDNIGHT + 19.5)
    assert file.load(MIDNIGHT).bytes == 4


@pytest.mark.parametrize("text", ["", "{}", '{"day": 20000}', '{"day":20000,"bytes":-5}', "\x00\xff"])
def test_a_file_that_says_nothing_is_a_day_with_nothing_spent(tmp_path: Path, text):
    (tmp_path / "bytes.json").write_text(text)
    assert SpentFile(tmp_path / "bytes.json").load(MIDNIGHT) == Spent(20_000, 0)
