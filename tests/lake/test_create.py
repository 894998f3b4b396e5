# SPDX-License-Identifier: Apache-2.0
"""Opening: a table is made once however many ask, and what is no lake of ours is refused."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from lake.errors import LakeCorruptError, LakeUnavailableError
from lake.facts import Facts
from tests.lake.opener import open_at_once
from tests.lake.synthetic import TOPIC_ID, part

ROUNDS, PROCESSES = 8, 3


def test_several_processes_that_create_at_once_share_one_table(tmp_path: Path) -> None:
    folders = [str(tmp_path / f"lake-{number}") for number in range(ROUNDS)]
    open_at_once(folders, PROCESSES)
    for folder in folders:
        facts = Facts.open(folder)
        assert [facts.position(TOPIC_ID, number) for number in range(PROCESSES)] == [1] * PROCESSES
        assert _metadata_actions(folder) == 1


def _metadata_actions(folder: str) -> int:
    logs = Path(folder, "_delta_log").glob("*.json")
    actions = [json.loads(line) for log in logs for line in log.read_text().splitlines()]
    return sum("metaData" in action for action in actions)


def test_one_that_only_reads_makes_no_table(folder: str) -> None:
    with pytest.raises(LakeUnavailableError, match="there is no lake"):
        Facts.open(folder, create=False)
    assert not Path(folder).exists()
    Facts.open(folder)
    assert Facts.open(folder, create=False).files("match", None, None) == []


def test_another_delta_table_is_refused(folder: str) -> None:
    write_deltalake(folder, pa.table({"kind": ["a"], "n": [1]}), partition_by=["kind"])
    with pytest.raises(LakeCorruptError, match="lacks the columns agent_state"):
        Facts.open(folder)


def test_a_path_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("")
    with pytest.raises(LakeUnavailableError, match="cannot"):
        Facts.open(str(tmp_path / "lake"))


def test_paths_and_file_uris_mean_the_same_lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    uris = ["a lake", f"file://{tmp_path}/a%20lake", str(tmp_path / "a lake"), "./a lake/"]
    for number, uri in enumerate(uris):
        Facts.open(uri).commit([part(number, 0, 1)])
    files = Facts.open(uris[0]).files("match", None, None)
    assert len(files) == len(uris)
    assert all(file.startswith(f"{tmp_path}/a lake/kind=match/") for file in files)


def test_a_new_table_never_forgets_positions_and_keeps_its_log_a_day(folder: str) -> None:
    facts = Facts.open(folder)
    assert facts._table._delta.metadata().configuration == {
        "delta.checkpointInterval": "100",
        "delta.logRetentionDuration": "interval 1 day",
        "delta.deletedFileRetentionDuration": "interval 1 day",
        "delta.dataSkippingStatsColumns": "sent_at_ns,window_start_ns,first_seen_ns,time_ns,at_ns,heard_ns,"
        "topic,topic_id,topic_partition,from_offset,to_offset",
    }
