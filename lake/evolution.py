# SPDX-License-Identifier: Apache-2.0
"""A table that an earlier version made gets the columns that came since; what is no lake of ours is refused.

Columns are only ever added, all nullable, in one commit of metadata. It is made without retries, so of
several openers one makes it and the others find it made. A writer that holds an older handle is refused by
Delta if the commit falls between its check and its own, and goes on after `Facts.resume`. Readers change
nothing.
"""

from lake import housekeeping
from lake.delta import Table
from lake.errors import LakeCorruptError, LakeUnavailableError
from lake.storage import Storage
from schemas.tables import KINDS, PARTITION_COLUMNS

_TRIES = 20


def require_lake(table: Table) -> None:
    """Raise LakeCorruptError where a table is divided otherwise, or not one that only lacks later columns."""
    missing, other = table.missing_columns(), table.differing_columns()
    # Every lake has had progress rows, so without their columns it is somebody else's table.
    if table.partition_columns() != PARTITION_COLUMNS or other or set(missing) & set(KINDS["progress"].names):
        raise LakeCorruptError(
            f"the table is divided by {', '.join(table.partition_columns())} and lacks the columns "
            f"{', '.join(sorted({*missing, *other})) or 'none'}: it is no lake of this version; name another "
            "folder",
            name="_delta_log",
        )


def add_missing(table: Table, storage: Storage) -> None:
    """Add the columns that a table lacks; returns once it has all, whoever added them.

    Raises:
        LakeUnavailableError: they could not be added.
    """
    for left in reversed(range(_TRIES)):
        missing, before = table.missing_columns(), table.version
        if not missing:
            return
        try:
            table.add_columns(missing)
        except LakeUnavailableError:  # another process committed first, of these columns or of rows
            if not left:
                raise
        table.refresh()
        housekeeping.sync_log(storage, before, table.version)
        housekeeping.checkpoint_when_due(table, storage, before)
