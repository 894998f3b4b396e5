# SPDX-License-Identifier: Apache-2.0
"""How long a lake of 50,000 commits takes to open, kept as `wirelag lake maintain --every 5m` keeps it.

Three days of one commit each 5 s are made quickly: log files are written as deltalake writes them, their data
files are links to one of each kind, and in between the real housekeeping runs with the clock of those days:
each 60 commits on the last of them, each hour before. Measured are `Facts.open` and a partition's position.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import pyarrow as pa

from bench.report import report
from common.units import HOUR_NS
from lake import storage
from lake.delta import open_storage
from lake.facts import Facts
from lake.maintain import Maintainer
from lake.parquet import DataFile, hour_name, write_kind
from lake.partition import app_id
from lake.settings import KeepSettings, MaintainSettings
from schemas.tables import KINDS

COMMITS = 50_000
CYCLE_NS = 5 * 10**9
ROUND = 60
"""Commits from one round to the next, within the day that the log is kept; before it an hour's."""
EARLIER_ROUND = 720
LOG_KEPT = 24 * 720
WRITTEN = ("match", "histogram", "ledger", "progress")
TOPIC_ID = "k3Jx_0aTQ-longLogTopic"
GOAL = 0.5


def build(folder: Path, commits: int, *, maintained: bool = True) -> Maintainer:
    """Make a lake of so many commits that ends now; return its housekeeping, at the time of the last.

    Nothing is forced to the disk: only how the lake looks in the end matters.
    """
    storage._fsync = lambda *_: None  # noqa: SLF001 - of this program alone
    begin = time.time_ns() - commits * CYCLE_NS
    Facts.open(str(folder))
    housekeeping = Maintainer.open(str(folder), {}, MaintainSettings(), KeepSettings())
    templates = {kind: _template(folder, kind) for kind in WRITTEN}
    os.utime(folder / "_delta_log" / f"{0:020}.json", ns=(begin, begin))  # else none after it is old enough
    version = 1
    for number in range(commits):
        moment = begin + number * CYCLE_NS
        files = [_linked(folder, templates[kind], number, moment) for kind in WRITTEN]
        _log(folder, version, files, number + 1, moment)
        version += 1
        if maintained and (number + 1) % (ROUND if commits - number <= LOG_KEPT else EARLIER_ROUND) == 0:
            housekeeping.now_ns = lambda moment=moment: moment  # type: ignore[misc]
            made = housekeeping.run()
            assert not made.failed, made.failed
            version = housekeeping.table.version + 1
            _date(folder, moment)
    return housekeeping


def _template(folder: Path, kind: str) -> DataFile:
    """Write a file of one row, which is no part of the table."""
    columns = {field.name: pa.array([_value(field.type)], field.type) for field in KINDS[kind]}
    rows = pa.table({**columns, "hour_index": pa.array([0], pa.int64())})
    [file] = write_kind(open_storage(str(folder), {}), kind, [rows])
    return file


def _value(kind: pa.DataType) -> object:
    if pa.types.is_list(kind):
        return [_value(kind.value_type)]
    if pa.types.is_boolean(kind):
        return True
    return "x" if kind == pa.string() else 1


def _linked(folder: Path, template: DataFile, number: int, moment: int) -> DataFile:
    date, hour = hour_name(moment // HOUR_NS)
    path = f"kind={template.kind}/date={date}/hour={hour}/part-{number:032}.parquet"
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    os.link(folder / template.path, folder / path)
    return DataFile(path, template.size, template.kind, date, hour, moment // 10**6, template.stats)


def _log(folder: Path, version: int, files: list[DataFile], next_offset: int, moment: int) -> None:
    actions: list[dict[str, object]] = [{"commitInfo": {"timestamp": moment // 10**6, "operation": "WRITE"}}]
    actions += [
        {
            "add": {
                "path": file.path,
                "partitionValues": {"kind": file.kind, "date": file.date, "hour": str(file.hour)},
                "size": file.size,
                "modificationTime": file.modified_ms,
                "dataChange": True,
                "stats": file.stats,
            }
        }
        for file in files
    ]
    actions.append({"txn": {"appId": app_id(TOPIC_ID, 0), "version": next_offset}})
    path = folder / "_delta_log" / f"{version:020}.json"
    path.write_text("\n".join(map(json.dumps, actions)) + "\n", encoding="utf-8")
    os.utime(path, ns=(moment, moment))


def _date(folder: Path, moment: int) -> None:
    """Give what housekeeping just wrote the time of those days, so that the log's retention sees it."""
    with os.scandir(folder / "_delta_log") as entries:
        for entry in entries:
            if entry.stat().st_mtime_ns > moment:
                os.utime(entry.path, ns=(moment, moment))


def main() -> None:
    """Build, open again and again, print; the last line is the goal's JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commits", type=int, default=COMMITS)
    parser.add_argument("--openings", type=int, default=9)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "lake")
        begin = time.perf_counter()
        housekeeping = build(folder, arguments.commits)
        print(f"built in {time.perf_counter() - begin:.0f} s")
        logs = list((folder / "_delta_log").iterdir())
        print(f"{len(housekeeping.table.files())} live files, {len(logs)} files in the log")
        spent = []
        for _ in range(arguments.openings):
            begin = time.perf_counter()
            facts = Facts.open(str(folder), create=False)
            assert facts.position(TOPIC_ID, 0) == arguments.commits
            spent.append(time.perf_counter() - begin)
    print(f"opened and positioned in {statistics.median(spent):.3f} s, {min(spent):.3f} to {max(spent):.3f}")
    report(f"a lake of {arguments.commits} commits opens in seconds", statistics.median(spent), GOAL)


if __name__ == "__main__":
    main()
