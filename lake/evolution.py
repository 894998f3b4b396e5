# SPDX-License-Identifier: Apache-2.0
"""A table that an earlier version made gets the columns that came since; what is no lake of ours is refused.

Columns are only ever added, all nullable, in one commit of metadata. It is made without retries, so of
several openers one makes it and the others find it made. A writer that holds an older handle is refused by
Delta if the commit falls between its check and its own, and goes on after `Facts.resume`. Readers change
nothing.
"""

from collections.abc import Mapping

from lake import housekeeping
from lake.delta import Table, open_storage
from lake.errors import LakeCorruptError, LakeUnavailableError
from lake.storage import Storage
from schemas.tables import KINDS, PARTITION_COLUMNS

_TRIES = 20
_ALWAYS = set(KINDS["progress"].names) - {"told", "reached_ns"}
"""Every lake has had progress rows, so without their columns it is somebody else's table."""


def open_table(uri: str, options: Mapping[str, str]) -> tuple[Storage, Table]:
    """Open a table that is there, and leave it as it is.

    Raises:
        LakeUnavailableError: there is none, or it cannot be read.
        LakeCorruptError: it is no lake of ours.
    """
    storage = open_storage(uri, dict(options))
    if not Table.exists(storage.uri, options):
        raise LakeUnavailableError(f"there is no lake at {storage.uri}; `wirelag consume` makes one")
    table = Table(storage.uri, options)
    require_lake(table)
    return storage, table


def open_whole(uri: str, options: Mapping[str, str]) -> tuple[Storage, Table]:
    """Open a table that is there, with all columns of this version.

    Raises:
        LakeUnavailableError: there is none, or it cannot be read, or columns could not be added.
        LakeCorruptError: it is no lake of ours.
    """
    storage, table = open_table(uri, options)
    add_missing(table, storage)
    return storage, table


def require_lake(table: Table) -> None:
    """Raise LakeCorruptError where a table is divided otherwise, or not one that only lacks later columns."""
    missing, other = table.missing_columns(), table.differing_columns()
    if table.partition_columns() != PARTITION_COLUMNS or other or set(missing) & _ALWAYS:
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
