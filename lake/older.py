# SPDX-License-Identifier: Apache-2.0
"""A newest state that is damaged is made again: from an earlier one, the records since, and what was told.

The matcher is a pure function of these, so it ends up with the state that was lost. Its rows are in the table
already and are thrown away on the way. Nothing is guessed: where a link of the chain from one progress row to
the one before is missing, or does not say what was told, that is a LakeCorruptError.
"""

from collections.abc import Sequence

from lake import state
from lake.errors import LakeCorruptError
from lake.partition import Behind, Resume
from lake.progress import Progress
from lake.storage import Storage

FLUSH = "flush"
"""What the matcher is told when all that is open is to be closed."""


def find(storage: Storage, rows: Sequence[Progress], damage: LakeCorruptError) -> Resume:
    """Return the newest state of a partition that is usable, and how it comes to where the first row ends.

    Args:
        storage: of the lake.
        rows: all progress rows of the partition from the one whose state is damaged on, newest first.
        damage: what is wrong with that one.

    Raises:
        LakeCorruptError: there is none, or the way from there is not known.
    """
    newest, told, last = rows[0], told_in(rows[0], damage), rows[0]
    for row in rows[1:]:
        if row.to_offset != last.from_offset:
            break
        try:
            content = state.read(storage, row.state)
        except LakeCorruptError:
            told, last = told_in(row, damage) + told, row
            continue
        behind = Behind(row.to_offset, told, str(damage), damage.name)
        return Resume(newest.to_offset, content, newest.flushed, behind)
    if last.from_offset == 0:
        behind = Behind(0, told, str(damage), damage.name, fresh=True)
        return Resume(newest.to_offset, b"", newest.flushed, behind)
    raise LakeCorruptError(
        f"{damage}; no earlier state is usable either, back to offset {last.from_offset}", name=damage.name
    ) from damage


def told_in(row: Progress, damage: LakeCorruptError) -> tuple[tuple[int, str], ...]:
    """Return what a commit's matcher was told, in order."""
    if row.told is None:
        raise LakeCorruptError(
            f"{damage}; it cannot be made again from an earlier one, since the version of wirelag that "
            f"committed [{row.from_offset}, {row.to_offset}) did not note when it closed what was open",
            name=damage.name,
        )
    words = [text.partition(" ") for text in row.told]
    told = tuple((int(offset), word) for offset, _, word in words)
    if row.flushed and (row.to_offset, FLUSH) not in told:
        return (*told, (row.to_offset, FLUSH))
    return told
