# SPDX-License-Identifier: Apache-2.0
"""What keeps a table fast to open and its folder clean, and never decides what a row is.

Here: the properties a table is made with, checkpoints of its log, deletion of state objects nobody can need.
Compaction, vacuum and retention of rows are `lake.maintain`'s.
"""

import json
from collections import defaultdict
from itertools import chain

from lake import state
from lake.delta import Table
from lake.errors import LakeUnavailableError
from lake.parquet import PRUNED
from lake.partition import app_id
from lake.progress import latest
from lake.storage import Storage

CHECKPOINT_INTERVAL = 100
NO_CHECKPOINT = -1


def table_properties() -> dict[str, str]:
    """Return what the table is created with.

    `delta.setTransactionRetentionDuration` must never be among them: old positions would be forgotten.
    """
    return {
        "delta.checkpointInterval": str(CHECKPOINT_INTERVAL),
        "delta.logRetentionDuration": "interval 1 day",
        "delta.deletedFileRetentionDuration": "interval 1 day",
        "delta.dataSkippingStatsColumns": ",".join(dict.fromkeys(chain.from_iterable(PRUNED.values()))),
    }


def checkpoint_when_due(table: Table, storage: Storage, before: int) -> bool:
    """Write a checkpoint if the versions after `before` pass a multiple of the interval; False if it failed.

    A failure only makes the next opening slower: the commit stands, and the next multiple tries again.
    The checkpoint is on the disk before the logs that it stands for are deleted.
    """
    if table.version // CHECKPOINT_INTERVAL == before // CHECKPOINT_INTERVAL:
        return True
    try:
        checkpoint(table, storage)
    except LakeUnavailableError:
        return False
    return True


def sync_log(storage: Storage, before: int, version: int) -> None:
    """Force the commits after `before` to the disk, so that none is ever there without those before it."""
    logs = [f"_delta_log/{number:020}.json" for number in range(before + 1, version + 1)]
    storage.sync(logs, missing_ok=True)


def checkpoint(table: Table, storage: Storage) -> None:
    """Write a checkpoint of the version shown, then delete what is older than the log's retention.

    Raises:
        LakeUnavailableError: it could not be written, or the log not be deleted.
    """
    table.checkpoint()
    made = [f"_delta_log/{table.version:020}.checkpoint.parquet", "_delta_log/_last_checkpoint"]
    storage.sync(made, missing_ok=True)
    table.delete_old_log()


def last_checkpoint(storage: Storage) -> int:
    """Return the last checkpoint's version, `NO_CHECKPOINT` where there is none or its note is damaged."""
    try:
        return int(json.loads(storage.read("_delta_log/_last_checkpoint"))["version"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return NO_CHECKPOINT


def delete_old_states(storage: Storage, table: Table, before_ns: int) -> list[str]:
    """Delete state objects both below what their partition needs and from before a time; return their names.

    No writer can still commit one of them: its commit would end below the position.
    """
    objects = defaultdict(list)
    for entry in storage.entries(state.FOLDER):
        objects[entry.path.rpartition("/")[0]].append(entry)
    deleted = []
    for folder, entries in sorted(objects.items()):
        _, topic_id, partition = folder.rsplit("/", 2)
        below = needed_from(storage, table, topic_id, int(partition))
        deleted += [
            entry.path
            for entry in entries
            if state.offset_of(entry.path) < below and entry.modified_ns < before_ns
        ]
    for name in deleted:
        storage.delete(name)
    return deleted


def needed_from(storage: Storage, table: Table, topic_id: str, partition: int) -> int:
    """Return where the commit before a partition's last one ended; 0 where there is none, so all is needed.

    A flush alone does not count: it was made at the same offset.
    """
    name = app_id(topic_id, partition)
    now = table.transaction_version(name)
    if now is None:
        return 0
    rows = latest(
        storage,
        table.live(),
        lambda row: row.from_offset < row.to_offset,
        topic_id=topic_id,
        topic_partition=partition,
        to_offset=now,
    )
    return min((row.from_offset for row in rows), default=0)
