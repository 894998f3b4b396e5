# SPDX-License-Identifier: Apache-2.0
"""Up to when windows are settled: partitions that are behind are waited for, those at their end are not."""

from pathlib import Path

from lake.facts import Facts, PartitionCommit
from lake.rollup import SETTLED, Change, RollUps
from lake.settled import Standing, Waits, settled_to, standings
from tests.lake.synthetic import TOPIC, TOPIC_ID

WAITS = Waits(75, 1000)


def test_the_partition_that_is_furthest_behind_counts() -> None:
    assert settled_to([Standing(False, 900, 800), Standing(False, 900, 500)], WAITS, 900) == 500 - 75  # noqa: FBT003


def test_a_quiet_partition_holds_nobody() -> None:
    """It was read to its end and closed, at whatever time that was."""
    assert settled_to([Standing(False, 900, 800), Standing(True, 300, 100)], WAITS, 900) == 800 - 75  # noqa: FBT003


def test_with_all_of_them_closed_it_is_the_last_commit() -> None:
    assert settled_to([Standing(True, 300, 100), Standing(True, 310, None)], WAITS, 900) == 310  # noqa: FBT003


def test_one_that_stands_still_is_waited_for_so_long_and_no_longer() -> None:
    still = [Standing(False, 100, 90), Standing(False, 5000, 4990)]  # noqa: FBT003
    assert [settled_to(still, WAITS, now) for now in (1000, 1090, 5000)] == [15, 90, 4000]


def test_nothing_ahead_of_now_is_settled_whatever_records_say() -> None:
    assert settled_to([Standing(False, 100, 10**18)], WAITS, 900) == 900  # noqa: FBT003
    assert settled_to([], WAITS, 900) == 0


def test_rows_of_progress_tell_where_each_partition_stands(tmp_path: Path) -> None:
    """Each one's last row counts, a flush after what it closed; those of hours ago do not."""
    now = 10**18
    facts = Facts.open(str(tmp_path), now_ns=lambda: now)

    def put(partition: int, begin: int, end: int, reached: int | None, *, flushed: bool = False) -> None:
        facts.commit(
            [PartitionCommit(TOPIC, TOPIC_ID, partition, begin, end, b"", flushed, {}, reached_ns=reached)]
        )

    put(9, 0, 5, 1)
    now += 3 * 3600 * 10**9
    put(0, 0, 5, 100)
    put(0, 5, 7, 200)
    put(1, 0, 5, 150)
    put(1, 5, 5, 150, flushed=True)
    put(2, 0, 5, None)
    table = RollUps.open(str(tmp_path))
    assert sorted(standings(table._table, table.storage), key=str) == sorted(
        [Standing(False, now, 200), Standing(True, now, 150), Standing(False, now, None)],  # noqa: FBT003
        key=str,
    )


def test_the_line_only_rises(tmp_path: Path) -> None:
    """What was taken for settled once is not taken back when a quiet partition speaks again."""
    Facts.open(str(tmp_path))
    table = RollUps.open(str(tmp_path))
    table.commit(Change(0, {}, {}, {SETTLED: 50}))
    table.commit(Change(0, {}, {}, {SETTLED: 40}))
    assert table.settled_to(WAITS, 45 * 10**9) == 50 * 10**9
    assert table.settled_to(Waits(75, 5 * 10**9), 60 * 10**9) == 55 * 10**9
