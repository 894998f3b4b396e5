# SPDX-License-Identifier: Apache-2.0
"""What keeps a table fast to open and its folder clean, and never decides what a row is.

Here: the properties a table is made with, checkpoints of its log, deletion of state objects nobody can need.
Compaction, vacuum and retention of rows are not done by anything yet.
"""

from collections import defaultdict
from itertools import chain

import pyarrow as pa

from lake import state
from lake.delta import Table
from lake.errors import LakeUnavailableError
from lake.parquet import PRUNED
from lake.progress import newest_first
from lake.storage import Storage

CHECKPOINT_INTERVAL = 100
STATE_RETENTION_NS = 168 * 3600 * 10**9


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
        table.checkpoint()
        made = [f"_delta_log/{table.version:020}.checkpoint.parquet", "_delta_log/_last_checkpoint"]
        storage.sync(made, missing_ok=True)
        table.delete_old_log()
    except LakeUnavailableError:
        return False
    return True


def sync_log(storage: Storage, before: int, version: int) -> None:
    """Force the commits after `before` to the disk, so that none is ever there without those before it."""
    logs = [f"_delta_log/{number:020}.json" for number in range(before + 1, version + 1)]
    storage.sync(logs, missing_ok=True)


def delete_old_states(storage: Storage, live: pa.Table, now_ns: int) -> list[str]:
    """Delete state objects both below their partition's previous progress row and older than 168 hours.

    `live` are the table's files. Partitions with fewer than two progress rows are left alone. Returns the
    names deleted.
    """
    objects = defaultdict(list)
    for entry in storage.entries(state.FOLDER):
        objects[entry.path.rpartition("/")[0]].append(entry)
    deleted = []
    for folder, entries in sorted(objects.items()):
        needed_from = _previous_offset(storage, live, folder)
        deleted += [
            entry.path
            for entry in entries
            if state.offset_of(entry.path) < needed_from and entry.modified_ns < now_ns - STATE_RETENTION_NS
        ]
    for name in deleted:
        storage.delete(name)
    return deleted


def _previous_offset(storage: Storage, live: pa.Table, folder: str) -> int:
    _, topic_id, partition = folder.rsplit("/", 2)
    rows = newest_first(storage, live, topic_id=topic_id, topic_partition=int(partition))
    offsets = sorted({row.to_offset for row in rows})
    return offsets[-2] if len(offsets) > 1 else -1
