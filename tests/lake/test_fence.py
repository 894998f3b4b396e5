# SPDX-License-Identifier: Apache-2.0
"""Two writers of one partition: whatever the order of their steps, every offset is stored once."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lake.errors import CommitUnknownError, LakeError, StalePositionError
from lake.facts import Facts, Resume
from tests.lake.synthetic import EVENT_KINDS, TOPIC_ID, expected, flush, part, resumed, stored


def _require_exactly(facts: Facts, end: int) -> None:
    for kind in EVENT_KINDS:
        assert stored(facts, kind) == expected(kind, range(1), end)


@pytest.fixture
def overtaken(folder: str) -> tuple[Facts, Facts]:
    """A writer that took the partition over at 4, and one that has committed up to 6 since."""
    zombie, owner = Facts.open(folder), Facts.open(folder)
    zombie.commit([part(0, 0, 4)])
    resumed(owner, 0)
    owner.commit([part(0, 4, 6)])
    return zombie, owner


def test_a_zombie_is_refused(overtaken: tuple[Facts, Facts]) -> None:
    zombie, owner = overtaken
    with pytest.raises(StalePositionError, match="is at 4"):
        zombie.commit([part(0, 4, 6)])
    owner.commit([part(0, 6, 9)])
    _require_exactly(owner, 9)


def test_control_without_the_check_a_zombie_stores_rows_twice(
    overtaken: tuple[Facts, Facts], monkeypatch: pytest.MonkeyPatch
) -> None:
    zombie, _ = overtaken
    monkeypatch.setattr(Facts, "_require_owned", lambda _self, _part: None)
    zombie.commit([part(0, 4, 6)])
    assert len(stored(zombie, "match")) == 8


def test_a_zombie_takes_no_other_partition_down_with_it(overtaken: tuple[Facts, Facts]) -> None:
    zombie, _ = overtaken
    with pytest.raises(StalePositionError):
        zombie.commit([part(1, 0, 3), part(0, 4, 6)])
    assert zombie.position(TOPIC_ID, 1) is None


def test_a_zombie_that_resumes_is_none_any_more(overtaken: tuple[Facts, Facts]) -> None:
    zombie, _ = overtaken
    place = resumed(zombie, 0)
    zombie.commit([part(0, place.next_offset, 9, place.state)])
    _require_exactly(zombie, 9)


def _two(folder: str, between: Callable[[Facts, Facts], None]) -> tuple[Facts, Facts]:
    """Return a writer that does something after its own check, and the other one."""
    other = Facts.open(folder)
    slow = Facts.open(folder, trace=lambda point: between(slow, other) if point == "after-check" else None)
    return slow, other


def test_one_overtaken_between_check_and_commit_is_refused(folder: str) -> None:
    slow, other = _two(folder, lambda _slow, other: print(other.commit([part(0, 0, 4)])))  # noqa: T201
    with pytest.raises(CommitUnknownError):
        slow.commit([part(0, 0, 4)])
    assert slow.position(TOPIC_ID, 0) == 4
    _require_exactly(other, 4)


def test_control_through_a_handle_that_was_not_checked_rows_are_stored_twice(folder: str) -> None:
    def overtake(slow: Facts, other: Facts) -> None:
        other.commit([part(0, 0, 4)])
        slow._table.refresh()

    slow, other = _two(folder, overtake)
    slow.commit([part(0, 0, 4)])
    assert len(stored(other, "match")) == 8


def test_commits_of_other_partitions_in_between_are_no_conflict(folder: str) -> None:
    slow, other = _two(folder, lambda _slow, other: print(other.commit([part(1, 0, 4)])))  # noqa: T201
    assert slow.commit([part(0, 0, 4)]) == 2
    assert (other.position(TOPIC_ID, 0), other.position(TOPIC_ID, 1)) == (4, 4)


def test_a_flush_is_made_once(folder: str) -> None:
    first, second = Facts.open(folder), Facts.open(folder)
    first.commit([part(0, 0, 4)])
    resumed(second, 0)
    first.commit([flush(0, 4)])
    for again in (first, second):
        with pytest.raises(StalePositionError, match="flushed at 4"):
            again.commit([flush(0, 4)])
    assert len(stored(first, "unmatched")) == 5


def test_a_writer_from_before_a_flush_cannot_go_on_after_it(folder: str) -> None:
    first, second = Facts.open(folder), Facts.open(folder)
    first.commit([part(0, 0, 4)])
    resumed(second, 0)
    first.commit([flush(0, 4)])
    with pytest.raises(StalePositionError):
        second.commit([part(0, 4, 6)])
    resumed(second, 0)
    second.commit([part(0, 4, 6)])
    assert second.position(TOPIC_ID, 0) == 6


_STEPS = st.tuples(st.integers(0, 1), st.sampled_from(["resume", "commit", "fail-before", "fail-after"]))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(_STEPS, min_size=4, max_size=14))
def test_two_writers_that_fail_at_will_store_every_offset_once(
    steps: list[tuple[int, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Writers go on from their own memory however wrong it is; only after a refusal do they resume."""
    writers = _Writers(str(tmp_path_factory.mktemp("fence")))
    for who, action in steps:
        writers.step(who, action)
    facts = writers.facts[0]
    _require_exactly(facts, facts.position(TOPIC_ID, 0) or 0)


class _Writers:
    def __init__(self, folder: str) -> None:
        self.failing = ""
        self.facts = [Facts.open(folder, trace=self._trace) for _ in range(2)]
        self.places = [resumed(facts, 0) for facts in self.facts]

    def step(self, who: int, action: str) -> None:
        facts, place = self.facts[who], self.places[who]
        self.failing = {"fail-before": "after-check", "fail-after": "after-commit"}.get(action, "")
        if action == "resume":
            self.places[who] = resumed(facts, 0)
            return
        made = part(0, place.next_offset, place.next_offset + 2 + who, place.state)
        try:
            facts.commit([made])
        except (LakeError, RuntimeError):
            self.failing = ""
            self.places[who] = resumed(facts, 0)
        else:
            self.places[who] = Resume(made.to_offset, made.state, flushed=False)

    def _trace(self, point: str) -> None:
        if point == self.failing:
            raise RuntimeError(point)
