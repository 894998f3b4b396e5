# SPDX-License-Identifier: Apache-2.0
"""Is all there that the table's log names, and do positions, progress rows and states agree? Reading only.

Beside writers and housekeeping it may be run at any time: what it looks at is one version of the table, and
files of a version stay for a week.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import pyarrow as pa

from lake import compact, state
from lake.delta import Table
from lake.errors import LakeCorruptError
from lake.evolution import open_table
from lake.parquet import LiveFile
from lake.partition import app_id, flush_id
from lake.storage import Storage
from schemas.tables import KINDS

_RESTORE = "restore it from a copy of the lake"
_EARLIER = "restore an earlier version of the table"
_AGAIN = "start a consumer: it makes the state again while Kafka has the records since the one before"
_CUT = "start a consumer: it makes this commit again from Kafka"
_LOG = "_delta_log"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: which object, what was found, what to do."""

    object: str
    found: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What was looked at. Orphans are files that no version needs any more: no fault."""

    faults: list[Fault]
    version: int
    files: int
    bytes: int
    partitions: int
    orphans: int
    orphan_bytes: int
    states: int


def check(uri: str, options: Mapping[str, str], *, deep: bool) -> Checked:
    """Look at a whole table; with `deep` read every row of every file.

    Raises:
        LakeUnavailableError: there is none, or it cannot be read.
        LakeCorruptError: it cannot be opened as a lake.
    """
    storage, table = open_table(uri, options)
    files = table.files()
    there = {entry.path: entry.size for kind in _folders(files) for entry in storage.entries(f"kind={kind}")}
    named = {file.path for file in files}
    orphans = [path for path in there if path not in named]
    progress, faults = _progress(storage, files)
    return Checked(
        faults=[
            *_log_faults(storage),
            *_file_faults(files, there),
            *faults,
            *_partition_faults(storage, table, progress),
            *(_deep_faults(storage, files) if deep else ()),
        ],
        version=table.version,
        files=len(files),
        bytes=sum(file.size for file in files),
        partitions=len(progress),
        orphans=len(orphans),
        orphan_bytes=sum(there[path] for path in orphans),
        states=len(storage.entries(state.FOLDER)),
    )


def _folders(files: list[LiveFile]) -> set[str]:
    return {*KINDS, *(file.kind for file in files)}


def _log_faults(storage: Storage) -> Iterator[Fault]:
    """Read the commits since the last checkpoint: an empty one opens as a commit of nothing.

    One that others followed was made again by then; if not, the chain of progress rows has a gap.
    """
    entries = storage.entries(_LOG)
    checkpoints = [
        int(entry.path.rpartition("/")[2][:20])
        for entry in entries
        if ".checkpoint." in entry.path and entry.path.rpartition("/")[2][:20].isdigit()
    ]
    after = max(checkpoints, default=-1)
    logs = sorted(entry.path for entry in entries if entry.path.endswith(".json"))
    numbered = [(int(path[-25:-5]), path) for path in logs if path[-25:-5].isdigit()]
    for version, path in numbered:
        if version <= after:
            continue
        try:
            lines = storage.read(path).splitlines()
            actions = [json.loads(line) for line in lines]
        except ValueError as error:
            yield Fault(path, f"it is no JSON: {error}", _RESTORE)
            continue
        if not actions and version == numbered[-1][0]:
            yield Fault(path, "it is empty: the commit was cut off", _CUT)


def _file_faults(files: list[LiveFile], there: Mapping[str, int]) -> Iterator[Fault]:
    for file in files:
        if file.path not in there:
            yield Fault(file.path, "it is missing", _RESTORE)
        elif there[file.path] != file.size:
            found = f"it has {there[file.path]} bytes, the table's log says {file.size}"
            yield Fault(file.path, found, _RESTORE)


def _deep_faults(storage: Storage, files: list[LiveFile]) -> Iterator[Fault]:
    for file in files:
        if file.kind not in KINDS:
            continue
        try:
            rows = sum(table.num_rows for table in compact.read(storage, file))
        except LakeCorruptError as error:
            yield Fault(file.path, str(error), _RESTORE)
            continue
        if file.rows is not None and rows != file.rows:
            yield Fault(file.path, f"it has {rows} rows, the table's log says {file.rows}", _RESTORE)


_Steps = list[tuple[int, int, str]]
"""Of one partition, in order: from offset, to offset, state object."""


def _progress(storage: Storage, files: list[LiveFile]) -> tuple[dict[tuple[str, int], _Steps], list[Fault]]:
    found: dict[tuple[str, int], _Steps] = defaultdict(list)
    faults = []
    names = ["topic_id", "topic_partition", "from_offset", "to_offset", "state"]
    for file in files:
        if file.kind != "progress":
            continue
        try:
            tables = [table.select(names) for table in compact.read(storage, file)]
        except LakeCorruptError as error:
            faults.append(Fault(file.path, str(error), _RESTORE))
            continue
        for row in pa.concat_tables(tables).to_pylist() if tables else ():
            step = row["from_offset"], row["to_offset"], row["state"]
            found[row["topic_id"], row["topic_partition"]].append(step)
    for steps in found.values():
        steps.sort(key=lambda step: (step[1], step[0]))
    return dict(found), faults


def _partition_faults(
    storage: Storage, table: Table, progress: Mapping[tuple[str, int], _Steps]
) -> Iterator[Fault]:
    for (topic_id, partition), steps in sorted(progress.items()):
        name = app_id(topic_id, partition)
        position = table.transaction_version(name)
        if position != steps[-1][1]:
            found = f"the table's position is {position}, its last progress row ends at {steps[-1][1]}"
            yield Fault(name, found, _EARLIER)
        flushed = table.transaction_version(flush_id(name))
        if flushed is not None and position is not None and flushed > position:
            yield Fault(
                name, f"its last flush, at {flushed}, is beyond {position}", "restore an earlier version"
            )
        yield from _chain_faults(name, steps)
        try:
            state.read(storage, steps[-1][2])
        except LakeCorruptError as error:
            remedy = (
                "start a consumer: it makes the state again while Kafka has the records since the one before"
            )
            yield Fault(steps[-1][2], str(error), remedy)


def _chain_faults(name: str, steps: _Steps) -> Iterator[Fault]:
    """What one commit ends with the next begins with, or rows are there twice or not at all."""
    for before, after in pairwise(steps):
        if after[0] < before[1] or after == before:
            found = f"[{before[0]}, {before[1]}) and [{after[0]}, {after[1]}) overlap: rows are there twice"
            yield Fault(name, found, _EARLIER)
        elif after[0] > before[1]:
            found = f"no commit has [{before[1]}, {after[0]})"
            yield Fault(name, found, "restore the table from a copy")
