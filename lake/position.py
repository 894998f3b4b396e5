# SPDX-License-Identifier: Apache-2.0
"""Where partitions stand, by the version of the table that a handle shows.

A position that is missing although progress rows exist is an error, never offset 0: all would be there twice.
"""

from dataclasses import dataclass

from lake import older, progress, state
from lake.delta import Table
from lake.errors import LakeCorruptError
from lake.partition import Resume, app_id, flush_id
from lake.storage import Storage


@dataclass(frozen=True, slots=True)
class Position:
    """The next offset, None where nothing was ever committed, and the offset of the latest flush.

    The second tells a writer apart that stopped before a flush from one that came after it: both are at the
    same next offset.
    """

    next_offset: int | None
    flushed_at: int | None = None


def find(table: Table, storage: Storage, topic_id: str, partition: int) -> Position:
    """Return where a partition stands.

    Raises:
        LakeCorruptError: the position is gone, yet progress rows tell that there was one.
    """
    name = app_id(topic_id, partition)
    next_offset = table.transaction_version(name)
    if next_offset is None and progress.newest_first(
        storage, table.live(), topic_id=topic_id, topic_partition=partition
    ):
        raise LakeCorruptError(
            f"the table has progress rows of {name} but no position; delta.setTransactionRetentionDuration "
            "may have been set, which forgets positions: unset it and restore an earlier version",
            name=name,
        )
    return Position(next_offset, table.transaction_version(flush_id(name)))


def take_over(
    table: Table, storage: Storage, topic_id: str, partition: int, position: Position
) -> Resume | None:
    """Return what a writer needs to go on from a position, None where nothing was ever committed.

    Where the state object is unusable that is an earlier one and what brings it there (`lake.older`).

    Raises:
        LakeCorruptError: the progress row is missing, or neither its state nor an earlier one is usable.
    """
    if position.next_offset is None:
        return None
    # A flush at the same offset comes after the rest; that there was one the position tells.
    flushed = position.flushed_at == position.next_offset
    rows = progress.latest(
        storage,
        table.live(),
        lambda row: row.flushed or not flushed,
        topic_id=topic_id,
        topic_partition=partition,
        to_offset=position.next_offset,
    )
    if not rows:
        name = app_id(topic_id, partition)
        raise LakeCorruptError(
            f"the table has {name} at {position.next_offset} and no progress row for it; "
            "restore an earlier version of the table",
            name=name,
        )
    try:
        return Resume(position.next_offset, state.read(storage, rows[0].state), rows[0].flushed)
    except LakeCorruptError as damage:
        every = progress.newest_first(storage, table.live(), topic_id=topic_id, topic_partition=partition)
        return older.find(storage, every[every.index(rows[0]) :], damage)
