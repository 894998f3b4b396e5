# SPDX-License-Identifier: Apache-2.0
"""Only hours that are told to go do go, and never what a take-over needs; settings that would are refused."""

import pytest

from common.units import Duration
from lake.facts import Facts, PartitionCommit
from lake.maintain import VACUUMED
from lake.retention import expired_id
from lake.settings import KeepSettings, MaintainSettings
from schemas.tables import KINDS
from tests.lake.keeping import HOUR_NS, counts, maintainer
from tests.lake.synthetic import HOUR, HOUR_AT, TOPIC, TOPIC_ID, advance, expected, flush, rows, stored

NOW = 1_750_000_000 * 10**9


def test_whole_hours_go_when_their_time_is_over(facts: Facts, folder: str) -> None:
    advance(facts, range(2), 5, HOUR_AT + 20)
    keep = KeepSettings(match=Duration.parse("2h"), histogram=Duration.parse("400d"))
    over = (HOUR + 1) * HOUR_NS + keep.match.nanoseconds  # type: ignore[union-attr]
    assert ("delete old hours", "match") not in counts(maintainer(folder, keep=keep, now_ns=over - 1).run())
    made = maintainer(folder, keep=keep, now_ns=over).run()
    assert made.done["delete old hours", "match"].rows == 2 * HOUR_AT
    left = [row for row in expected("match", range(2), HOUR_AT + 20) if int(str(row["tick"])) >= HOUR_AT]
    assert stored(facts, "match") == left
    assert stored(facts, "histogram") == expected("histogram", range(2), HOUR_AT + 20)
    advance(facts, range(2), 5, HOUR_AT + 30)


def test_progress_rows_that_a_take_over_needs_are_never_deleted(folder: str) -> None:
    """One partition stands still for a year: the row of its position and the one before it stay."""
    now = [NOW]
    facts = Facts.open(folder, now_ns=lambda: now[0])
    advance(facts, range(2), 5, 10)
    now[0] += HOUR_NS
    advance(facts, range(2), 5, 15)
    facts.commit([flush(1, 15)])
    now[0] += HOUR_NS
    advance(facts, range(1), 5, 40)
    keep = KeepSettings(progress=Duration.parse("168h"))
    made = maintainer(folder, keep=keep, now_ns=NOW + 9000 * HOUR_NS).run()
    assert ("delete old hours", "progress") not in made.done
    advance(Facts.open(folder, now_ns=lambda: now[0]), range(1, 2), 5, 40)
    made = maintainer(folder, keep=keep, now_ns=NOW + 9000 * HOUR_NS).run()
    # Of the last hour both of the newest rows are needed; in the two before is nothing that is.
    assert {row["from_offset"] for row in stored(facts, "progress")} >= {35}
    assert min(int(str(row["from_offset"])) for row in stored(facts, "progress")) == 15
    for partition in range(2):
        assert facts.resume(TOPIC_ID, partition) is not None
    assert facts.known_topic_ids(TOPIC) == {TOPIC_ID}
    assert not made.failed


def test_garbage_goes_after_a_week_and_never_before(facts: Facts, folder: str) -> None:
    advance(facts, range(1), 5, 20)
    own = maintainer(folder)
    own.run()
    assert own.table.transaction_version(VACUUMED) is not None
    assert ("delete unused files", "") not in own.run().done
    with pytest.raises(ValueError, match="168 hours at least"):
        own.table.vacuum(167, delete=True)
    assert stored(facts, "match") == expected("match", range(1), 20)


def test_settings_name_what_is_refused() -> None:
    for wrong, text in {
        "open-file": lambda: MaintainSettings(open_file=5),  # type: ignore[arg-type]
        "vacuum-retention: found 167h": lambda: MaintainSettings(vacuum_retention=Duration.parse("167h")),
        "keep-states": lambda: MaintainSettings(keep_states=Duration.parse("59m")),
    }.items():
        with pytest.raises(ValueError, match=wrong):
            text()
    with pytest.raises(ValueError, match="progress: found 1d; allowed is 7d or more"):
        KeepSettings(progress=Duration.parse("24h"))
    assert set(KeepSettings.__struct_fields__) == set(KINDS)


def test_the_log_notes_up_to_which_hour_rows_are_gone_and_that_only_rises(facts: Facts, folder: str) -> None:
    advance(facts, range(1), 5, HOUR_AT + 20)
    keep = KeepSettings(match=Duration.parse("2h"))
    now = (HOUR + 4) * HOUR_NS
    first = maintainer(folder, keep=keep, now_ns=now)
    first.run()
    assert first.table.transaction_version(expired_id("match")) == HOUR + 1
    assert first.table.transaction_version(expired_id("histogram")) is None
    late = PartitionCommit(TOPIC, TOPIC_ID, 1, 0, 2, b"0", False, {"match": rows("match", 1, range(2), 0)})  # noqa: FBT003
    facts.commit([late])
    again = maintainer(folder, keep=keep, now_ns=now)
    assert again.run().done["delete old hours", "match"].rows == 2
    assert again.table.transaction_version(expired_id("match")) == HOUR + 1
