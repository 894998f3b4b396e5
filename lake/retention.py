# SPDX-License-Identifier: Apache-2.0
"""Which hours are older than their kind is kept. Whole hours only, and never a progress row that is needed.

Needed are, of each partition, the row of its position and the one before it: a take-over begins with the
first, and with the second where the state that the first names is damaged.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from common.units import Duration
from lake.compact import is_over, read
from lake.parquet import LiveFile, hour_index
from lake.storage import Storage

NeededFrom = Callable[[str, int], int]
"""Of a topic's id and a partition: the offset from which its progress rows and states are needed."""


def expired(
    storage: Storage,
    files: Sequence[LiveFile],
    keep: Mapping[str, Duration | None],
    now_ns: int,
    needed_from: NeededFrom,
) -> list[LiveFile]:
    """Return the files of hours that had ended when their kind's time to be kept began.

    Raises:
        LakeCorruptError: a file of progress rows, whose rows are looked at, cannot be read.
    """
    found: list[LiveFile] = []
    hours: dict[tuple[str, int], list[LiveFile]] = defaultdict(list)
    for file in files:
        kept = keep.get(file.kind)
        if kept is None or not is_over(file.date, file.hour, now_ns - kept.nanoseconds):
            continue
        if file.kind == "progress":
            hours[file.date, file.hour].append(file)
        else:
            found.append(file)
    for group in hours.values():
        if not any(_is_needed(storage, file, needed_from) for file in group):
            found += group
    return found


def _is_needed(storage: Storage, file: LiveFile, needed_from: NeededFrom) -> bool:
    for table in read(storage, file):
        last = table.group_by(["topic_id", "topic_partition"]).aggregate([("to_offset", "max")])
        for row in last.to_pylist():
            if row["to_offset_max"] >= needed_from(row["topic_id"], row["topic_partition"]):
                return True
    return False


def rows_of(files: Sequence[LiveFile]) -> int:
    """Return the number of rows that the table's log notes for files."""
    return sum(file.rows or 0 for file in files)


def expired_until(files: Sequence[LiveFile], known: Callable[[str], int | None]) -> dict[str, int]:
    """Return, for the log, what says of each kind up to which hour its rows are gone: app id -> hour index.

    It only rises; `known` gives the version of an app id.
    """
    last: dict[str, int] = {}
    for file in files:
        name = expired_id(file.kind)
        if name not in last:
            last[name] = known(name) or 0
        last[name] = max(hour_index(file.date, file.hour), last[name])
    return last


def expired_id(kind: str) -> str:
    """Return the app id whose version is the newest hour of which rows of a kind were deleted."""
    return f"wirelag/maintain/expired/{kind}"
