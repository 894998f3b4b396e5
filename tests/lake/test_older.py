# SPDX-License-Identifier: Apache-2.0
"""A take-over whose newest state is damaged gets an earlier one, and what brings it up to date."""

from pathlib import Path

import pytest

from lake.errors import LakeCorruptError
from lake.facts import Facts
from lake.partition import Behind, PartitionCommit
from tests.lake.keeping import maintainer
from tests.lake.synthetic import TOPIC, TOPIC_ID, advance, flush, part
from tests.lake.test_evolution import earlier


def damage(folder: str, *offsets: int, partition: int = 0) -> list[str]:
    """Cut the states at these offsets off; return their names."""
    found = []
    for offset in offsets:
        for path in Path(folder, "_state", TOPIC_ID, str(partition)).glob(f"{offset}-*"):
            path.write_bytes(path.read_bytes()[:-1])
            found.append(str(path.relative_to(folder)))
    return found


def behind(facts: Facts) -> tuple[bytes, Behind | None]:
    resume = facts.resume(TOPIC_ID, 0)
    assert resume is not None
    return resume.state, resume.behind


def test_the_state_before_is_taken_and_the_damage_is_named(facts: Facts, folder: str) -> None:
    advance(facts, range(1), 5, 20)
    [name] = damage(folder, 20)
    state, way = behind(facts)
    assert state == str(sum(range(15))).encode()
    assert way is not None
    assert (way.state_offset, way.told, way.name, way.fresh) == (15, (), name, False)
    assert "checksum" in way.damage
    resume = facts.resume(TOPIC_ID, 0)
    assert resume is not None
    assert (resume.next_offset, resume.flushed) == (20, False)
    facts.commit([part(0, 20, 25)])
    assert behind(facts)[1] is None


def test_several_damaged_states_are_passed_over_with_what_was_told_between(facts: Facts, folder: str) -> None:
    def told(at: int, to: int, *words: tuple[int, str], flushed: bool = False) -> PartitionCommit:
        return PartitionCommit(TOPIC, TOPIC_ID, 0, at, to, b"%d" % to, flushed, {}, words)

    facts.commit([told(0, 10)])
    facts.commit([told(10, 20, (12, "flush"), (20, "flush"), flushed=True)])
    facts.commit([told(20, 30, (20, "x"))])
    facts.commit([told(30, 30, flushed=True)])
    damage(folder, 30, 20)
    state, way = behind(facts)
    assert state == b"10"
    assert way is not None
    assert way.state_offset == 10
    assert way.told == ((12, "flush"), (20, "flush"), (20, "x"), (30, "flush"))


def test_the_newest_of_a_flush_at_the_same_offset_is_made_from_the_one_it_followed(
    facts: Facts, folder: str
) -> None:
    facts.commit([part(0, 0, 10)])
    before = {path.name for path in Path(folder, "_state", TOPIC_ID, "0").iterdir()}
    facts.commit([flush(0, 10)])
    for path in Path(folder, "_state", TOPIC_ID, "0").iterdir():
        if path.name not in before:
            path.unlink()
    state, way = behind(facts)
    assert state == str(sum(range(10))).encode()
    assert way is not None
    assert (way.state_offset, way.told) == (10, ((10, "flush"),))


def test_with_no_state_at_all_a_partition_read_from_0_begins_anew(facts: Facts, folder: str) -> None:
    advance(facts, range(1), 5, 10)
    damage(folder, 5, 10)
    state, way = behind(facts)
    assert state == b""
    assert way is not None
    assert (way.fresh, way.state_offset) == (True, 0)


def test_where_nothing_leads_to_the_state_it_is_an_error(folder: str) -> None:
    facts = Facts.open(folder)
    facts.commit([part(0, 100, 110)])
    [name] = damage(folder, 110)
    with pytest.raises(LakeCorruptError, match=r"no earlier state .* back to offset 100") as caught:
        facts.resume(TOPIC_ID, 0)
    assert caught.value.name == name


def test_rows_of_a_version_that_did_not_tell_are_not_built_upon(folder: str) -> None:
    with earlier():
        advance(Facts.open(folder), range(1), 5, 20)
    facts = Facts.open(folder)
    assert behind(facts)[1] is None
    damage(folder, 20)
    with pytest.raises(LakeCorruptError, match="did not note when it closed"):
        facts.resume(TOPIC_ID, 0)
    facts = Facts.open(folder)
    with pytest.raises(LakeCorruptError):
        facts.resume(TOPIC_ID, 0)


def test_housekeeping_keeps_what_that_takes(facts: Facts, folder: str) -> None:
    """Progress rows are merged, hours are over, states are old: the two newest of each partition stay."""
    advance(facts, range(2), 5, 30)
    facts.commit([flush(1, 30)])
    maintainer(folder, now_ns=4_000_000_000 * 10**9).run()
    assert len(list(Path(folder, "_state", TOPIC_ID, "0").iterdir())) == 2
    assert len(list(Path(folder, "_state", TOPIC_ID, "1").iterdir())) == 3
    damage(folder, 30)
    damage(folder, 30, partition=1)
    for partition in range(2):
        resume = facts.resume(TOPIC_ID, partition)
        assert resume is not None
        assert resume.behind is not None
        assert resume.behind.state_offset == 25
